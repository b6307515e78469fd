"""What an event changes in a record: the decided half, and nothing of the evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from healthmon.core.attempts import Attempts
from healthmon.core.circuit import Breaker
from healthmon.core.component import Component, HealthState
from healthmon.core.event import Event, EventType, apply, recovered
from healthmon.core.failures import Failures, Probes
from healthmon.core.policy import Defaults, Policy
from tests.core.shard import Shard, evidence

DEFAULTS = Defaults()


def record() -> Component:
    component = Component("a", 1_000, Policy(), Policy().limits(DEFAULTS))
    component.last_heartbeat_ms, component.total_heartbeats, component.alive_since_ms = 5_000, 7, 2_000
    return component


def transition(source: str, target: str, at_ms: int = 6_000, **said: object) -> Event:
    return Event(
        EventType.TRANSITION, "a", rev=3, born_ms=1_000, at_ms=at_ms, reason="so", rule="silence",
        source=source, target=target, epoch=9, set=said,
    )  # fmt: skip


def test_a_transition_moves_the_state_and_what_goes_with_it() -> None:
    component = record()
    before = evidence(component)
    apply(component, transition("healthy", "degraded", incident="a@6000", role="db"), DEFAULTS)
    changed = {name: value for name, value in evidence(component).items() if value != before[name]}
    assert changed == {
        "state": HealthState.DEGRADED,
        "since_ms": 6_000,
        "reason": "so",
        "rule": "silence",
        "previous": "healthy",
        "rev": 3,
        "epoch": 9,
        "incident": "a@6000",
        "role": "db",
        "silent_ms": 6_000,
        "turns": (6_000,),
    }


def test_silence_began_with_its_first_stage_and_ends_with_any_other_rule() -> None:
    component = record()
    apply(component, transition("healthy", "degraded", 6_000), DEFAULTS)
    apply(component, transition("degraded", "unhealthy", 7_000), DEFAULTS)
    apply(component, replace(transition("unhealthy", "dead", 9_000), rule="silence"), DEFAULTS)
    assert component.silent_ms == 6_000
    apply(component, replace(transition("dead", "unhealthy", 9_500), rule="own_words"), DEFAULTS)
    assert component.silent_ms == 0
    apply(component, transition("unhealthy", "dead", 9_900), DEFAULTS)
    assert component.silent_ms == 9_900


def test_every_event_moves_rev_epoch_and_the_mark_of_its_command() -> None:
    component = record()
    event = Event(EventType.OPERATOR, "a", rev=4, born_ms=1_000, at_ms=6_000, cause="77-0", epoch=11)
    apply(component, event, DEFAULTS)
    assert (component.rev, component.epoch, component.control_folded) == (4, 11, "77-0")
    assert component.state is HealthState.UNKNOWN
    apply(component, transition("unknown", "healthy"), DEFAULTS)
    assert component.control_folded == "77-0", "an event without a command moves no mark"


def test_only_what_may_ride_in_an_event_is_set_by_one() -> None:
    component = record()
    apply(component, transition("healthy", "degraded", total_heartbeats=999, nonsense=1), DEFAULTS)
    assert component.total_heartbeats == 7


def test_a_policy_takes_effect_at_once_also_on_the_score() -> None:
    component = record()
    component.metrics, component.score, component.worst_metric = {"latency_ms": 450.0}, 0.60625, "latency_ms"
    component.interval_ms = 60_000
    event = Event(
        EventType.OPERATOR, "a", rev=3, born_ms=1_000, at_ms=6_000,
        set={"policy": '{"dead_threshold":900,"score":{"latency_ms":[500,600,700]}}', "declared": True},
    )  # fmt: skip
    apply(component, event, DEFAULTS)
    assert component.declared
    assert (component.limits.timeout_ms, component.limits.dead_ms) == (120_000, 900_000)
    assert (component.score, component.worst_metric) == (1.0, "")


def test_without_incarnations_uptime_starts_anew_after_dead_and_unknown() -> None:
    for target in ("dead", "unknown"):
        component = record()
        apply(component, transition("unhealthy", target), DEFAULTS)
        assert component.alive_since_ms == 0
        heard_since = record()
        heard_since.last_heartbeat_ms = 6_500
        apply(heard_since, transition("unhealthy", target), DEFAULTS)
        assert heard_since.alive_since_ms == 6_500, "a follower had folded the first heartbeat after already"


def test_an_incarnation_that_was_only_silent_keeps_its_uptime() -> None:
    component = record()
    component.incarnation = "i1"
    apply(component, transition("unhealthy", "dead"), DEFAULTS)
    assert component.alive_since_ms == 2_000


def test_uptime_is_told_of_the_same_incarnation_across_a_death() -> None:
    shard = Shard()
    shard.say(incarnation="i1")
    shard.watch(200)
    assert shard.state() == "dead"
    shard.say(incarnation="i1")
    assert shard["a"].last_heartbeat_ms - shard["a"].alive_since_ms == 200_000
    shard.say(after_s=1, incarnation="i2")
    assert shard["a"].last_heartbeat_ms == shard["a"].alive_since_ms


def test_a_recovered_record_says_where_it_stood_and_repeats_its_rev() -> None:
    component = record()
    apply(component, transition("healthy", "degraded"), DEFAULTS)
    event = recovered(component, "mon-b")
    assert (event.type, event.rev, event.source, event.target) == (EventType.RECOVERED, 3, "healthy", "degraded")
    assert (event.at_ms, event.epoch, event.replica) == (6_000, 9, "mon-b")


def test_a_transition_is_what_the_specification_calls_health_changed() -> None:
    assert EventType["HEALTH_CHANGED"] is EventType("transition")


def test_of_breaker_and_restart_an_event_changes_what_it_says_and_leaves_out_what_it_does_not_know() -> None:
    component = record()
    component.restart = Attempts(done=2, next_ms=7_000, by_itself=1)
    event = Event(
        EventType.RESTART, "a", rev=3, born_ms=1_000, at_ms=6_000,
        set={"restart": {"waits": "mass failure", "mood": 1}, "breaker": {"state": "open", "generation": 4}},
    )  # fmt: skip
    apply(component, event, DEFAULTS)
    assert component.restart == Attempts(done=2, next_ms=7_000, by_itself=1, waits="mass failure")
    assert component.breaker == Breaker("open", generation=4)


def failed_restart(at_ms: int = 6_000, cause: str = "") -> Event:
    return replace(transition("restarting", "dead", at_ms), rule="restart_failed", reason="no such host", cause=cause)


def test_a_failed_restart_counts_as_a_failure_until_something_good_answers_it() -> None:
    component = record()
    apply(component, failed_restart(), DEFAULTS)
    assert component.failures == Failures(recorded=1, total=1, source="restart", detail="no such host", at_ms=6_000)


@pytest.mark.parametrize(
    ("heard_ms", "cause", "answered"), [(5_999, "", 0), (6_000, "", 0), (6_001, "", 1), (6_000, "6000-1", 1)]
)
def test_of_a_follower_that_folded_the_answer_ahead_of_the_failure_the_same_is_left(
    heard_ms: int, cause: str, answered: int
) -> None:
    """Within one millisecond a report is read before a heartbeat; what time alone decided, after it."""
    component = record()
    component.last_heartbeat_ms = heard_ms
    apply(component, failed_restart(cause=cause), DEFAULTS)
    assert (component.failures.recorded, component.failures.total) == (1 - answered, 1)


def test_a_later_failure_that_was_folded_ahead_stays_the_latest() -> None:
    component = record()
    component.failures = Failures(recorded=1, total=1, source="recorded", detail="500", at_ms=6_500)
    apply(component, failed_restart(), DEFAULTS)
    assert component.failures == Failures(recorded=2, total=2, source="recorded", detail="500", at_ms=6_500)


def test_only_what_is_no_heartbeat_is_kept_as_an_act_that_may_have_led_to_a_failure() -> None:
    component = record()
    for rev, kind in enumerate((EventType.OPERATOR, EventType.TRANSITION, EventType.BREAKER, EventType.FLAPPING), 3):
        event = Event(kind, "a", rev=rev, born_ms=1_000, at_ms=6_000 + rev, reason=kind.value, target="healthy")
        apply(component, event, DEFAULTS)
    assert component.acts == ("6003 operator", "6005 breaker")


def test_what_flapping_counts_is_how_often_it_ceased_to_be_healthy() -> None:
    component = record()
    for at_ms, source, target in (
        (1, "unknown", "degraded"),
        (2, "degraded", "healthy"),
        (3, "healthy", "unknown"),
        (4, "healthy", "degraded"),
        (5, "degraded", "unhealthy"),
        (6, "healthy", "unhealthy"),
    ):
        apply(component, transition(source, target, at_ms), DEFAULTS)
    assert component.turns == (4, 6)


def test_what_an_ok_heartbeat_answered_stays_answered_when_bad_ones_were_folded_after_it() -> None:
    shard = Shard()
    shard.say()
    at_ms = shard.now_ms - 1
    shard.say(after_s=1, status="failing")
    ahead, never = shard["a"], shard["a"].last_heartbeat_ms
    apply(ahead, failed_restart(at_ms), shard.defaults)
    assert (ahead.failures.recorded, ahead.failures.words) == (0, 1)
    apply(ahead, failed_restart(never), shard.defaults)
    assert ahead.failures.recorded == 1


def test_a_good_probe_that_was_folded_ahead_answers_a_failed_restart_too() -> None:
    component = record()
    component.probes = Probes(ok_ms=6_001)
    apply(component, failed_restart(), DEFAULTS)
    assert (component.failures.recorded, component.failures.total) == (0, 1)
