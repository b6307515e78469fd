"""What a program is told of a component: the specification's shapes."""

from __future__ import annotations

import json

from healthmon.core.attempts import Attempts
from healthmon.core.circuit import Breaker, CircuitState
from healthmon.core.component import HealthState
from healthmon.core.event import EventType
from healthmon.core.health import event_of, health_of
from tests.core.shard import START_MS, Shard, batch


def test_a_component_that_was_never_heard_from_is_well_and_has_no_heartbeat() -> None:
    shard = Shard()
    shard.declare(role="db")
    health = health_of(shard["a"], shard.now_ms)
    assert (health.state, health.role, health.health_score) == (HealthState.UNKNOWN, "db", 1.0)
    assert (health.last_heartbeat, health.total_heartbeats, health.uptime_seconds) == (None, 0, 0.0)
    assert health.last_metrics is None


def test_metrics_are_sorted_into_the_standard_ones_and_the_customs() -> None:
    shard = Shard()
    shard.hear(batch(shard.now_ms, {"id": "a", "latency_ms": 12.5, "active_connections": 5, "m.queue": 3}, seq=1))
    metrics = health_of(shard["a"], shard.now_ms).last_metrics
    assert metrics is not None
    assert (metrics.latency_ms, metrics.active_connections, metrics.custom) == (12.5, 5, {"queue": 3.0})
    assert isinstance(metrics.active_connections, int)
    assert metrics.to_dict() == {"latency_ms": 12.5, "active_connections": 5, "queue": 3.0}
    assert metrics.timestamp == START_MS / 1000


def test_uptime_runs_on_while_it_is_up_and_stands_when_it_is_dead() -> None:
    shard = Shard()
    shard.say(incarnation="i1")
    shard.say(after_s=10, incarnation="i1")
    shard.watch(5)
    assert health_of(shard["a"], shard.now_ms).uptime_seconds == 15.0
    shard.watch(300)
    assert shard.state() == "dead"
    assert health_of(shard["a"], shard.now_ms).uptime_seconds == 10.0


def test_it_serialises_in_the_specifications_shape() -> None:
    shard = Shard()
    shard.say(latency_ms=450)
    said = health_of(shard["a"], shard.now_ms).to_dict()
    assert json.loads(json.dumps(said)) == said
    assert said["component_id"] == "a"
    assert (said["state"], said["health_score"], said["metrics"]) == ("degraded", 0.61, {"latency_ms": 450.0})
    assert said["last_heartbeat"] == START_MS / 1000


def test_the_breaker_is_open_in_any_case_and_serialises_in_lowercase() -> None:
    shard = Shard()
    shard.declare()
    assert health_of(shard["a"], shard.now_ms).circuit_breaker_state == "CLOSED"
    shard["a"].breaker = Breaker(CircuitState.HALF_OPEN.value)
    state = health_of(shard["a"], shard.now_ms).circuit_breaker_state
    assert state is CircuitState.HALF_OPEN
    assert all(state == text for text in ("HALF_OPEN", "half_open", "Half_Open"))
    counts: dict[str, int] = {state: 1}
    assert counts["half_open"] == 1
    assert json.dumps(health_of(shard["a"], shard.now_ms).to_dict()["circuit_breaker_state"]) == '"half_open"'


def test_restarts_that_are_due_and_what_holds_them_are_told() -> None:
    shard = Shard()
    shard.declare()
    quiet = health_of(shard["a"], shard.now_ms)
    assert (quiet.restart_attempt, quiet.next_restart_at, quiet.held, quiet.flapping) == (0, None, "", False)
    assert quiet.failure == {}
    shard["a"].restart = Attempts(done=2, next_ms=START_MS + 20_000)
    shard["a"].held, shard["a"].flapping, shard["a"].failure = "by alice: upgrade", START_MS, {"code": 3}
    health = health_of(shard["a"], shard.now_ms)
    assert (health.restart_attempt, health.next_restart_at) == (2, START_MS / 1000 + 20)
    assert (health.held, health.flapping, health.failure) == ("by alice: upgrade", True, {"code": 3})
    said = health.to_dict()
    assert (said["restart_attempt"], said["held"], said["flapping"]) == (2, "by alice: upgrade", True)
    assert json.loads(json.dumps(said)) == said


def test_an_event_tells_both_states() -> None:
    shard = Shard()
    registered, moved = map(event_of, shard.say(status="degraded"))
    assert (registered.event_type, registered.old_state, registered.new_state) == (EventType.REGISTERED, None, None)
    assert (moved.old_state, moved.new_state) == (HealthState.UNKNOWN, HealthState.DEGRADED)
    assert (moved.at, moved.rev, moved.reason) == (START_MS / 1000, 2, "it says degraded")
