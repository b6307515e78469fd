"""The dependencies that a fleet file sets: their cycles, also over what is stored, and names that nobody has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from itertools import pairwise
from typing import Final

from healthmon.core.dependencies import cycle_in, cycle_sentence
from healthmon.core.places import Path, Places
from healthmon.core.remarks import Remark, dotted

# A file with more cycles than these is better looked at again after the first are gone.
CYCLES_MAX: Final = 100

# Component -> what it depends on -> where the file says so.
Edges = Mapping[str, Mapping[str, Path]]


def cycles_of(edges: Edges, stored: Mapping[str, Iterable[str]], places: Places) -> list[Remark]:
    """The cycles of the file together with what is stored of other components, each at an edge that the file sets.

    That edge is left out to find the next cycle.
    """
    graph = {one: set(targets) for one, targets in {**stored, **edges}.items()}
    remarks: list[Remark] = []
    while len(remarks) < CYCLES_MAX and (cycle := cycle_in(graph)):
        source, target = next((pair for pair in pairwise(cycle) if pair[0] in edges), ("", ""))
        if not source:
            break  # a cycle of the store alone is none of the file
        says = f"{cycle_sentence(cycle)}; remove one of these"
        remarks.append(Remark(places.of(edges[source][target]), f"{dotted(('components', source))}: {says}"))
        graph[source].discard(target)
    return remarks


def unknown_of(edges: Edges, known: Collection[str], places: Places) -> list[Remark]:
    """A warning for each name that no component has, in the file or of the `known`: it may be on another shard."""
    sources: dict[str, str] = {}
    for source, targets in edges.items():
        for target in targets:
            if target not in edges and target not in known:
                sources.setdefault(target, source)
    remarks = []
    for target, source in sources.items():
        meant = get_close_matches(target, edges, 1, 0.8)
        hint = f"did you mean {meant[0]}?" if meant else "until it is registered it holds nothing"
        says = f"depends_on names {target}, which is neither in the file nor known; {hint}"
        remarks.append(Remark(places.of(edges[source][target]), f"{dotted(('components', source))}: {says}"))
    return sorted(remarks)


def outside(edges: Edges) -> set[str]:
    """What the file's components depend on that is not in the file."""
    return {target for targets in edges.values() for target in targets if target not in edges}
