"""Which state the evidence asks for, rule by rule, told as what a leader decides over time."""

from __future__ import annotations

from typing import Any

import pytest

from healthmon.core.blindness import Blindness, Stretch
from healthmon.core.component import Component, HealthState, Status
from healthmon.core.policy import Defaults, Policy
from healthmon.core.rules import Moment, judge
from tests.core.shard import Shard

# The stages of the specification's own test, at a tenth of a second.
QUICK = Defaults(
    heartbeat_timeout_ms=500, degraded_threshold_ms=1_000, dead_threshold_ms=2_000, startup_timeout_ms=3_000
)


def quick(**changes: int) -> Shard:
    given = {name: getattr(QUICK, name) for name in QUICK.__slots__}
    return Shard(Defaults(**{**given, **changes}))


# -- silence ---------------------------------------------------------------------------------------------------------


def test_silence_climbs_one_stage_at_a_time_exact_to_the_millisecond() -> None:
    shard = quick()
    shard.say(after_s=0.1)
    shard.watch(5)
    assert shard.path() == [(0.1, "healthy"), (0.6, "degraded"), (1.1, "unhealthy"), (2.1, "dead")]
    assert shard["a"].reason == "no heartbeat for 2.0 s (dead after 2 s)"


def test_a_millisecond_before_the_threshold_nothing_is_decided() -> None:
    shard = quick()
    shard.say()
    shard.watch(0.499)
    assert shard.state() == "healthy"
    shard.watch(0.001)
    assert shard.state() == "degraded"


def test_whatever_was_missed_each_stage_is_committed_on_its_own() -> None:
    shard = quick()
    shard.say()
    component = shard["a"]
    late = Moment(shard.now_ms + 10_000, Blindness())
    states = []
    for _ in range(3):
        verdict = judge(component, late)
        component.state, component.rule, component.since_ms = verdict.state, verdict.rule, late.now_ms
        states.append(verdict.state.value)
    assert states == ["degraded", "unhealthy", "dead"]


def test_the_first_heartbeat_clears_silence_from_any_stage() -> None:
    for silent_s, state in ((0.6, "degraded"), (1.2, "unhealthy"), (2.5, "dead")):
        shard = quick()
        shard.say()
        shard.watch(silent_s)
        assert shard["a"].state == state
        shard.say()
        assert shard.state() == "healthy"
        assert "heard from again" in shard["a"].reason


def test_one_never_heard_from_is_silent_from_the_end_of_the_time_given_to_start() -> None:
    shard = quick()
    shard.declare()
    shard.watch(6)
    assert shard.path() == [(3.5, "degraded"), (4.0, "unhealthy"), (5.0, "dead")]
    assert shard["a"].reason.startswith("never heard from for 2.0 s")


def test_the_stages_follow_the_interval_that_is_announced() -> None:
    shard = quick()
    shard.say(interval=1)
    shard.watch(5)
    assert shard.path() == [(0, "healthy"), (2, "degraded"), (3, "unhealthy"), (4, "dead")]


def test_a_policys_thresholds_hold_though_a_longer_interval_is_announced() -> None:
    shard = quick()
    shard.declare(heartbeat_timeout=0.7, degraded_threshold=0.8, dead_threshold=0.9)
    shard.say(interval=60)
    shard.watch(1)
    assert shard.path() == [(0, "healthy"), (0.7, "degraded"), (0.8, "unhealthy"), (0.9, "dead")]


def test_stages_that_fall_on_one_moment_are_climbed_in_three_rounds() -> None:
    shard = quick()
    shard.declare(dead_threshold=2.0)
    shard.say(interval=3_600)
    shard.watch(3)
    assert shard.path() == [(0, "healthy"), (2, "degraded"), (2.001, "unhealthy"), (2.002, "dead")]


def test_a_component_that_says_it_is_bad_does_not_climb_sooner_when_it_falls_silent() -> None:
    shard = quick()
    shard.say(status="failing")
    shard.watch(3)
    assert shard.path() == [(0, "unhealthy"), (2, "dead")]


# -- blind time ------------------------------------------------------------------------------------------------------


def test_blind_time_is_not_silence() -> None:
    shard = quick()
    shard.say()
    shard.go_blind(60)
    assert shard.state() == "healthy"
    shard.watch(3)
    assert shard.path() == [(0, "healthy"), (60.5, "degraded"), (61, "unhealthy"), (62, "dead")]


def test_a_pause_of_three_canaries_is_not_blind_yet() -> None:
    shard = quick()
    shard.say()
    assert shard.table.canary_ms == 83
    shard.go_blind(0.249)
    assert not shard.table.blindness.stretches
    shard.go_blind(0.250)
    assert shard.table.blindness.stretches == [Stretch(shard.now_ms - 250, shard.now_ms)]


def test_blind_time_is_excused_within_a_stage_too() -> None:
    shard = quick()
    shard.say()
    shard.watch(1.5)
    shard.go_blind(10)
    shard.watch(1)
    assert shard.path() == [(0, "healthy"), (0.5, "degraded"), (1, "unhealthy"), (12, "dead")]


def test_what_silence_has_done_only_a_proof_of_life_undoes() -> None:
    shard = quick()
    shard.say()
    shard.watch(0.6)
    shard.table.note_blind(shard.now_ms - 600, shard.now_ms)
    shard.watch(0.3)
    assert shard.path() == [(0, "healthy"), (0.5, "degraded")]
    shard.watch(2)
    assert shard.path()[2:] == [(1.6, "unhealthy"), (2.6, "dead")]


def test_what_was_excused_for_a_quarter_of_an_hour_is_not_observable() -> None:
    shard = quick()
    shard.say()
    for _ in range(9):
        shard.go_blind(100)
    assert shard.path() == [(0, "healthy"), (900, "unhealthy")]
    assert (shard["a"].rule, shard["a"].reason) == (
        "not_observable",
        "not observable: blind for 900 s since its last heartbeat",
    )
    shard.say()
    assert shard.state() == "healthy"


def test_one_not_observable_still_dies_of_silence() -> None:
    shard = quick()
    shard.say()
    shard.go_blind(900)
    shard.watch(3)
    assert shard.path() == [(0, "healthy"), (900, "unhealthy"), (902, "dead")]


# -- observation -----------------------------------------------------------------------------------------------------


def test_nothing_dies_before_one_timeout_of_observation() -> None:
    shard = quick()
    shard.say()
    shard.table.observing_ms = shard.now_ms + 1_800
    shard.watch(5)
    assert shard.path() == [(0, "healthy"), (0.5, "degraded"), (1, "unhealthy"), (2.3, "dead")]


def test_nothing_dies_while_lost_data_is_being_put_back() -> None:
    shard = quick()
    shard.say()
    shard.table.recovering_until_ms = shard.now_ms + 2_750
    shard.watch(5)
    assert shard.path()[-2:] == [(1, "unhealthy"), (2.75, "dead")]


@pytest.mark.parametrize("after_ms", [0, 1, 499, 500])
def test_whoever_has_to_wait_for_its_death_stays_unhealthy(after_ms: int) -> None:
    shard = quick()
    shard.say()
    shard.watch(1.9)
    component, dead_ms = shard["a"], shard.now_ms + 100
    watched = Moment(dead_ms, Blindness(), observing_ms=dead_ms - after_ms)
    assert judge(component, watched).state.value == ("dead" if after_ms == 500 else "unhealthy")
    recovering = Moment(dead_ms, Blindness(), recovering_until_ms=dead_ms + 500 - after_ms)
    assert judge(component, recovering).state.value == ("dead" if after_ms == 500 else "unhealthy")


# -- goodbye and starting --------------------------------------------------------------------------------------------


def test_after_a_goodbye_silence_rests_until_the_next_heartbeat() -> None:
    shard = quick()
    shard.say()
    shard.say(after_s=0.1, status="stopping", msg="rollout")
    assert (shard["a"].state, shard["a"].reason) == (HealthState.UNKNOWN, "it said goodbye: rollout")
    shard.watch(60)
    assert shard.path() == [(0, "healthy"), (0.1, "unknown")]
    shard.say()
    shard.watch(0.5)
    assert shard.path()[2:] == [(60.1, "healthy"), (60.6, "degraded")]


def test_one_always_expected_climbs_on_from_its_goodbye() -> None:
    shard = quick()
    shard.declare(expected="always")
    shard.say()
    shard.say(after_s=0.1, status="stopping")
    assert shard["a"].reason == "it said goodbye, and is expected back"
    shard.watch(3)
    assert shard.path() == [(0, "healthy"), (0.1, "unknown"), (0.6, "degraded"), (1.1, "unhealthy"), (2.1, "dead")]


def test_a_goodbye_decides_alone_whatever_else_speaks() -> None:
    shard = quick()
    shard.say(latency_ms=9_000)
    assert shard.state() == "unhealthy"
    shard.say(status="stopping", latency_ms=9_000)
    assert shard.state() == "unknown"


def test_while_it_says_starting_it_is_waited_for() -> None:
    shard = quick()
    for _ in range(5):
        shard.say(after_s=0.3, status="starting", latency_ms=9_000)
    assert shard.path() == [(0.3, "initializing")], "starting decides alone, before the score"
    shard.say(latency_ms=5)
    shard.say(latency_ms=5)
    assert shard.state() == "healthy"


def test_starting_for_longer_than_the_time_given_is_degraded() -> None:
    shard = quick()
    for _ in range(40):
        shard.say(after_s=0.1, status="starting")
    assert shard.path() == [(0.1, "initializing"), (3.1, "degraded")]
    assert (shard["a"].rule, shard["a"].reason) == ("own_words", "still starting after 3 s")


def test_starting_holds_only_while_its_heartbeats_come() -> None:
    shard = quick()
    shard.say(status="starting")
    shard.watch(3)
    assert shard.path() == [(0, "initializing"), (0.5, "degraded"), (1, "unhealthy"), (2, "dead")]


# -- own words, score, crash loops -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("degraded", HealthState.DEGRADED, "it says degraded: disk slow"),
        ("failing", HealthState.UNHEALTHY, "it says failing: disk slow"),
    ],
)
def test_own_words_count_at_once_and_ok_takes_them_back(status: str, state: HealthState, reason: str) -> None:
    shard = quick()
    shard.say(status=status, msg="disk slow")
    assert (shard["a"].state, shard["a"].reason, shard["a"].rule) == (state, reason, "own_words")
    shard.say()
    assert (shard["a"].state, shard["a"].reason) == (HealthState.HEALTHY, "it says ok again")


def test_neither_metrics_nor_own_words_make_dead() -> None:
    shard = quick()
    for _ in range(100):
        shard.say(after_s=0.1, status="failing", latency_ms=1e9, error_rate=1e9)
    assert shard.path() == [(0.1, "unhealthy")]


def test_the_specifications_example_is_degraded_and_comes_back() -> None:
    shard = quick()
    shard.say(latency_ms=12)
    shard.say(latency_ms=450, memory_mb=512, cpu_percent=45)
    assert (shard["a"].state, shard["a"].reason) == (HealthState.DEGRADED, "latency_ms 450 above 200")
    shard.say(latency_ms=15)
    assert shard.state() == "degraded", "a bad score clears after two good heartbeats"
    shard.say(latency_ms=15)
    assert (shard["a"].state, shard["a"].reason) == (HealthState.HEALTHY, "latency_ms is 15 again")


def test_the_reason_names_the_limit_that_was_passed() -> None:
    shard = quick()
    shard.declare(score={"request_rate": [100, 50, 20]})
    readings: list[tuple[dict[str, Any], str, str]] = [
        ({"latency_ms": 1_500}, "unhealthy", "latency_ms 1500 above 1000"),
        ({"error_rate": 2}, "degraded", "error_rate 2 above 1"),
        ({"request_rate": 30}, "degraded", "request_rate 30 below 50"),
        ({"request_rate": 5}, "unhealthy", "request_rate 5 below 20"),
        ({"cpu_percent": 100}, "degraded", "cpu_percent 100 above 95"),
    ]
    for said, state, reason in readings:
        component = shard["a"]
        component.metrics, component.band, component.good_streak = {}, 0, 0
        component.state, component.rule, component.turns = HealthState.HEALTHY, "", ()
        shard.say(**said)
        assert (shard["a"].state, shard["a"].reason) == (state, reason)


def test_the_worst_rule_wins_and_ties_go_by_order() -> None:
    shard = quick()
    shard.say(status="degraded", latency_ms=9_000)
    assert (shard["a"].state, shard["a"].rule) == (HealthState.UNHEALTHY, "score")
    other = quick()
    other.say(status="degraded", latency_ms=450)
    assert (other["a"].state, other["a"].rule) == (HealthState.DEGRADED, "score")


def test_more_restarts_of_its_own_than_retries_within_the_time_are_a_crash_loop() -> None:
    shard = quick(max_retries=2, reset_after_ms=10_000)
    for number in range(1, 5):
        shard.say(after_s=0.2, incarnation=f"i{number}")
    assert shard.path() == [(0.2, "healthy"), (0.8, "degraded")]
    assert (shard["a"].rule, shard["a"].reason) == ("crash_loop", "crash loop: it restarted 3 times in 10 s")
    for _ in range(60):
        shard.say(after_s=0.2, incarnation="i4")
    assert shard.path()[2:] == [(10.4, "healthy")], "the first restart, at 0.4, is ten seconds past"


def test_a_crash_loop_ends_to_the_millisecond_though_older_restarts_are_remembered() -> None:
    shard = quick(max_retries=1, reset_after_ms=5_000)
    shard.declare(heartbeat_timeout=100, degraded_threshold=200, dead_threshold=300)
    shard.say(incarnation="i0")
    shard.say(after_s=1, incarnation="i1")
    shard.say(after_s=6, incarnation="i2")
    shard.say(after_s=1, incarnation="i3")
    assert shard.path() == [(0, "healthy"), (8, "degraded")]
    shard.watch(5)
    assert shard.path()[2:] == [(12, "healthy")]


def test_restarts_after_a_goodbye_are_no_crash_loop() -> None:
    shard = quick(max_retries=1)
    for number in range(5):
        shard.say(after_s=0.2, incarnation=f"i{number}")
        shard.say(incarnation=f"i{number}", status="stopping")
    assert "degraded" not in {state for _, state in shard.path()}
    assert shard["a"].restart_count == 4


def test_a_blank_record_is_unknown() -> None:
    blank = Component("a", 0, Policy(), Policy().limits(QUICK))
    assert judge(blank, Moment(0, Blindness())).state is HealthState.UNKNOWN
    blank.status = Status.STOPPING
    assert judge(blank, Moment(0, Blindness())).state is HealthState.UNKNOWN
