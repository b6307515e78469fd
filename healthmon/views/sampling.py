"""Sparklines: the metrics of components over the last ten minutes, kept in this process and bounded.

Sampled every 5 s, of at most a thousand components: what needs attention first, then those that were sampled before.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import anyio

from healthmon.core.component import Component
from healthmon.core.decide import shown_score
from healthmon.core.marks import settle
from healthmon.core.score import SILENT_SCORES
from healthmon.core.table import Table
from healthmon.views.slices import in_slices
from healthmon.views.states import LOOKS, PROBLEMS

EVERY_S: Final = 5.0
SAMPLES_MAX: Final = 120
COMPONENTS_MAX: Final = 1000
METRICS_MAX: Final = 12
SCORE: Final = "score"
_PROBLEMS: Final = {LOOKS[state].state: rank for rank, state in enumerate(PROBLEMS)}
_NOTHING: Final = float("nan")


@dataclass(slots=True)
class Ring:
    """The latest samples of one component: times (ms) and by metric as many values, NaN where there was none."""

    born_ms: int
    times: array[int] = field(default_factory=lambda: array("q"))
    values: dict[str, array[float]] = field(default_factory=dict)

    def take(self, at_ms: int, values: dict[str, float]) -> None:
        """One more sample; the oldest goes when there are too many. Metrics beyond the twelfth are left out."""
        for name in values:
            if name not in self.values and len(self.values) < METRICS_MAX:
                self.values[name] = array("d", [_NOTHING]) * len(self.times)
        self.times.append(at_ms)
        for name, series in self.values.items():
            series.append(values.get(name, _NOTHING))
        if len(self.times) > SAMPLES_MAX:
            self.times.pop(0)
            for series in self.values.values():
                series.pop(0)


class Sampler:
    """Samples a table until cancelled."""

    def __init__(self, table: Table, now_ms: Callable[[], int]) -> None:
        self._table = table
        self._now_ms = now_ms
        self._rings: dict[str, Ring] = {}

    def samples(self, component_id: str) -> dict[str, list[tuple[int, float]]]:
        """By metric, and `score`, the pairs of time (ms) and value that are known, the oldest first."""
        ring = self._rings.get(component_id)
        if ring is None:
            return {}
        return {
            name: [(ms, value) for ms, value in zip(ring.times, series, strict=True) if value == value]  # noqa: PLR0124  # NaN alone differs from itself
            for name, series in ring.values.items()
        }

    async def run(self) -> None:
        """A sample every 5 s."""
        while True:
            await self.sample(self._now_ms())
            await anyio.sleep(EVERY_S)

    async def sample(self, at_ms: int) -> None:
        """One sample of everybody who is followed."""
        chosen = await self._chosen()
        self._rings = {one.id: self._ring(one) for one in chosen}
        async for component in in_slices(chosen):
            settle(component)
            ring = self._rings.get(component.id)
            if ring is not None:
                metrics = dict(islice(component.metrics.items(), METRICS_MAX - 1))
                ring.take(at_ms, {SCORE: shown_score(component, SILENT_SCORES), **metrics})

    async def _chosen(self) -> list[Component]:
        """Whom to follow: everybody where that are few; else the worst, then those known before, then the first."""
        components = self._table.components
        if len(components) <= COMPONENTS_MAX:
            return list(components.values())
        worst: list[Component] = []
        async for component in in_slices(list(components.values())):
            if component.state in _PROBLEMS:
                worst.append(component)
                if len(worst) >= 3 * COMPONENTS_MAX:
                    worst = sorted(worst, key=_worst_first)[:COMPONENTS_MAX]
        found = {one.id: one for one in sorted(worst, key=_worst_first)[:COMPONENTS_MAX]}
        for source in (self._rings, components):
            for component_id in islice(source, COMPONENTS_MAX):
                if len(found) < COMPONENTS_MAX and component_id in components:
                    found.setdefault(component_id, components[component_id])
        return list(found.values())

    def _ring(self, component: Component) -> Ring:
        """Its ring; one that was forgotten and is back begins anew."""
        ring = self._rings.get(component.id)
        return ring if ring is not None and ring.born_ms == component.born_ms else Ring(component.born_ms)


def _worst_first(component: Component) -> tuple[int, int]:
    return _PROBLEMS.get(component.state, len(_PROBLEMS)), component.since_ms
