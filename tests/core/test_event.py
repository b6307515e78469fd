"""What an event changes in a record: the decided half, and nothing of the evidence."""

from __future__ import annotations

from dataclasses import replace

from healthmon.core.component import Component, HealthState
from healthmon.core.event import Event, EventType, apply, recovered
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
