"""How a restart ended, from the events that follow its claim. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from healthmon.core.component import HealthState
from healthmon.core.event import EventType
from healthmon.views.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_FAILED: Final = (HealthState.DEAD, HealthState.PERMANENTLY_FAILED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state that it came to and the sentence for it. `ok`: it is healthy."""

    state: str
    reason: str
    at_ms: int
    ok: bool


def outcome_of(event: Mapping[str, str], at_ms: int) -> Outcome | None:
    """The end that this event is, if it is one: healthy, dead, given up, or gone. What is in between is none."""
    reason = printable(event.get("reason", ""))
    if event.get("type") == EventType.FORGOTTEN:
        return Outcome("", reason, at_ms, ok=False)
    target = event.get("to", "")
    if event.get("type") != EventType.TRANSITION or (target != HealthState.HEALTHY and target not in _FAILED):
        return None
    return Outcome(target, reason, at_ms, ok=target == HealthState.HEALTHY)
