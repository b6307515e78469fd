"""Which component is probed next: by when each is due, and by how many places those that hang may hold.

Pure: it knows no clock and does nothing itself. Moments in seconds are local, those in milliseconds of the Redis clock.
"""

from __future__ import annotations

import heapq
import zlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# From this due time on a component is not probed at all; the core's "never" is later.
NEVER_MS: Final = 1 << 60
# A multi-level feedback queue [CTSS]: a probe that lasted longer than its level's patience while others waited makes
# place, and begins anew one level higher, with its whole time on the last. So a few that hang cost the many little, and
# one that was only late waits for those that are late, not for those that hang.
PATIENCE_S: Final = (0.25, 1.0)
SLOW: Final = len(PATIENCE_S)
# What was due long ago when it was met first, as all are after a change of leaders, begins spread over so long.
SPREAD_S: Final = 5.0
# An interval is lengthened by up to this share, by a hash, so that components that began together drift apart.
JITTER: Final = 0.1


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What the core wants of one component. `probe`: that part of its policy; durations in seconds.

    `due_ms`: when the next probe is wanted, by the Redis clock; NEVER_MS or later while the breaker forbids. Once a
    result was folded it lies after the beginning of that probe. `urgent`: the permitted one of a half-open breaker, or
    the last one before dead: it goes first, to the millisecond, and its result is sent at once.
    """

    id: str
    probe: Mapping[str, Any]
    interval_s: float
    timeout_s: float
    generation: int
    due_ms: int
    urgent: bool = False


@dataclass(slots=True)
class _Known:
    target: ProbeTarget
    asked: tuple[int, bool, float, int] | None = None  # what `at_s` was reckoned from
    at_s: float = float("inf")
    lane: _Lane | None = None
    level: int = 0
    probes: int = 0
    running: bool = False
    begun_s: float = 0.0
    begun_ms: float = -1.0

    @property
    def wish(self) -> tuple[int, bool, float, int]:
        return self.target.due_ms, self.target.urgent, self.target.interval_s, self.probes


@dataclass(eq=False, slots=True)
class _Lane:
    """Those that are due and wait for a place, the first come first."""

    ids: deque[str] = field(default_factory=deque)


class Schedule:
    """Plans the probes of all components for a number of places. Nothing is probed twice at once."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._urgent, self._urgent_slow = _Lane(), _Lane()
        self._levels = (_Lane(), _Lane(), _Lane())
        at_ease, share = max(1, places - places // 5), places // 4
        # The order in which they are served, each while fewer places than this are held by its level. Each level has a
        # share though others wait; a fifth of the places is never for those that are slow.
        self._turns = (
            (self._urgent, 0, places),
            (self._urgent_slow, SLOW, at_ease),
            (self._levels[SLOW], SLOW, share),
            (self._levels[1], 1, share),
            (self._levels[0], 0, places),
            (self._levels[1], 1, places),
            (self._levels[SLOW], SLOW, at_ease),
        )
        self._held = [0] * (SLOW + 1)
        self._known: dict[str, _Known] = {}
        self._running: dict[str, _Known] = {}
        self._heap: list[tuple[float, str]] = []

    @property
    def ids(self) -> list[str]:
        """The components that are known, a copy."""
        return list(self._known)

    def see(self, component_id: str, target: ProbeTarget | None, now_ms: float, now_s: float) -> None:
        """Take in what the core wants now; None: the component is not to be probed any more."""
        if target is None:
            self._known.pop(component_id, None)
            return
        known = self._known.get(component_id)
        if known is None:
            known = self._known[component_id] = _Known(target)
        known.target = target
        asked = known.wish
        if known.running or asked == known.asked:
            return
        known.asked = asked
        known.at_s = self._reckon(known, now_ms, now_s)
        known.lane = None
        if known.at_s < float("inf"):
            heapq.heappush(self._heap, (known.at_s, component_id))

    def begin(self, now_ms: float, now_s: float, ask: Callable[[str], ProbeTarget | None]) -> Iterator[ProbeTarget]:
        """Those to be probed from now on, as many as find a place. Each is asked for once more just before."""
        self._line_up(now_s)
        for lane, level, most in self._turns:
            while lane.ids and len(self._running) < self._places and self._held[level] < most:
                component_id = lane.ids.popleft()
                known = self._known.get(component_id)
                if known is None or known.lane is not lane:
                    continue  # it moved to another lane, or was forgotten
                self.see(component_id, ask(component_id), now_ms, now_s)
                if self._known.get(component_id) is not known or known.lane is not lane:
                    continue
                known.lane, known.running = None, True
                known.begun_ms, known.begun_s, known.probes = now_ms, now_s, known.probes + 1
                self._running[component_id] = known
                self._held[known.level] += 1
                yield known.target

    def end(self, component_id: str, now_ms: float, now_s: float) -> None:
        """This probe is over, whatever came of it."""
        known = self._leave(component_id)
        if known is None:
            return
        known.level = bisect_left(PATIENCE_S, now_s - known.begun_s)
        if self._known.get(component_id) is known:
            self.see(component_id, known.target, now_ms, now_s)

    def overdue(self, now_s: float) -> list[str]:
        """Those that must make place, as they tried the patience of those that wait. `put_back` is to follow."""
        waiting = sum(len(lane.ids) for lane in (self._urgent, *self._levels[:SLOW]))
        if len(self._running) < self._places or not waiting:
            return []
        lasting = [
            component_id
            for component_id, known in self._running.items()
            if known.level < SLOW and not known.target.urgent and now_s - known.begun_s > PATIENCE_S[known.level]
        ]
        return lasting[:waiting]

    def put_back(self, component_id: str) -> None:
        """This probe was stopped without a result: it waits one level higher, and begins anew."""
        known = self._leave(component_id)
        if known is not None and self._known.get(component_id) is known:
            known.level, known.begun_ms, known.asked = known.level + 1, -1.0, known.wish
            self._wait(component_id, known)

    def next_s(self, now_s: float) -> float:
        """When `begin` or `overdue` will have something to do, if nothing else happens before."""
        if any(lane.ids for lane, *_ in self._turns):
            return now_s + PATIENCE_S[0] / 2
        return self._heap[0][0] if self._heap else float("inf")

    def _reckon(self, known: _Known, now_ms: float, now_s: float) -> float:
        target = known.target
        if target.due_ms >= NEVER_MS:
            return float("inf")
        due_s = now_s + (target.due_ms - now_ms) / 1000
        jitter_s = target.interval_s * JITTER * _share(target.id, known.probes)
        if not known.probes and due_s < now_s and not target.urgent:
            return now_s + min(SPREAD_S, target.interval_s) * _share(target.id, 0)
        if known.probes and target.due_ms <= known.begun_ms:
            return known.begun_s + target.interval_s + jitter_s  # the core has not heard of the last one yet
        return due_s if target.urgent else due_s + jitter_s

    def _line_up(self, now_s: float) -> None:
        while self._heap and self._heap[0][0] <= now_s:
            at_s, component_id = heapq.heappop(self._heap)
            known = self._known.get(component_id)
            if known is not None and known.at_s == at_s and not known.running and known.lane is None:
                self._wait(component_id, known)

    def _wait(self, component_id: str, known: _Known) -> None:
        if known.target.urgent:
            known.lane = self._urgent_slow if known.level == SLOW else self._urgent
        else:
            known.lane = self._levels[known.level]
        known.lane.ids.append(component_id)

    def _leave(self, component_id: str) -> _Known | None:
        known = self._running.pop(component_id, None)
        if known is not None:
            known.running = False
            self._held[known.level] -= 1
        return known


def _share(component_id: str, number: int) -> float:
    """From 0 to 1, the same for the same component and number."""
    return zlib.crc32(f"{component_id}|{number}".encode()) / 0x1_0000_0000
