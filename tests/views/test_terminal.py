from __future__ import annotations

import pytest

from healthmon.views.terminal import Cell, Terminal, terminal_for


def made(*, is_tty: bool = True, encoding: str = "utf-8", **environment: str) -> Terminal:
    return terminal_for(environment, is_tty=is_tty, encoding=encoding, columns=80)


def test_a_terminal_with_a_utf_8_locale_shows_shapes_and_colour() -> None:
    screen = made(LANG="en_GB.UTF-8", TERM="xterm")
    assert screen == Terminal(colour=True, unicode=True, width=80)
    assert screen.paint(screen.state("dead")) == "\x1b[31m✖ Dead\x1b[0m"


def test_no_colour_is_shown_where_it_is_not_wanted_or_not_seen() -> None:
    assert not made(LANG="C.UTF-8", NO_COLOR="1").colour
    assert not made(LANG="C.UTF-8", TERM="dumb").colour
    assert made(LANG="C.UTF-8", is_tty=False) == Terminal(colour=False, unicode=True, width=0)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LANG": "C"},
        {"LANG": "de_DE.ISO-8859-1"},
        {"LANG": "C", "LC_CTYPE": "C.UTF-8"},  # what Python sets by itself
        {"LC_CTYPE": "C.UTF-8"},
        {"LANG": "en_GB.UTF-8", "LC_ALL": "C"},
    ],
)
def test_without_a_utf_8_locale_shapes_are_ascii(environment: dict[str, str]) -> None:
    screen = terminal_for(environment, is_tty=True, encoding="utf-8", columns=80)
    assert not screen.unicode
    assert screen.plain("Dead → Healthy … ←") == "Dead -> Healthy ... <-"
    assert screen.state("dead").text == "X  Dead"


def test_a_locale_that_was_set_on_purpose_is_believed() -> None:
    assert made(LANG="C", LC_CTYPE="en_GB.utf8").unicode
    assert not made(LANG="C.UTF-8", encoding="ascii").unicode


def test_what_comes_from_outside_cannot_steer_the_terminal() -> None:
    screen = Terminal(colour=True, unicode=True)
    assert "\x1b" not in screen.plain("\x1b]0;title\x07")
    assert screen.table(("A",), [("\x1b[2J",)])[1] == "�[2J"


def test_columns_are_as_wide_as_they_need_and_empty_ones_left_out() -> None:
    lines = Terminal(unicode=True).table(("ID", "ROLE", "REASON"), [("a", "", "one"), ("long-id", "", "two")])
    assert lines == ["ID       REASON", "a        one", "long-id  two"]


def test_the_last_column_is_wrapped_under_its_own_beginning() -> None:
    screen = Terminal(unicode=True, width=40)
    lines = screen.table((), [("j_prime", "no heartbeat for 34.0 s (dead after 34 s)"), ("b", "well")])
    assert lines == ["j_prime  no heartbeat for 34.0 s (dead", "         after 34 s)", "b        well"]


def test_the_last_column_is_cut_where_a_line_must_remain_one() -> None:
    screen = Terminal(unicode=True, width=40)
    (line,) = screen.table((), [("j_prime", "no heartbeat for 34.0 s (dead after 34 s)")], under=False)
    assert line == "j_prime  no heartbeat for 34.0 s (dead…"
    assert Terminal(width=40).table((), [("j_prime", "n" * 50)], under=False)[0].endswith("n...")


def test_a_number_and_its_unit_stay_on_one_line() -> None:
    screen = Terminal(unicode=True, width=30)
    assert screen.labelled([("a", "it is tried again in: 60 s by then")]) == [
        "  a  it is tried again in:",
        "     60 s by then",
    ]


def test_the_last_column_goes_under_its_line_when_there_is_no_room() -> None:
    screen = Terminal(unicode=True, width=40)
    lines = screen.table(("ID", "REASON"), [("an-id-of-more-than-twenty-letters", "no heartbeat for 34.0 s at all")])
    assert lines == ["ID", "an-id-of-more-than-twenty-letters", "    no heartbeat for 34.0 s at all"]


def test_no_line_is_longer_than_the_terminal_is_wide() -> None:
    screen = Terminal(colour=False, unicode=True, width=40)
    rows = [(f"{'i' * 60}", "r" * 30, "one two three " * 9), ("b", "r", "short")]
    for under in (True, False):
        assert max(map(len, screen.table(("ID", "ROLE", "REASON"), rows, under=under))) <= 40


def test_colour_does_not_disturb_the_columns() -> None:
    screen = Terminal(colour=True, unicode=True, width=80)
    lines = screen.table((), [(Cell("ab", "bad"), "x"), ("abcd", "y")])
    assert lines == ["\x1b[31mab\x1b[0m    x", "abcd  y"]


def test_long_words_hang_under_their_own_beginning() -> None:
    screen = Terminal(unicode=True, width=30)
    assert screen.labelled([("next", "nothing: it is waited for; Healthy at its next heartbeat")]) == [
        "  next  nothing: it is waited",
        "        for; Healthy at its",
        "        next heartbeat",
    ]
