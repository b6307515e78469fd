"""A committed fact. The leader decides events, commits them, and applies them; followers read and apply the same ones.

An event is the only thing that changes the decided half of a record, so `apply` is the one place where that happens.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.component import SILENCE, WORSE, Component, HealthState
from healthmon.core.policy import Defaults, read_policy
from healthmon.core.score import score_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class EventType(StrEnum):
    """The kinds of events. A HEALTH_CHANGED subscription hears of transitions."""

    REGISTERED = "registered"
    TRANSITION = "transition"
    RESTART = "restart"
    BREAKER = "breaker"
    DEPENDENCY = "dependency"
    FLAPPING = "flapping"
    LEADER = "leader"
    GUARD = "guard"
    OPERATOR = "operator"
    RECOVERED = "recovered"
    FORGOTTEN = "forgotten"
    HEALTH_CHANGED = "transition"  # the specification's name for the same kind


TrinityEventType = EventType  # the specification's name for the same kinds

# Decided fields that have no field of their own in an event; they ride in its `set`.
SETTABLE: Final = frozenset(
    (
        *("role", "declared", "incident", "respawns_told", "policy", "held", "watch_ms", "flapping", "failure", "down"),
        *("silenced_until_ms", "silenced_by", "silenced_reason", "acknowledged_by"),
    )
)
# Decided values of several fields each: an event says only those that change.
PARTS: Final = ("breaker", "restart")
FAILED_RESTART: Final = "restart_failed"
TURNS_KEPT: Final = 16
ACTS_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `rev` counts the events of one component (of its `born`); shard events have no id and rev 0."""

    type: EventType
    id: str
    rev: int
    born_ms: int
    at_ms: int
    reason: str = ""
    rule: str = ""
    source: str = ""
    target: str = ""
    cause: str = ""
    epoch: int = 0
    replica: str = ""
    set: Mapping[str, Any] = field(default_factory=dict, hash=False)
    stream_id: str = ""


def apply(component: Component, event: Event, defaults: Defaults) -> None:
    """Change the decided half of the record as the event says. The evidence stays as it was folded."""
    component.rev = event.rev
    component.epoch = event.epoch
    component.control_folded = event.cause or component.control_folded
    if event.type is EventType.REGISTERED:
        component.born_ms = event.born_ms
        component.since_ms = event.at_ms
        component.reason = event.reason
    elif event.type is EventType.TRANSITION:
        component.previous = event.source
        component.state = HealthState(event.target)
        component.since_ms = event.at_ms
        component.reason = event.reason
        component.rule = event.rule
        silent = event.rule in SILENCE and WORSE[component.state]
        component.silent_ms = (component.silent_ms or event.at_ms) if silent else 0
    for name, value in event.set.items():
        if name == "policy":
            component.policy = read_policy(value, defaults)
            component.limits = component.policy.limits(defaults, component.interval_ms)
            component.score, component.worst_metric = score_of(component.metrics, component.limits.rows)
        elif name in PARTS:
            setattr(component, name, _changed(getattr(component, name), value))
        elif name in SETTABLE:
            setattr(component, name, tuple(value) if name == "down" else value)
    _lift(component, event.at_ms)
    _note(component, event)
    ended = event.type is EventType.TRANSITION and component.state in (HealthState.DEAD, HealthState.UNKNOWN)
    if ended and not component.incarnation:
        # Uptime starts anew with the first heartbeat after; a follower may have folded that one already.
        came = _came_after(event, component.last_heartbeat_ms)
        component.alive_since_ms = component.last_heartbeat_ms if came else 0
    component.repeat = None


def _lift(component: Component, at_ms: int) -> None:
    """What lies upon it and is over: an acknowledgement ends with its incident, a silence when its moment has passed.

    A silence needs no event to be over: until the next one says it, every reader compares its moment with the time.
    """
    if not component.incident:
        component.acknowledged_by = ""
    if component.silenced_until_ms and component.silenced_until_ms <= at_ms:
        component.silenced_until_ms, component.silenced_by, component.silenced_reason = 0, "", ""


def _changed(part: Any, said: Mapping[str, Any]) -> Any:  # noqa: ANN401  # one of the PARTS, and the same
    """The part with what the event says; names of a newer version are left out."""
    known = {one.name for one in fields(part)}
    return replace(part, **{name: value for name, value in said.items() if name in known})


def _note(component: Component, event: Event) -> None:
    """What flapping counts, and what may have led to a failure."""
    if event.type is EventType.TRANSITION:
        if event.source == HealthState.HEALTHY.value and WORSE[component.state]:
            component.turns = (*component.turns, event.at_ms)[-TURNS_KEPT:]
    elif event.type in (EventType.OPERATOR, EventType.DEPENDENCY, EventType.BREAKER, EventType.RESTART):
        component.acts = (*component.acts, f"{event.at_ms} {event.reason}")[-ACTS_KEPT:]
    if event.rule == FAILED_RESTART and event.target == HealthState.DEAD.value:
        _count_failed_restart(component, event)


def _count_failed_restart(component: Component, event: Event) -> None:
    """As evidence, of which a follower may have folded already what came after: the same is left as at its leader."""
    failures = component.failures
    if failures.at_ms <= event.at_ms:
        failures = replace(failures, source="restart", detail=event.reason, at_ms=event.at_ms)
    answered = _came_after(event, component.answered_ms)
    component.failures = replace(failures, recorded=failures.recorded + (not answered), total=failures.total + 1)


def _came_after(event: Event, ms: int) -> bool:
    """Whether a heartbeat of this time was read after the event was made: within one millisecond reports come first."""
    return ms >= event.at_ms if event.cause else ms > event.at_ms


def recovered(component: Component, replica: str) -> Event:
    """The event by which a record that the stored data lacks is put back as it stood; it repeats its own rev."""
    return Event(
        EventType.RECOVERED,
        component.id,
        rev=component.rev,
        born_ms=component.born_ms,
        at_ms=max(component.since_ms, component.last_heartbeat_ms),
        reason="the stored record was lost or older; put back from a replica's table",
        source=component.previous,
        target=component.state.value,
        epoch=component.epoch,
        replica=replica,
    )
