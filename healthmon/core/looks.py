"""When to look at whom: one lazily checked entry a component.

A heartbeat only stores its time; the entry is looked at once per time-out and then moves on. Each component has its
own, so one that goes down hides nobody behind it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.core.component import Component


class Looks:
    """A heap of (moment, id). An entry counts only while it is the component's own `look_at_ms`."""

    def __init__(self, components: Mapping[str, Component]) -> None:
        self._components = components
        self._heap: list[tuple[int, str]] = []

    def push(self, component: Component, at_ms: int) -> None:
        """Look at the component then; what was arranged before is void."""
        component.look_at_ms = at_ms
        heapq.heappush(self._heap, (at_ms, component.id))

    def next_ms(self) -> int | None:
        """The earliest moment that still counts."""
        heap = self._heap
        while heap:
            at_ms, component_id = heap[0]
            component = self._components.get(component_id)
            if component is not None and component.look_at_ms == at_ms:
                return at_ms
            heapq.heappop(heap)
        return None

    def pop(self, now_ms: int) -> Component | None:
        """One component whose moment has come, or nothing."""
        at_ms = self.next_ms()
        if at_ms is None or at_ms > now_ms:
            return None
        component = self._components[heapq.heappop(self._heap)[1]]
        component.look_at_ms = 0
        return component
