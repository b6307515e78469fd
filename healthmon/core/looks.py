"""When to look at whom: one lazily checked entry a component.

A heartbeat only stores its time; the entry is looked at once per time-out and then moves on. Each component has its
own, so one that goes down hides nobody behind it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from healthmon.core.policy import NEVER_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.core.component import Component

# Moments of a quarter of a second are a stretch.
STRETCH_BITS: Final = 8


class Looks:
    """The near moments as a heap of (moment, id), the later ones as lists of ids by stretch: a tenth of the memory.

    An entry counts only while it is the component's own `look_at_ms`. Every stretch up to `_near` is in the heap.
    """

    def __init__(self, components: Mapping[str, Component]) -> None:
        self._components = components
        self._heap: list[tuple[int, str]] = []
        self._near = -1
        self._stretches: list[int] = []
        self._later: dict[int, list[str]] = {}

    def push(self, component: Component, at_ms: int) -> None:
        """Look at the component then; what was arranged before is void."""
        component.look_at_ms = at_ms
        stretch = at_ms >> STRETCH_BITS
        if stretch <= self._near:
            heapq.heappush(self._heap, (at_ms, component.id))
        elif stretch in self._later:
            self._later[stretch].append(component.id)
        elif at_ms < NEVER_MS:
            self._later[stretch] = [component.id]
            heapq.heappush(self._stretches, stretch)

    def next_ms(self) -> int | None:
        """The earliest moment that still counts."""
        heap = self._heap
        while heap or self._stretches:
            if not heap:
                self._draw_near()
                continue
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

    def _draw_near(self) -> None:
        """Put the earliest stretch into the heap, as far as it still counts."""
        self._near = heapq.heappop(self._stretches)
        for component_id in self._later.pop(self._near):
            component = self._components.get(component_id)
            if component is not None and component.look_at_ms >> STRETCH_BITS == self._near:
                heapq.heappush(self._heap, (component.look_at_ms, component_id))
