from __future__ import annotations

from datetime import UTC
from typing import Any

from healthmon.views.failure import failure_json, failure_line, failure_lines

NOW = 1_795_462_265_000  # 2026-11-23T19:31:05Z
FAILURE = {
    "code": 3,
    "uptime_s": 12.3,
    "peak_mb": 48.0,
    "lines": "\n".join(f"line {n}" for n in range(1, 8)),
    "changed": ["version 1 -> 2"],
    "dependencies": ["db"],
    "metrics": {"memory_mb": 47.0},
    "at_ms": NOW - 3000,
}


def lines(failure: dict[str, Any], *, wide: bool = False, **metrics: float) -> list[tuple[str, str]]:
    return failure_lines(failure, metrics, NOW, UTC, wide=wide)


def test_a_failure_tells_how_it_ended_what_it_wrote_and_what_had_changed() -> None:
    assert lines(FAILURE) == [
        ("failure", "19:31:02 (3 s ago): exited with code 3 after 12 s, peak memory 48 MB"),
        ("output", "(2 earlier) line 3"),
        *(("", f"line {n}") for n in range(4, 8)),
        ("changed", "version 1 -> 2"),
        ("down", "db when it failed"),
        ("metrics", "memory_mb=47"),
    ]
    assert [text for _, text in lines(FAILURE, wide=True)][1:8] == [f"line {n}" for n in range(1, 8)]


def test_metrics_that_are_still_the_latest_are_not_told_twice() -> None:
    assert "metrics" not in dict(lines(FAILURE, memory_mb=47.0))


def test_a_mere_silence_has_no_line_of_its_own() -> None:
    silence = {"at_ms": NOW - 3000, "changed": ["held by ann"]}
    assert lines(silence) == [("changed", "held by ann")]
    assert failure_line(silence, NOW, UTC) == []


def test_a_signal_is_told_by_its_name_and_words_of_its_own_too() -> None:
    ((_, sentence),) = failure_line({"signal": "SIGKILL", "said": "low memory"}, NOW, UTC)
    assert sentence == "killed by SIGKILL, its last words: low memory"


def test_what_somebody_else_wrote_neither_breaks_nor_steers_anything() -> None:
    strange = {"code": "x", "lines": ["a\x1b[2J", 7], "uptime_s": "long", "peak_mb": "much", "changed": 5, "metrics": 1}
    told = lines(strange)
    assert "\x1b" not in str(told)
    assert ("", "7") in told


def test_programs_read_the_time_of_a_failure_as_rfc_3339() -> None:
    value = failure_json(FAILURE)
    assert value is not None
    assert value["at"] == "2026-11-23T19:31:02.000Z"
    assert "at_ms" not in value
    assert failure_json({}) is None
