"""Events in the making: each is applied to a copy of the record, so that the next one follows from it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from healthmon.core.component import Component, HealthState
from healthmon.core.event import Event, EventType, apply

if TYPE_CHECKING:
    from healthmon.core.policy import Defaults

REASON_MAX = 120


class Draft:
    """What is to be committed of one component. `record` is the component until the first event, then a copy."""

    def __init__(self, component: Component, at_ms: int, defaults: Defaults, cause: str = "") -> None:
        self.record = component
        self.events: list[Event] = []
        self.at_ms = max(at_ms, component.since_ms)
        self._cause = cause
        self._defaults = defaults

    def add(self, event: Event) -> None:
        """Take an event that was made for `record`."""
        if not self.events:
            self.record = copy.copy(self.record)
        self.events.append(event)
        apply(self.record, event, self._defaults)

    def say(self, kind: EventType, reason: str, rule: str, **changes: object) -> None:
        """Add an event that changes no state."""
        self._add(kind, reason, rule, changes)

    def move(self, target: HealthState, reason: str, rule: str, **changes: object) -> None:
        """Add a transition."""
        self._add(EventType.TRANSITION, reason, rule, changes, target)

    def done(self) -> tuple[Event, ...]:
        """The events in order. Of several that answer one command the first names it."""
        return tuple(self.events)

    def _add(
        self, kind: EventType, reason: str, rule: str, changes: dict[str, object], target: HealthState | None = None
    ) -> None:
        record = self.record
        event = Event(
            kind,
            record.id,
            rev=record.rev + 1,
            born_ms=record.born_ms,
            at_ms=self.at_ms,
            reason=bounded(reason),
            rule=rule,
            source=record.state.value if target else "",
            target=target.value if target else "",
            cause="" if self.events else self._cause,
            set=changes,
        )
        self.add(event)


def bounded(reason: str, most: int = REASON_MAX) -> str:
    """A sentence fit for a person, cut where it is longer."""
    return reason if len(reason) <= most else reason[: most - 1] + "…"
