"""What a person is told: one CloudEvents 1.0 object for a transition that matters to somebody.

The id comes from shard, component, born and rev, never from the leader, so that a failover cannot make a duplicate.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.component import Component, HealthState
from healthmon.core.decide import FIRING, shown_score
from healthmon.core.event import Event, EventType
from healthmon.core.overlays import is_silenced
from healthmon.core.score import SILENT_SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KINDS: Final[Mapping[EventType, str]] = {EventType.FORGOTTEN: "forgotten", EventType.FLAPPING: "flapping"}
_ALWAYS_TOLD: Final = frozenset((HealthState.DEAD, HealthState.PERMANENTLY_FAILED))
SEVERITY: Final[Mapping[HealthState, str]] = {
    HealthState.PERMANENTLY_FAILED: "critical",
    HealthState.DEAD: "critical",
    HealthState.UNHEALTHY: "error",
    HealthState.DEGRADED: "warning",
    HealthState.RESTARTING: "info",
    HealthState.HEALTHY: "info",
    HealthState.UNKNOWN: "info",
    HealthState.INITIALIZING: "info",
}


@lru_cache(maxsize=1024)
def rfc3339(ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC with milliseconds, "" for never."""
    if not ms:
        return ""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def alert_of(
    before: Component, after: Component, event: Event, prefix: str, shard: int, *, causes: Sequence[str] = ()
) -> dict[str, Any] | None:
    """The alert for an event of a component, or nothing where nobody needs to be told.

    `before` and `after` are the record on either side of the event. Firing states fire; coming back from one resolves
    under the same incident. A first heartbeat, a start and a goodbye of a well component are told to nobody; nor are
    the turns of a flapping one but its deaths: that it flaps, and how it ends, is told. `causes`: the incidents of
    dependencies that explain this one.
    """
    told = _told(before, after, event)
    if told is None:
        return None
    status, incident = told
    kind = _KINDS.get(event.type, after.state.value)
    return {
        "specversion": "1.0",
        "id": f"{shard}/{event.id}/{event.born_ms}/{event.rev}",
        "source": f"/{prefix}/{shard}",
        "type": f"io.healthmon.component.{kind}",
        "subject": event.id,
        "time": rfc3339(event.at_ms),
        "datacontenttype": "application/json",
        "data": {
            "status": status,
            "severity": SEVERITY[after.state] if status == "firing" else "info",
            "dedup_key": f"{prefix}/{event.id}",
            "incident": incident,
            "component_id": event.id,
            "role": after.role,
            "old_state": event.source or before.state.value,
            "new_state": kind,
            "summary": f"{event.id} is {kind}: {event.reason}",
            "reason": event.reason,
            "since": rfc3339(after.since_ms),
            "score": shown_score(after, SILENT_SCORES),
            "last_heartbeat": rfc3339(after.last_heartbeat_ms),
            "next": _next(after),
            **({"inhibited_by": list(causes)} if causes else {}),
            **_overlays(before, after, event.at_ms),
            **_failure(after),
            "replica": event.replica,
            "epoch": event.epoch,
            "rev": event.rev,
        },
    }


def _told(before: Component, after: Component, event: Event) -> tuple[str, str] | None:
    """Whether it fires or resolves, and which incident; nothing where nobody needs to be told."""
    if event.type is EventType.FORGOTTEN and before.incident:
        return "resolved", before.incident
    if event.type is EventType.FLAPPING:
        over = event.rule == "ends" and after.state not in FIRING
        return ("resolved" if over else "firing"), after.incident or before.incident
    if event.type is not EventType.TRANSITION or (before.flapping and after.state not in _ALWAYS_TOLD):
        return None
    if after.state in FIRING:
        return "firing", after.incident
    return ("firing" if after.incident else "resolved", before.incident) if before.incident else None


def _overlays(before: Component, after: Component, at_ms: int) -> dict[str, Any]:
    """Who knows already: until when it is silenced, and by whom it is, or at its recovery was, acknowledged."""
    silenced = {"silenced_until": rfc3339(after.silenced_until_ms)} if is_silenced(after, at_ms) else {}
    known_to = after.acknowledged_by or before.acknowledged_by
    return {**silenced, **({"acknowledged_by": known_to} if known_to else {})}


def _failure(component: Component) -> dict[str, Any]:
    """What is known of how it failed, where there is anything beyond the reason."""
    known = {name: value for name, value in component.failure.items() if name != "at_ms"}
    return {"failure": known} if known and component.state in _ALWAYS_TOLD else {}


def _next(component: Component) -> dict[str, Any] | None:
    """What healthmon will do next by itself, and when."""
    restart = component.restart
    if component.state is not HealthState.DEAD or not restart.next_ms:
        return None
    most = component.limits.restart.max_retries
    return {"action": "restart", "attempt": restart.done + 1, "max": most, "at": rfc3339(restart.next_ms)}


def shard_alert_of(event: Event, number: int, generation: str, prefix: str, shard: int) -> dict[str, Any]:
    """The alert for an event of the shard itself: `number` counts those of this data set. No subject, no component."""
    return {
        "specversion": "1.0",
        "id": f"{shard}//{generation}/{number}",
        "source": f"/{prefix}/{shard}",
        "type": f"io.healthmon.shard.{event.rule}",
        "time": rfc3339(event.at_ms),
        "datacontenttype": "application/json",
        "data": {
            "status": "resolved" if event.set.get("mass_since_ms") == "0" else "firing",
            "severity": "warning",
            "dedup_key": f"{prefix}/{shard}/{event.rule}",
            "summary": event.reason,
            "reason": event.reason,
            "replica": event.replica,
            "epoch": event.epoch,
        },
    }
