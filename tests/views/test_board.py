from __future__ import annotations

import re

import pytest

from healthmon.core.alert import rfc3339
from healthmon.views.board import Board, Focus, Link, Row, frame, plain_frame
from healthmon.views.picture import Freshness
from healthmon.views.states import WORST_FIRST
from healthmon.views.terminal import Terminal
from healthmon.views.words import columns

NOW_MS = 1_795_460_400_000
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LONG = "no heartbeat for 180.0 s (dead after 180 s), and the disk of the machine that it runs on is full to the brim"


def row(n: int, state: str, **more: str) -> Row:
    record = {"id": f"{state}-{n}", "state": state, "role": "a-role-with-a-long-name", "reason": LONG, **more}
    return Row({**record, "last_heartbeat": rfc3339(NOW_MS - 3000)}, NOW_MS - 65_000)


def board(**more: object) -> Board:
    rows = [row(n, state) for state in WORST_FIRST for n in range(3)]
    rows[3] = row(3, "dead", restart_attempt="2", restart_max="5", next_restart_at=rfc3339(NOW_MS + 21_000))
    given = {
        "now_ms": NOW_MS,
        "prefix": "healthmon",
        "leader": "mon-a leads for 2 h, 3 replicas",
        "freshness": Freshness(NOW_MS, NOW_MS, led=True),
        "counts": dict.fromkeys(WORST_FIRST, 3),
        "rows": rows,
        "fresh": {one.record["id"]: one.record for one in rows},
        "roles": {f"role-{n}": {"healthy": 9988, "dead": n} for n in range(20)},
        "recent": [(NOW_MS, {"type": "transition", "id": "dead-3", "from": "unhealthy", "to": "dead", "reason": LONG})],
        **more,
    }
    return Board(**given)  # type: ignore[arg-type]  # the fields of a board


def told(lines: list[str]) -> list[str]:
    return [COLOUR.sub("", line) for line in lines]


@pytest.mark.parametrize("utf_8", [True, False])
@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("selected", [0, 11, 23])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (54, 24), (112, 40), (80, 8), (80, 3), (240, 70)])
def test_a_frame_has_the_lines_of_the_terminal_none_wider_and_the_selected_row(
    width: int, height: int, selected: int, colour: bool, utf_8: bool
) -> None:
    screen = Terminal(colour=colour, unicode=utf_8, width=width)
    for link in (Link(100), Link(22_000, late=True), Link(22_000, late=True, lost_ms=20_000, why="it is loading")):
        for freshness in (Freshness(NOW_MS, NOW_MS, led=True), Freshness(NOW_MS, NOW_MS - 9000, led=False)):
            shown = frame(screen, board(freshness=freshness, braked_ms=NOW_MS), Focus(selected=selected), link, height)
            assert len(shown.lines) == height
            assert max(columns(line) for line in told(shown.lines)) <= width
            assert shown.first <= selected < shown.first + shown.count
            assert sum(line.startswith("▸" if utf_8 else "*") for line in told(shown.lines)) == 1


def test_a_row_says_state_id_role_how_long_last_beat_reason_and_what_comes_next() -> None:
    narrow = told(frame(Terminal(unicode=True, width=80), board(), Focus(selected=3), Link(), 60).lines)
    at = next(n for n, line in enumerate(narrow) if line.startswith("▸"))
    assert narrow[at].split() == ["▸", "✖", "Dead", "dead-3", "a-role-with-a-…", "1", "m", "3", "s", "ago"]
    assert narrow[at + 1].startswith("      no heartbeat for 180.0 s (dead after")
    assert narrow[at + 1].endswith("…; restart attempt 3/5 in 21 s")
    wide = told(frame(Terminal(unicode=True, width=160), board(), Focus(selected=3), Link(), 60).lines)
    line = next(line for line in wide if line.startswith("▸"))
    assert "no heartbeat for 180.0 s (dead after 180 s)" in line
    assert line.endswith("restart attempt 3/5 in 21 s")


@pytest.mark.parametrize(
    ("link", "freshness", "says"),
    [
        (Link(), Freshness(NOW_MS, NOW_MS, led=True), "mon-a leads for 2 h, 3 replicas · live "),
        (Link(22_000, late=True), Freshness(NOW_MS, NOW_MS, led=True), "Reconnecting… data is 22 s old"),
        (
            Link(22_000, late=True, lost_ms=22_000),
            Freshness(NOW_MS, NOW_MS, led=True),
            "Redis unreachable for 22 s; trying again",
        ),
        (Link(), Freshness(NOW_MS, NOW_MS - 12_000, led=False), "No leader for 12 s: states below are frozen"),
        (Link(), Freshness(NOW_MS, NOW_MS - 40_000, led=True), "the leader has written nothing for 40 s"),
        (Link(), Freshness(NOW_MS, 0, led=False), "no leader and no data yet"),
    ],
)
def test_live_no_leader_and_no_redis_are_told_apart_in_words(link: Link, freshness: Freshness, says: str) -> None:
    lines = told(frame(Terminal(unicode=True, width=120), board(freshness=freshness), Focus(), link, 40).lines)
    assert says in lines[0]
    assert any("(as of " in line for line in lines) == (link.late or bool(link.lost_ms))


def test_what_may_not_be_true_any_more_is_grey() -> None:
    screen = Terminal(colour=True, unicode=True, width=80)
    live, lost = (frame(screen, board(), Focus(), link, 40).lines for link in (Link(), Link(9000, lost_ms=9000)))
    assert any("\x1b[31m✖ Dead" in line for line in live[5:])
    assert not any("\x1b[31m✖ Dead" in line for line in lost[6:36])


def test_the_worst_role_comes_first_and_the_rest_is_said_to_be_left_out() -> None:
    lines = told(frame(Terminal(unicode=True, width=80), board(), Focus(), Link(), 40).lines)
    roles = next(n for n, line in enumerate(lines) if line.startswith("Roles"))
    assert lines[roles].startswith("Roles   role-19 9 988 ✔ 19 ✖   role-18 9 988 ✔ 18 ✖")
    assert lines[roles + 1].endswith("and 15 more roles")
    assert lines[roles + 2].startswith("Recent")


def test_a_plain_screen_has_every_word_and_no_key() -> None:
    shown = plain_frame(Terminal(unicode=True), board(), Focus(search="role:api"))
    assert LONG in "\n".join(shown.lines)
    assert shown.count == 24
    assert "search role:api: 1-24 of 24" in "\n".join(shown.lines)
    assert "q quit" not in "\n".join(shown.lines)
    assert not any(line != line.rstrip() for line in shown.lines)


def test_letters_of_two_columns_do_not_push_a_line_over_the_edge() -> None:
    wide = row(1, "dead", reason="ディスクがいっぱいです" * 6, role="役割の長い名前です本当に")
    for width in (80, 140):
        lines = frame(Terminal(unicode=True, width=width), board(rows=[wide], fresh={}), Focus(), Link(), 24).lines
        assert max(columns(line) for line in told(lines)) <= width
