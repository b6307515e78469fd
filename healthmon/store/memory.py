"""What else the rules need of a component, kept as one JSON object in the field `memory` of its hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from operator import attrgetter
from typing import Any, Final

from healthmon.core.component import Component, Record

MEMORY: Final = (
    "rule",
    "declared",
    "metrics_ms",
    "worst_metric",
    "band",
    "good_streak",
    "starting_ms",
    "alive_since_ms",
    "respawns",
    "respawn_count",
    "respawns_told",
    "beat_role",
    "skew_ms",
    "interval_ms",
    "watch_ms",
    "silent_ms",
    "flapping",
    "turns",
    "down",
    "acts",
    "changes",
    "unwell_heartbeats",
    "probed_latency",
    "reports_folded",
)
# Of these the memory holds the fields that are not as they were at first.
MEMORY_PARTS: Final = ("breaker", "restart", "failures", "probes")
# The memory leaves out what is as it was at first: it is written with every heartbeat's totals.
_first: Final = {one.name: one.default for one in fields(Component)}
_KEPT: Final = tuple(name for name in MEMORY if name in Record.__slots__)
_KEPT_AT_FIRST: Final = tuple(_first[name] for name in _KEPT)
_SELDOM: Final = frozenset(MEMORY) - frozenset(_KEPT)
_PARTS_AT_FIRST: Final = {name: _first[name] for name in MEMORY_PARTS}
_kept_of: Final = attrgetter(*_KEPT)


def memory_of(component: Component) -> dict[str, object]:
    """What is not as it was at first, by name."""
    kept: dict[str, object] = {
        name: value
        for name, value, first in zip(_KEPT, _kept_of(component), _KEPT_AT_FIRST, strict=True)
        if value != first
    }
    kept.update((name, value) for name, value in component.differs.items() if name in _SELDOM)
    for name, first in _PARTS_AT_FIRST.items():
        part = getattr(component, name)
        if part is not first and part != first:
            kept[name] = {n: v for n, v in asdict(part).items() if v != getattr(first, n)}
    return kept


def recall(component: Component, memory: Mapping[str, Any]) -> None:
    """Put it back; names of another version are left out. Raises ValueError for a value of another kind."""
    for name in MEMORY:
        if name in memory:
            setattr(component, name, like(getattr(component, name), memory[name]))
    for name in MEMORY_PARTS:
        part, said = getattr(component, name), memory.get(name, {})
        if said:
            kept = {f.name: like(getattr(part, f.name), said[f.name]) for f in fields(part) if f.name in said}
            setattr(component, name, replace(part, **kept))


def like(known: object, value: object) -> object:
    """A value of the memory, which must be of the kind that the field has."""
    if isinstance(known, tuple):
        known, value = (), tuple(value) if isinstance(value, list) else value
    if type(value) is not type(known):
        raise ValueError(f"{value!r} is of another kind than {known!r}")
    return value
