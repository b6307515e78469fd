from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from healthmon.views.words import ago, duration, moment, number, plural, printable, read_duration_ms, seconds

NOON_MS = 1_795_521_600_000  # 2026-11-24T12:00:00Z


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (420, "0.4 s"),
        (999, "0.9 s"),
        (1000, "1 s"),
        (43_900, "43 s"),
        (60_000, "1 m"),
        (125_000, "2 m 5 s"),
        (754_000, "12 m"),
        (7_440_000, "2 h 4 m"),
        (187_200_000, "2 d 4 h"),
        (45 * 86_400_000 + 7_200_000, "45 d"),
    ],
)
def test_a_duration_is_said_in_at_most_two_units(ms: int, said: str) -> None:
    assert duration(ms) == said


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        *(("90s", 90_000), ("15m", 900_000), ("2h", 7_200_000), ("1.5 d", 129_600_000), ("250ms", 250)),
        *(("", None), ("2", None), ("h", None), ("-2h", None), ("2w", None), ("1e3s", None), ("٣h", None)),
        ("9" * 13 + "s", None),
    ],
)
def test_a_duration_is_read_with_its_unit(text: str, ms: int | None) -> None:
    assert read_duration_ms(text) == ms


def test_a_short_duration_has_one_unit() -> None:
    assert [duration(ms, short=True) for ms in (125_000, 187_200_000, 9000)] == ["2 m", "2 d", "9 s"]


def test_what_never_happened_is_never_ago() -> None:
    assert (ago(0, NOON_MS), ago(NOON_MS - 43_000, NOON_MS)) == ("never", "43 s ago")


def test_a_moment_of_today_has_no_date() -> None:
    assert moment(NOON_MS - 5000, NOON_MS, UTC) == "11:59:55"
    assert moment(NOON_MS - 4886, NOON_MS, UTC, exact=True) == "11:59:55.114"


def test_a_moment_of_another_day_or_year_says_which() -> None:
    assert moment(NOON_MS - 86_400_000, NOON_MS, UTC) == "23 Nov 12:00:00"
    assert moment(NOON_MS - 400 * 86_400_000, NOON_MS, UTC) == "2025-10-20 12:00:00"


def test_today_is_the_readers_today() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert moment(NOON_MS, NOON_MS + 4 * 3_600_000, UTC) == "12:00:00"
    assert moment(NOON_MS, NOON_MS + 4 * 3_600_000, tokyo) == "24 Nov 21:00:00"


def test_numbers_and_counts_are_easy_to_read() -> None:
    assert (number(9988), number(1_000_000), number(7)) == ("9 988", "1 000 000", "7")
    assert (plural(1, "component"), plural(2, "stretch", "stretches")) == ("1 component", "2 stretches")
    assert (seconds(0), seconds(2500), seconds(180_000)) == ("0 s", "2.5 s", "180 s")


def test_what_would_move_a_cursor_is_replaced() -> None:
    assert printable("bad\x1b[2Jword\n") == "bad�[2Jword�"
