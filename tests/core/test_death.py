"""What follows from a death: the next attempt or the last word, and what is kept of the failure."""

from __future__ import annotations

import pytest

from healthmon.core.death import ended_as, gives_up, has_method, remaining
from healthmon.core.policy import Defaults
from tests.core.shard import Shard
from tests.core.supervised import PATIENT, PROBE, QUICK, RESTART, STAGES, claimed, shard_of, supervised

# -- what is next ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restart", "has"),
    [
        ({}, False),
        ({"method": "none"}, False),
        ({"max_retries": 0}, False),
        ({"max_retries": 1}, True),
        (RESTART, True),
    ],
)
def test_without_a_method_or_a_retry_nothing_follows_a_death(restart: dict[str, object], has: bool) -> None:
    shard = shard_of(restart=restart)
    shard.say()
    shard.watch(60)
    assert has_method(shard["a"]) is has
    if not has:
        assert (shard.state(), shard["a"].restart.next_ms, gives_up(shard["a"], 99)) == ("dead", 0, False)
    else:
        assert "restarting" in [state for _, state in shard.path()]


def test_the_due_time_is_committed_with_the_death_and_jitter_spreads_it() -> None:
    due_ms = set()
    for name in "abcdefgh":
        shard = Shard(QUICK)
        shard.declare(name, restart={**RESTART, "jitter": True})
        shard.watch(20)
        (death,) = [one for one in shard.events if one.target == "dead"][:1]
        due_ms.add(death.set["restart"]["next_ms"] - death.at_ms)
    assert len(due_ms) == 8
    assert all(4_200 <= one <= 5_800 for one in due_ms)


def test_the_first_attempts_of_two_incidents_are_spread_differently() -> None:
    shard = supervised(jitter=True)
    waits = set()
    for _ in range(2):
        shard.watch(4)
        waits.add(shard["a"].restart.next_ms - shard["a"].since_ms)
        shard.say(incarnation="i1")
    assert len(waits) == 2


def test_what_remains_names_each_attempt_and_the_earliest_time_it_can_be_due() -> None:
    shard = supervised(max_retries=4)
    assert remaining(shard["a"]) == []
    shard.watch(4)
    at_ms = shard.now_ms
    assert remaining(shard["a"]) == [
        (1, at_ms + 5_000),
        (2, at_ms + 15_000),
        (3, at_ms + 35_000),
        (4, at_ms + 75_000),
    ]
    shard.watch(5)
    shard.finish(ok=0)
    assert remaining(shard["a"]) == [(2, at_ms + 15_000), (3, at_ms + 35_000), (4, at_ms + 75_000)]


def test_with_jitter_no_attempt_is_due_before_what_was_said_to_be_the_earliest() -> None:
    shard = supervised(max_retries=4, jitter=True)
    shard.watch(4)
    told = dict(remaining(shard["a"]))
    for attempt in (1, 2, 3, 4):
        due_ms = shard["a"].restart.next_ms
        assert due_ms >= told[attempt]
        shard.watch((due_ms - shard.now_ms) / 1000)
        shard.finish(ok=0)
    assert told[4] - told[1] == round(0.84 * (10_000 + 20_000 + 40_000))


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_the_failure_has_the_last_metrics_the_last_words_and_the_time() -> None:
    shard = shard_of()
    shard.say(latency_ms=40, msg="flushing")
    shard.watch(4)
    assert shard["a"].failure == {"at_ms": shard.now_ms, "metrics": {"latency_ms": 40.0}, "said": "flushing"}


def test_what_changed_in_the_minute_before_it_fell_silent_is_kept_in_order() -> None:
    shard = shard_of(Defaults())
    shard.say(version="1.0", host="h1", incarnation="i1")
    shard.watch(29)
    shard.ask("hold", by="alice")
    shard.watch(16)
    for _ in range(3):
        shard.say(after_s=15, version="1.1", host="h2", incarnation="i2")
    shard.ask("resume", by="bob")
    shard.watch(180)
    assert shard.state() == "dead"
    assert shard["a"].failure["changed"] == [
        "another incarnation: i1 -> i2",
        "host h1 -> h2",
        "it restarted by itself",
        "version 1.0 -> 1.1",
        "automatic restarts resumed by bob",
    ]


def test_the_dependencies_that_were_down_are_named() -> None:
    shard = Shard(QUICK)
    shard.declare("db")
    shard.declare("a", depends_on=["db", "elsewhere"])
    shard.say("db")
    shard.say("a", after_s=2)
    for _ in range(3):
        shard.say("a", after_s=0.9)
    shard.watch(10)
    assert shard.state("db") == "dead"
    assert shard["a"].failure["dependencies"] == ["db"]


def test_an_exit_is_kept_with_its_code_lines_and_peak() -> None:
    shard = supervised()
    shard.report("exit", incarnation="i1", code=137, signal="SIGKILL", lines="a\nb", peak_mb=812.5, uptime_s=3.2)
    known = shard["a"].failure
    assert {name: known[name] for name in ("code", "signal", "lines", "peak_mb", "uptime_s", "incarnation")} == {
        "code": 137,
        "signal": "SIGKILL",
        "lines": "a\nb",
        "peak_mb": 812.5,
        "uptime_s": 3.2,
        "incarnation": "i1",
    }
    assert ended_as(known) == "killed by SIGKILL"


@pytest.mark.parametrize(
    ("failure", "words"),
    [({"code": 0}, "exited with code 0"), ({"signal": "", "code": 3}, "exited with code 3"), ({"at_ms": 5}, "")],
)
def test_how_it_ended_is_told_where_somebody_saw_it(failure: dict[str, object], words: str) -> None:
    assert ended_as(failure) == words


def test_every_death_tells_its_own_failure() -> None:
    shard = claimed()
    shard.report("exit", incarnation="i2", code=1)
    assert shard["a"].failure["code"] == 1
    shard.watch(10)
    shard.finish(ok=0)
    assert "code" not in shard["a"].failure


def test_a_death_by_probes_alone_has_a_failure_too() -> None:
    shard = shard_of(probe=PROBE, breaker=PATIENT, **STAGES)
    shard.probe()
    shard.watch(4)
    shard.probe("refused")
    assert shard.state() == "dead"
    assert shard["a"].failure["metrics"] == {"latency_ms": 10.0}
