"""Policies in layers: what holds for all, for a role, for one component, each part with the place that it is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthmon.core.places import Path

# ("interval",) or ("restart", "method"): a part of a policy, down to what is merged.
Part = tuple[str, ...]
# The parts that are tables: layers are merged within them.
TABLES: Final = ("score", "restart", "breaker", "probe")
_TARGETS: Final = (("probe", "url"), ("probe", "exec"), ("probe", "callable"))
_METHOD: Final = ("restart", "method")
_OF_THE_METHOD: Final = (("restart", "command"), ("restart", "url"))


@dataclass(frozen=True, slots=True)
class Given:
    """A value as the file gives it, and where."""

    value: object
    path: Path


Layer = Mapping[Part, Given]


def layer_of(table: Mapping[str, object], path: Path) -> Layer:
    """The parts that one table of the file sets. What should be a table and is none stays as it is."""
    layer: dict[Part, Given] = {}
    for name, value in table.items():
        if name in TABLES and isinstance(value, dict):
            layer |= {(name, inner): Given(one, (*path, name, inner)) for inner, one in value.items()}
        else:
            layer[name,] = Given(value, (*path, name))
    return layer


def laid_over(over: Layer, under: Layer) -> Layer:
    """Both, part by part, the upper one's where both set it.

    Another target of a probe takes the place of the one below, as there is only one; another restart method drops what
    only the one below needs.
    """
    replaced: set[Part] = set()
    if any(target in over for target in _TARGETS):
        replaced.update(_TARGETS)
    if _METHOD in over and (_METHOD not in under or over[_METHOD].value != under[_METHOD].value):
        replaced.update(_OF_THE_METHOD)
    return {**{part: given for part, given in under.items() if part not in replaced}, **over}


def policy_object(layer: Layer) -> dict[str, Any]:
    """The layer as the JSON object of a policy."""
    said: dict[str, Any] = {}
    for part, given in layer.items():
        if len(part) == 1:
            said[part[0]] = given.value
        else:
            said.setdefault(part[0], {})[part[1]] = given.value
    return said


def flat(said: Mapping[str, Any]) -> dict[str, object]:
    """The JSON object of a policy by dotted names: `restart.method`."""
    found: dict[str, object] = {}
    for name, value in said.items():
        if name in TABLES and isinstance(value, dict):
            found |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            found[name] = value
    return found
