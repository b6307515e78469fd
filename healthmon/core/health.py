"""What a program is told of a component: the specification's shapes, Unix seconds as floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from healthmon.core.circuit import CircuitState
from healthmon.core.component import Component, HealthState
from healthmon.core.decide import shown_score
from healthmon.core.event import Event, EventType
from healthmon.core.heartbeat import CUSTOM, STANDARD_METRICS
from healthmon.core.overlays import is_silenced
from healthmon.core.score import SILENT_SCORES


@dataclass(frozen=True, slots=True)
class HealthMetrics:
    """The metrics of one heartbeat. `timestamp`: when they arrived, Unix seconds. `custom`: those of other names."""

    timestamp: float
    latency_ms: float | None = None
    memory_mb: float | None = None
    cpu_percent: float | None = None
    error_rate: float | None = None
    request_rate: float | None = None
    active_connections: int | None = None
    custom: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The metrics that are there, by name."""
        standard = {name: getattr(self, name) for name in STANDARD_METRICS}
        return {**{name: value for name, value in standard.items() if value is not None}, **self.custom}


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """A component as it stood when it was asked for. Times are Unix seconds, None for never; the score 0.00 to 1.00.

    `circuit_breaker_state` equals "OPEN" in any case [specification]. `restart_attempt`: attempts of this incident so
    far; `next_restart_at`: when the next is due. `held`: by whom and why it is not restarted by itself, empty when it
    is. `flapping`: it changes too often. `failure`: what is known of its last death, empty without one.
    `silenced_until`: while a silence lies upon it, None otherwise; `acknowledged_by`: who looks after it, or empty.
    """

    component_id: str
    state: HealthState
    role: str
    reason: str
    health_score: float
    uptime_seconds: float
    total_heartbeats: int
    missed_heartbeats: int
    restart_count: int
    last_heartbeat: float | None
    last_state_change: float
    last_metrics: HealthMetrics | None
    incident: str = ""
    circuit_breaker_state: CircuitState = CircuitState.CLOSED
    restart_attempt: int = 0
    next_restart_at: float | None = None
    held: str = ""
    flapping: bool = False
    failure: Mapping[str, Any] = field(default_factory=dict)
    silenced_until: float | None = None
    acknowledged_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The specification's shape."""
        return {
            "component_id": self.component_id,
            "state": self.state.value,
            "role": self.role,
            "reason": self.reason,
            "uptime_seconds": self.uptime_seconds,
            "total_heartbeats": self.total_heartbeats,
            "missed_heartbeats": self.missed_heartbeats,
            "restart_count": self.restart_count,
            "last_heartbeat": self.last_heartbeat,
            "last_state_change": self.last_state_change,
            "circuit_breaker_state": self.circuit_breaker_state.value,
            "restart_attempt": self.restart_attempt,
            "next_restart_at": self.next_restart_at,
            "held": self.held,
            "flapping": self.flapping,
            "silenced_until": self.silenced_until,
            "acknowledged_by": self.acknowledged_by,
            "health_score": self.health_score,
            "metrics": self.last_metrics.to_dict() if self.last_metrics else {},
        }


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """One committed event as a subscriber sees it. `at`: Unix seconds. `stream_id`: where to go on reading from."""

    event_type: EventType
    component_id: str
    old_state: HealthState | None
    new_state: HealthState | None
    reason: str
    rule: str
    at: float
    rev: int
    epoch: int
    replica: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """Events that were trimmed before they were read. At most `missed_max` of them; reading goes on at `stream_id`."""

    missed_max: int
    stream_id: str


def health_of(component: Component, now_ms: int) -> ComponentHealth:
    """The health of a settled record; an uptime runs on to `now_ms` while the component is up."""
    heard_ms = component.last_heartbeat_ms
    down = component.state in (HealthState.DEAD, HealthState.UNKNOWN, HealthState.PERMANENTLY_FAILED)
    until_ms = heard_ms if down else max(now_ms, heard_ms)
    return ComponentHealth(
        component_id=component.id,
        state=component.state,
        role=component.role,
        reason=component.reason,
        health_score=shown_score(component, SILENT_SCORES),
        uptime_seconds=max(0, until_ms - component.alive_since_ms) / 1000 if component.alive_since_ms else 0.0,
        total_heartbeats=component.total_heartbeats,
        missed_heartbeats=component.missed_heartbeats,
        restart_count=component.restart_count,
        last_heartbeat=heard_ms / 1000 if heard_ms else None,
        last_state_change=component.since_ms / 1000,
        last_metrics=_metrics_of(component) if component.metrics else None,
        incident=component.incident,
        circuit_breaker_state=CircuitState(component.breaker.state),
        restart_attempt=component.restart.done,
        next_restart_at=component.restart.next_ms / 1000 if component.restart.next_ms else None,
        held=component.held,
        flapping=bool(component.flapping),
        failure=dict(component.failure),
        silenced_until=component.silenced_until_ms / 1000 if is_silenced(component, now_ms) else None,
        acknowledged_by=component.acknowledged_by,
    )


def event_of(event: Event) -> HealthEvent:
    """An event as a subscriber sees it."""
    return HealthEvent(
        event_type=event.type,
        component_id=event.id,
        old_state=HealthState(event.source) if event.source else None,
        new_state=HealthState(event.target) if event.target else None,
        reason=event.reason,
        rule=event.rule,
        at=event.at_ms / 1000,
        rev=event.rev,
        epoch=event.epoch,
        replica=event.replica,
        stream_id=event.stream_id,
    )


def _metrics_of(component: Component) -> HealthMetrics:
    metrics = component.metrics
    connections = metrics.get("active_connections")
    return HealthMetrics(
        timestamp=component.metrics_ms / 1000,
        latency_ms=metrics.get("latency_ms"),
        memory_mb=metrics.get("memory_mb"),
        cpu_percent=metrics.get("cpu_percent"),
        error_rate=metrics.get("error_rate"),
        request_rate=metrics.get("request_rate"),
        active_connections=round(connections) if connections is not None else None,
        custom={name.removeprefix(CUSTOM): value for name, value in metrics.items() if name.startswith(CUSTOM)},
    )
