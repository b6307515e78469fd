"""The graph of `depends_on`: cycles are named, levels order restarts root first, an index tells who depends on whom.

Edges are given as component -> what it depends on. A name that is no component of its own (it is unknown, or lives on
another shard) is nothing to wait for: it is in no level and in no cycle. All answers are the same for any order of the
mapping, so that every replica finds the same, and none recurses: a chain may be as long as the fleet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from healthmon.errors import Refused

Edges = Mapping[str, Iterable[str]]
_OPEN: Final = 1
_DONE: Final = 2


def cycle_in(edges: Edges) -> tuple[str, ...]:
    """The ids of one cycle, its smallest first and again at the end: `("a", "b", "a")`; empty when there is none."""
    seen: dict[str, int] = {}
    for start in sorted(edges):
        if start in seen:
            continue
        path = [start]
        seen[start] = _OPEN
        ahead = [_targets(edges, start)]
        while path:
            if not ahead[-1]:
                seen[path.pop()] = _DONE
                ahead.pop()
                continue
            one = ahead[-1].pop()
            if seen.get(one) == _OPEN:
                return _closed(path[path.index(one) :])
            if one not in seen:
                path.append(one)
                seen[one] = _OPEN
                ahead.append(_targets(edges, one))
    return ()


def levels(edges: Edges) -> tuple[tuple[str, ...], ...]:
    """The components by level, root first: each depends only on those of levels before its own. Ids in order.

    Raises Refused for a cycle, which is named.
    """
    waits_for = {one: len(_targets(edges, one)) for one in edges}
    dependants = dependants_of(edges)
    found: list[tuple[str, ...]] = []
    level = sorted(one for one, count in waits_for.items() if not count)
    while level:
        found.append(tuple(level))
        following: set[str] = set()
        for one in level:
            for dependant in dependants.get(one, ()):
                waits_for[dependant] -= 1
                if not waits_for[dependant]:
                    following.add(dependant)
        level = sorted(following)
    if sum(map(len, found)) < len(waits_for):
        raise Refused(cycle_sentence(cycle_in(edges)))
    return tuple(found)


def dependants_of(edges: Edges) -> dict[str, tuple[str, ...]]:
    """Who depends directly on whom, ids in order; also for names that are no component themselves."""
    found: dict[str, set[str]] = {}
    for one, targets in edges.items():
        for target in targets:
            found.setdefault(target, set()).add(one)
    return {target: tuple(sorted(dependants)) for target, dependants in found.items()}


def cycle_sentence(cycle: tuple[str, ...]) -> str:
    """What is said of a cycle: `depends_on makes a cycle: a -> b -> a`."""
    return f"depends_on makes a cycle: {' -> '.join(cycle)}"


@dataclass(slots=True)
class Graph:
    """The edges of a table with their reverse, kept one component at a time: what a change costs does not grow with
    the fleet. `depends_on` is to be read only; `place` and `remove` change it.
    """

    depends_on: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _dependants: dict[str, set[str]] = field(default_factory=dict)

    def place(self, component_id: str, depends_on: Iterable[str]) -> None:
        """Know a component and what it depends on, instead of what was known. Cycles are not looked for."""
        self.remove(component_id)
        self.depends_on[component_id] = targets = tuple(dict.fromkeys(depends_on))
        for target in targets:
            self._dependants.setdefault(target, set()).add(component_id)

    def remove(self, component_id: str) -> None:
        """Know a component no more. Those that depend on it still do, by its name."""
        for target in self.depends_on.pop(component_id, ()):
            dependants = self._dependants[target]
            dependants.discard(component_id)
            if not dependants:
                del self._dependants[target]

    def dependants(self, component_id: str) -> tuple[str, ...]:
        """Who depends directly on it, ids in order."""
        return tuple(sorted(self._dependants.get(component_id, ())))

    def downstream(self, component_id: str) -> tuple[str, ...]:
        """Who depends on it directly or through others, the nearest first; never itself."""
        found = {component_id: None}
        ahead = deque([component_id])
        while ahead:
            fresh = [one for one in self.dependants(ahead.popleft()) if one not in found]
            found.update(dict.fromkeys(fresh))
            ahead.extend(fresh)
        return tuple(found)[1:]

    def cycle_with(self, component_id: str, depends_on: Iterable[str]) -> tuple[str, ...]:
        """The cycle that would be made by these dependencies of one component, its id first and last; else empty.

        The shortest one. Looks only at what the component would depend on: what is known is taken to have no cycle.
        """
        came_from: dict[str, str] = {}
        ahead = deque([component_id])
        while ahead:
            one = ahead.popleft()
            for target in depends_on if one == component_id else self.depends_on.get(one, ()):
                if target == component_id:
                    return self._way(component_id, one, came_from)
                if target not in came_from:
                    came_from[target] = one
                    ahead.append(target)
        return ()

    @staticmethod
    def _way(component_id: str, last: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
        way = [component_id]
        while last != component_id:
            way.append(last)
            last = came_from[last]
        return (component_id, *reversed(way))


def _targets(edges: Edges, one: str) -> list[str]:
    """What it depends on of those that are components themselves; the last first, as a list is taken from its end."""
    return sorted({target for target in edges[one] if target in edges}, reverse=True)


def _closed(ring: list[str]) -> tuple[str, ...]:
    """The ring from its smallest id on, back to it."""
    first = ring.index(min(ring))
    return (*ring[first:], *ring[:first], ring[first])
