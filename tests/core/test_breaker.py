"""When a circuit breaker opens, is tried again and closes, and which evidence answers which failures."""

from __future__ import annotations

from typing import Any

import pytest

from healthmon.core.event import Event, EventType
from healthmon.core.policy import Defaults
from tests.core.shard import START_MS, Shard, flat

# Silence plays no part here.
CALM = Defaults(heartbeat_timeout_ms=10**8, degraded_threshold_ms=2 * 10**8, dead_threshold_ms=3 * 10**8)
PROBE = {"url": "tcp://db:5432", "interval": 5}


def shard_of(defaults: Defaults = CALM, /, **policy: Any) -> Shard:
    shard = Shard(defaults)
    shard.declare(**policy)
    return shard


def opened(by: str = "recorded", **policy: Any) -> Shard:
    """A shard whose component's breaker was just opened by failures of this source."""
    given = {"probe": PROBE, **policy} if by == "probe" else policy
    shard = shard_of(**given)
    for _ in range(shard["a"].limits.breaker.failures):
        if by == "probe":
            shard.probe("failed")
        elif by == "words":
            shard.say(status="failing")
        else:
            shard.report("failure", detail="500")
    assert (state(shard), shard["a"].breaker.by) == ("open", by)
    return shard


def state(shard: Shard) -> str:
    return shard["a"].breaker.state


def turns(shard: Shard) -> list[tuple[float, str]]:
    """How the breaker turned: seconds since the start, and what it became."""
    kept = [one for one in shard.events if one.type is EventType.BREAKER]
    return [((one.at_ms - START_MS) / 1000, one.set["breaker"]["state"]) for one in kept]


def last_turn(shard: Shard) -> Event:
    return [one for one in shard.events if one.type is EventType.BREAKER][-1]


# -- closed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["recorded", "words", "probe"])
def test_five_failures_in_a_row_open_it_and_the_component_is_unhealthy_in_the_same_commit(by: str) -> None:
    shard = opened(by)
    assert turns(shard) == [(0, "open")]
    assert shard.state() == "unhealthy"
    assert last_turn(shard).reason.startswith("5 failures in a row, the last: ") or by == "probe"
    assert "tried again in 60 s" in last_turn(shard).reason


def test_four_failures_leave_it_closed_and_the_threshold_is_the_policys() -> None:
    shard = shard_of()
    for _ in range(4):
        shard.report("failure")
    assert state(shard) == "closed"
    other = shard_of(breaker={"failure_threshold": 2})
    other.report("failure")
    assert state(other) == "closed"
    other.report("failure")
    assert state(other) == "open"


def test_failures_of_several_sources_add_up() -> None:
    shard = shard_of(probe=PROBE)
    shard.say(status="failing")
    shard.say(status="failing")
    shard.report("failure", detail="500")
    shard.probe("failed", detail="no answer")
    assert state(shard) == "closed"
    shard.probe("failed", detail="no answer")
    assert state(shard) == "open"
    assert last_turn(shard).reason == "5 failures in a row, the last: no answer; tried again in 60 s"


def test_an_ok_heartbeat_answers_own_words_and_what_was_recorded_but_no_probe() -> None:
    shard = shard_of(probe=PROBE)
    for _ in range(10):
        shard.say(status="failing")
        shard.say()
        shard.report("failure")
        shard.say()
    assert turns(shard) == []
    for _ in range(5):
        shard.probe("failed")
        shard.say()
    assert turns(shard) == [(0, "open")], "a beating process with a closed port must open its breaker"


def test_a_good_probe_answers_probes_and_what_was_recorded_but_not_own_words() -> None:
    shard = shard_of(probe=PROBE)
    for _ in range(10):
        shard.probe("failed")
        shard.report("failure")
        shard.probe()
    assert turns(shard) == []
    for _ in range(4):
        shard.say(status="failing")
        shard.probe()
    shard.say(status="failing")
    assert turns(shard) == [(0, "open")]


def test_a_degraded_word_is_neither_a_failure_nor_an_answer() -> None:
    shard = shard_of()
    for _ in range(4):
        shard.report("failure")
        shard.say(status="degraded")
    assert state(shard) == "closed"
    shard.report("failure")
    assert state(shard) == "open"


def test_a_failed_restart_is_a_failure_that_a_heartbeat_or_a_good_probe_answers() -> None:
    shard = shard_of(Defaults(), restart={"method": "handler", "max_retries": 9}, probe=PROBE)
    for answer in (shard.probe, shard.say):
        shard.watch(1)
        shard.ask("restart")
        shard.finish(ok=0, detail="no such host")
        assert (shard["a"].failures.recorded, shard["a"].failures.source) == (1, "restart")
        shard.watch(1)
        answer()
        assert shard["a"].failures.recorded == 0


def test_failed_restarts_alone_open_it_and_the_first_ok_heartbeat_half_opens_it() -> None:
    shard = shard_of(Defaults(), restart={"method": "handler", "max_retries": 9}, breaker={"failure_threshold": 2})
    for _ in range(2):
        shard.ask("restart")
        shard.finish(ok=0, detail="no such host")
    assert (state(shard), shard["a"].breaker.by) == ("open", "restart")
    shard.say(after_s=1)
    assert (state(shard), shard.state()) == ("half_open", "degraded")
    shard.say()
    assert (state(shard), shard.state()) == ("closed", "healthy")


def test_switched_off_it_never_opens_and_an_open_one_closes() -> None:
    shard = shard_of(Defaults(circuit_breakers=False))
    for _ in range(9):
        shard.report("failure")
    assert turns(shard) == []
    was_on = opened()
    was_on.table.defaults = was_on.defaults = Defaults(circuit_breakers=False)
    was_on.ask("reset-breaker")
    assert state(was_on) == "closed"
    again = opened()
    again["a"].limits = again["a"].policy.limits(Defaults(circuit_breakers=False))
    again.say()
    assert (state(again), last_turn(again).reason) == ("closed", "circuit breakers are off")


# -- open --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["recorded", "words", "probe"])
def test_after_its_time_it_is_half_open_for_one_try(by: str) -> None:
    shard = opened(by)
    shard.watch(59.999)
    assert state(shard) == "open"
    shard.watch(0.001)
    assert turns(shard)[1:] == [(60, "half_open")]
    assert last_turn(shard).reason == "half open after 60 s: one try"


@pytest.mark.parametrize("by", ["recorded", "words"])
def test_an_ok_heartbeat_half_opens_it_at_once_and_is_the_first_success(by: str) -> None:
    shard = opened(by)
    shard.say(after_s=5)
    assert (state(shard), last_turn(shard).reason) == ("half_open", "heard ok again: half open")
    shard.say(after_s=1)
    assert turns(shard)[1:] == [(5, "half_open"), (6, "closed")]
    assert last_turn(shard).reason == "2 successes in a row"
    assert shard.state() == "healthy"


def test_a_heartbeat_half_opens_only_a_breaker_that_no_probe_opened() -> None:
    shard = opened("probe")
    for _ in range(20):
        shard.say(after_s=1)
    assert turns(shard) == [(0, "open")]
    mixed = shard_of(probe=PROBE)
    for _ in range(4):
        mixed.report("failure")
    mixed.probe("failed")
    mixed.say(after_s=1)
    assert (state(mixed), mixed["a"].breaker.by) == ("open", "probe")


def test_a_heartbeat_that_is_not_ok_half_opens_nothing() -> None:
    shard = opened("words")
    for word in ("failing", "degraded", "starting", "stopping"):
        shard.say(after_s=1, status=word)
    assert turns(shard) == [(0, "open")]


def test_failures_before_the_heartbeat_that_half_opened_it_are_not_of_the_trial() -> None:
    shard = opened("words")
    for _ in range(3):
        shard.say(after_s=1, status="failing")
    shard.say(after_s=1)
    assert turns(shard)[1:] == [(4, "half_open")]
    shard.say(after_s=1)
    assert turns(shard)[2:] == [(5, "closed")]


def test_a_failure_after_it_in_the_same_read_fails_the_trial() -> None:
    shard = opened("words")
    shard.watch(1)
    shard.hear(*(flat(shard.now_ms, seq=900 + n, status=word) for n, word in enumerate(("ok", "failing"))))
    shard.watch(1)
    assert [what for _, what in turns(shard)] == ["open", "half_open", "open"]


def test_failures_while_it_is_open_do_not_prolong_it() -> None:
    shard = opened()
    for _ in range(5):
        shard.watch(10)
        shard.report("failure")
    shard.watch(10)
    assert turns(shard)[1:] == [(60, "half_open")]


# -- half open ---------------------------------------------------------------------------------------------------------


def half_open(by: str = "probe", **policy: Any) -> Shard:
    shard = opened(by, **policy)
    shard.watch(60)
    assert state(shard) == "half_open"
    return shard


def test_half_open_two_successes_close_it_and_it_counts_anew() -> None:
    shard = half_open()
    shard.probe()
    assert (state(shard), shard.state()) == ("half_open", "degraded")
    shard.probe()
    assert (state(shard), shard.state()) == ("closed", "healthy")
    for _ in range(4):
        shard.probe("failed")
    assert state(shard) == "closed"


def test_how_many_successes_close_it_is_the_policys() -> None:
    shard = half_open(breaker={"success_threshold": 1})
    shard.probe()
    assert state(shard) == "closed"


def test_half_open_by_a_probe_heartbeats_do_not_close_it() -> None:
    shard = half_open()
    for _ in range(9):
        shard.say()
    assert state(shard) == "half_open"


@pytest.mark.parametrize("what", ["probe", "words", "recorded"])
def test_half_open_one_failure_of_any_source_opens_it_for_longer(what: str) -> None:
    shard = half_open()
    if what == "probe":
        shard.probe("failed", detail="refused")
    elif what == "words":
        shard.say(status="failing", msg="refused")
    else:
        shard.report("failure", detail="refused")
    assert state(shard) == "open"
    assert "failed while half open" in last_turn(shard).reason
    assert shard["a"].breaker.until_ms - shard.now_ms == 120_000
    assert shard["a"].breaker.by == "probe", "it is still for probes to close"


def test_it_reopens_for_twice_as_long_each_time_and_never_for_more_than_600_s() -> None:
    shard = opened("probe")
    spans = []
    for _ in range(7):
        breaker = shard["a"].breaker
        spans.append((breaker.until_ms - breaker.at_ms) // 1000)
        shard.watch(spans[-1])
        shard.probe("failed")
    assert spans == [60, 120, 240, 480, 600, 600, 600]
    closed = half_open()
    for _ in range(2):
        closed.probe()
    for _ in range(5):
        closed.probe("failed")
    assert closed["a"].breaker.until_ms - closed.now_ms == 60_000, "closed in between, it begins anew"


def test_a_permit_that_expires_is_a_failure_so_that_it_is_never_stuck_half_open() -> None:
    shard = half_open()
    shard.watch(9.999)
    assert state(shard) == "half_open"
    shard.watch(0.001)
    assert turns(shard)[2:] == [(70, "open")]
    assert last_turn(shard).reason == "the probe that was permitted gave no result; tried again in 120 s"
    shard.watch(2_200)
    spans = [b - a for (a, what), (b, _) in zip(turns(shard), turns(shard)[1:], strict=False) if what == "open"]
    assert spans[:5] == [60, 120, 240, 480, 600]


def test_each_result_gives_the_next_probe_a_permit_of_its_own() -> None:
    shard = half_open(breaker={"success_threshold": 3})
    for _ in range(2):
        shard.watch(9)
        shard.probe()
    assert state(shard) == "half_open"
    shard.watch(10)
    assert state(shard) == "open"


def test_half_open_without_probes_it_waits_for_heartbeats_however_long() -> None:
    shard = half_open("words")
    shard.watch(900)
    assert state(shard) == "half_open"
    shard.say()
    shard.say()
    assert state(shard) == "closed"


def test_one_that_a_probe_opened_is_answered_by_heartbeats_once_it_is_probed_no_more() -> None:
    for shard in (opened("probe"), half_open()):
        shard.register(probe={})
        shard.say(after_s=1)
        shard.say(after_s=1)
        assert state(shard) == "closed"


# -- late results ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["ok", "failed", "refused"])
def test_a_late_result_of_an_older_generation_changes_nothing(outcome: str) -> None:
    shard = half_open()
    shard.probe()
    known, before = shard["a"].probes, len(shard.events)
    shard.watch(1)
    shard.probe(outcome, generation=0)
    assert shard["a"].probes == known
    assert (state(shard), len(shard.events)) == ("half_open", before)


def test_a_late_result_while_half_open_neither_decides_nor_prolongs_the_permit() -> None:
    shard = half_open()
    shard.watch(9)
    shard.probe("failed", generation=0)
    assert state(shard) == "half_open"
    shard.watch(1)
    assert turns(shard)[2:] == [(70, "open")]


def test_late_failures_after_it_was_reset_do_not_open_it_again() -> None:
    shard = opened("probe")
    shard.say()
    shard.ask("reset-breaker", by="alice", reason="port is open again")
    for _ in range(9):
        shard.probe("failed", generation=0)
    assert (state(shard), shard.state()) == ("closed", "healthy")
    assert last_turn(shard).reason == "open circuit breaker reset by alice: port is open again"


# -- reset -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["recorded", "words", "probe"])
def test_reset_closes_it_and_all_counts_begin_anew(by: str) -> None:
    shard = opened(by)
    shard.ask("reset-breaker")
    assert state(shard) == "closed"
    for _ in range(4):
        shard.report("failure")
    assert state(shard) == "closed"
    shard.report("failure")
    assert state(shard) == "open"
    assert shard["a"].breaker.until_ms - shard.now_ms == 60_000


def test_reset_of_a_closed_one_takes_back_the_failures_so_far() -> None:
    shard = shard_of()
    for _ in range(4):
        shard.report("failure")
    shard.ask("reset-breaker")
    shard.report("failure")
    assert state(shard) == "closed"
