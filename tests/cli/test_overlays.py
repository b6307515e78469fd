"""`silence` and `acknowledge` against a real replica, and where both are seen afterwards."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Command, Start
from tests.cli.fleet import Fleet
from tests.cli.test_healing import in_state

ANN = ("--by", "ann")


@pytest.fixture
def silent(start: Start, fleet: Fleet) -> str:
    """A component that says it is degraded, and then nothing more."""
    start("mon-a", HEALTH_DEAD_THRESHOLD="60", HEALTH_DEGRADED_THRESHOLD="50", HEALTH_HEARTBEAT_TIMEOUT="40")
    fleet.do("XADD", fleet.keys.heartbeats, "*", "id", "api-1", "status", "degraded", "msg", "slow disk")
    in_state(fleet, "api-1", "degraded")
    return "api-1"


def test_a_silence_says_until_when_and_why_wherever_it_is_looked_at(
    healthmon: Command, fleet: Fleet, silent: str
) -> None:
    said = healthmon("silence", silent, "--for", "2h", "--reason", "disk swap", *ANN)
    assert (said.code, said.out) == (0, "api-1: silenced for 2 h by ann: disk swap\n")
    assert said.err == "healthmon: undo with `healthmon silence --end api-1`\n"
    (line,) = [one for one in healthmon("ls").lines if "api-1" in one]
    assert line.endswith("; silenced for 1 h 59 m by ann: disk swap")
    (line,) = [one for one in healthmon("status").lines if "api-1" in one]
    assert "silenced for 1 h 59 m" in line
    (line,) = [one for one in healthmon("why", silent).lines if "silenced" in one]
    assert line.endswith("by ann: disk swap")
    assert "until" in line
    why, shown = (json.loads(healthmon(cmd, silent, "-o", "json").out) for cmd in ("why", "show"))
    for name, value in {"silenced_by": "ann", "silenced_reason": "disk swap", "acknowledged_by": None}.items():
        assert (why[name], shown[name] or None) == (value, value)
    assert why["silenced_until"] == shown["silenced_until"]
    assert any("silenced_reason" in line and "disk swap" in line for line in healthmon("show", silent).lines)
    assert "silenced for 2 h by ann: disk swap" in healthmon("events", "--type", "operator").out
    assert fleet.do("HGET", fleet.keys.silence(silent), "reason") == b"disk swap"


def test_silenced_ones_are_hidden_or_alone_where_that_is_asked_for(
    healthmon: Command, fleet: Fleet, silent: str
) -> None:
    fleet.do("XADD", fleet.keys.heartbeats, "*", "id", "api-2")
    in_state(fleet, "api-2", "healthy")
    assert healthmon("silence", silent, "--for", "15m", "--reason", "x", "-o", "name").lines == [silent]
    assert healthmon("ls", "-o", "name").lines == ["api-1", "api-2"]
    assert healthmon("ls", "-o", "name", "--silenced", "hide").lines == ["api-2"]
    assert healthmon("ls", "-o", "name", "--silenced", "only").lines == ["api-1"]
    assert healthmon("ls", "--silenced", "only", "--state", "healthy").err == (
        "healthmon: nothing found among 2 components\n"
    )


def test_a_silence_is_ended_before_its_time(healthmon: Command, silent: str) -> None:
    refused = healthmon("silence", "--end", silent)
    assert (refused.code, refused.err) == (1, "healthmon: refused: api-1 is not silenced\n")
    healthmon("silence", silent, "--for", "2h", "--reason", "x")
    said = healthmon("silence", "--end", silent, *ANN, "--reason", "done")
    assert (said.code, said.out, said.err) == (0, "api-1: silence ended by ann: done\n", "")
    assert "silenced" not in healthmon("ls").out


@pytest.mark.usefixtures("at")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--reason", "x"), "silence takes --for with a duration such as 15m, 2h or 1d; --end ends one"),
        (("--for", "soon", "--reason", "x"), "such as 15m, 2h or 1d, not 'soon'; --end ends one"),
        (("--for", "0s", "--reason", "x"), "not '0s'"),
        (("--for", "31d", "--reason", "x"), "a silence lasts 30d at most, and can be renewed"),
        (("--for", "2h"), "silence takes --reason: whoever misses a message will ask why"),
        (("--for", "2h", "--reason", " "), "silence takes --reason"),
        (("--for", "2h", "--end"), "--end ends a silence now: leave out --for"),
    ],
)
def test_a_silence_without_end_or_reason_is_a_mistake_that_is_named(
    healthmon: Command, words: tuple[str, ...], sentence: str
) -> None:
    said = healthmon("silence", "api-1", *words)
    assert said.code == 2
    assert sentence in said.err


def test_an_acknowledgement_is_seen_until_it_is_well_and_can_be_taken_back(
    healthmon: Command, fleet: Fleet, silent: str
) -> None:
    said = healthmon("acknowledge", silent, *ANN, "--reason", "on my way")
    assert (said.code, said.out) == (0, "api-1: acknowledged by ann: on my way\n")
    assert said.err == "healthmon: undo with `healthmon acknowledge --end api-1`\n"
    (line,) = [one for one in healthmon("ls").lines if "api-1" in one]
    assert line.endswith("; acknowledged by ann")
    assert any("acknowledged  by ann" in one for one in healthmon("why", silent).lines)
    assert healthmon("acknowledge", "--end", silent, *ANN).out == "api-1: no longer acknowledged, said by ann\n"
    healthmon("acknowledge", silent, *ANN)
    fleet.do("XADD", fleet.keys.heartbeats, "*", "id", silent)
    in_state(fleet, silent, "healthy")
    assert json.loads(healthmon("show", silent, "-o", "json").out)["acknowledged_by"] == ""
    refused = healthmon("acknowledge", silent)
    assert (refused.code, refused.err) == (
        1,
        "healthmon: refused: api-1 is healthy: there is nothing to acknowledge\n",
    )


def test_both_say_what_they_would_do(healthmon: Command, fleet: Fleet, silent: str) -> None:
    before = fleet.do("XINFO", "STREAM", fleet.keys.control) if fleet.do("EXISTS", fleet.keys.control) else None
    said = healthmon("silence", silent, "--for", "2h", "--reason", "x", "--dry-run")
    assert (said.code, said.out) == (0, "api-1 would be silenced\n")
    assert healthmon("acknowledge", silent, "--end", "--dry-run").out == "api-1 would be acknowledged no longer\n"
    assert "silenced" not in healthmon("ls").out
    assert before is None or fleet.do("XINFO", "STREAM", fleet.keys.control) == before
