"""History bars: the worst state of each of sixty buckets of time, made of a component's own history. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from healthmon.core.component import Component
from healthmon.core.event import Event, EventType
from healthmon.views.states import look_of

CELLS: Final = 60
SPANS_MS: Final[Mapping[str, int]] = {"1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A state and from when on it was in it."""

    from_ms: int
    state: str


def bars_of(component: Component, history: Sequence[Event], now_ms: int, *, whole: bool) -> dict[str, list[str | None]]:
    """Of each span sixty cells, the oldest first: the worst state in it, null where nothing is known.

    `history`: its events, the newest first. `whole` False: older ones are gone, so nothing is known before the oldest.
    """
    stretches = _stretches(component, history, whole=whole)
    return {name: _cells(stretches, now_ms - span_ms, span_ms // CELLS, now_ms) for name, span_ms in SPANS_MS.items()}


def _stretches(component: Component, history: Sequence[Event], *, whole: bool) -> list[Stretch]:
    turns = [event for event in reversed(history) if event.type is EventType.TRANSITION]
    if not turns:
        return [Stretch(component.since_ms or component.born_ms, component.state.value)]
    known_ms = component.born_ms if whole else turns[0].at_ms
    return [Stretch(known_ms, turns[0].source), *(Stretch(turn.at_ms, turn.target) for turn in turns)]


def _cells(stretches: Sequence[Stretch], begin_ms: int, cell_ms: int, now_ms: int) -> list[str | None]:
    worst: list[str | None] = [None] * CELLS
    ends = [later.from_ms for later in stretches[1:]] + [now_ms]
    for stretch, end_ms in zip(stretches, ends, strict=True):
        first = max(0, (stretch.from_ms - begin_ms) // cell_ms)
        last = min(CELLS - 1, (max(end_ms - 1, stretch.from_ms) - begin_ms) // cell_ms)
        for cell in range(first, last + 1):
            known = worst[cell]
            if known is None or look_of(stretch.state).order < look_of(known).order:
                worst[cell] = stretch.state
    return worst
