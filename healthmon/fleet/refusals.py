"""What the core says against parts of a policy: against each value alone, and against values that contradict another.

The core refuses with its first reason. Here it is asked part by part, so that all reasons of a file are found at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

from healthmon.core.policy import Defaults, Policy, parse_policy, read_policy
from healthmon.core.policy_values import breaker_of, duration, ids_of, probe_of, restart_of, rows_of
from healthmon.errors import Refused
from healthmon.fleet.layers import TABLES, Layer, Part, policy_object

_THRESHOLDS: Final = ("heartbeat_timeout", "degraded_threshold", "dead_threshold")
_TIMEOUT: Final = ("heartbeat_timeout",)
_FAR_MS: Final = 1 << 50
_DURATIONS: Final = (*_THRESHOLDS, "interval", "startup_timeout")
# What a contradiction may name that is set nowhere in the file, and so is the monitor's.
_SETTINGS: Final = (*_THRESHOLDS, "startup_timeout", "reset_after")
_TABLE_OF: Final[Mapping[str, Callable[[object], object]]] = {
    "score": rows_of,
    "restart": restart_of,
    "breaker": breaker_of,
    "probe": probe_of,
}
# What a value needs beside it, so that only the value itself can be refused.
_NEEDED: Final[Mapping[Part, Mapping[str, object]]] = {
    ("restart", "command"): {"method": "exec"},
    ("restart", "url"): {"method": "webhook"},
    ("probe", "interval"): {"url": "http://localhost"},
    ("probe", "timeout"): {"url": "http://localhost"},
}
_NEEDED_BY_METHOD: Final[Mapping[str, Mapping[str, object]]] = {
    "exec": {"command": ["true"]},
    "webhook": {"url": "http://localhost"},
}
_WITH_UNIT: Final = re.compile(r"\s*[0-9.]+\s*(ms|s|m|min|h|d)\s*")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why values do not go together, and the parts that are meant, in the order in which they are named."""

    says: str
    parts: tuple[Part, ...]


def refusal_of(part: Part, value: object) -> str:
    """What is wrong with one value, whatever stands beside it; "" when nothing is."""
    try:
        _check(part, value)
    except Refused as error:
        return _told(str(error), part, value)
    return ""


def contradictions(layer: Layer, defaults: Defaults) -> tuple[Policy, list[Contradiction]]:
    """The policy of a merged layer whose values are each right, or why there is none."""
    try:
        return read_policy(json.dumps(policy_object(layer)), defaults), []
    except Refused:
        pass
    found: list[Contradiction] = []
    left = layer
    for scope in ("restart", "probe", "thresholds", ""):
        while says := _refused(scope, within := _within(scope, left), defaults):
            named = _named(says, within) or tuple(within)
            found.append(Contradiction(f"{_plain(says)}{_not_set(says, named)}", named))
            # Without the part of a restart that is named first others may be wrong for themselves.
            gone = named[:1] if scope == "restart" else set(within) - {_TIMEOUT}
            left = {part: given for part, given in left.items() if part not in gone}
            if scope == "thresholds":  # the time-out alone still counts among what a restart needs
                defaults = replace(defaults, degraded_threshold_ms=_FAR_MS, dead_threshold_ms=2 * _FAR_MS)
            if scope == "":
                break
    return Policy(), found


def group_of(part: Part) -> str:
    """Parts of one name are nothing without each other: where one is wrong, nothing can be said of the others."""
    return "thresholds" if part[0] in _THRESHOLDS else part[0]


def _check(part: Part, value: object) -> None:
    """Raises Refused with the core's words."""
    name = part[0]
    if name in TABLES and len(part) == 1:
        raise Refused(f"{name} must be a table: [….{name}], or {name} = {{ … }}")
    if name in TABLES:
        _TABLE_OF[name]({**_beside(part, value), part[1]: value})
    elif name in _DURATIONS:
        duration(name, value)
    elif name == "depends_on":
        ids_of(name, value)
    else:
        parse_policy({name: value}, Defaults())


def _beside(part: Part, value: object) -> Mapping[str, object]:
    if part == ("restart", "method"):
        return _NEEDED_BY_METHOD.get(value, {}) if isinstance(value, str) else {}
    if part == ("probe", "callable") and value is not True:
        return {"url": "http://localhost"}
    return _NEEDED.get(part, {})


def _within(scope: str, layer: Layer) -> Layer:
    """The parts that are judged together; "" for all. The announced interval moves thresholds."""
    also = ("interval",) if scope == "thresholds" else ()
    return {part: given for part, given in layer.items() if scope in ("", group_of(part)) or part == also}


def _refused(scope: str, layer: Layer, defaults: Defaults) -> str:
    said = policy_object(layer)
    try:
        if scope in TABLES:
            _TABLE_OF[scope](said.get(scope, {}))
        else:
            parse_policy(said, defaults)
    except Refused as error:
        return str(error)
    return ""


def _named(says: str, layer: Layer) -> tuple[Part, ...]:
    """The parts whose names the refusal has, as it names them."""
    found = {part: re.search(rf"\b{re.escape(part[-1])}\b", says) for part in layer}
    return tuple(sorted((part for part in found if found[part]), key=lambda part: _start(found[part])))


def _not_set(says: str, named: Iterable[Part]) -> str:
    """Which of the numbers in a contradiction stand in no file, so that nobody looks for them there."""
    given = {part[-1] for part in named}
    others = [name for name in _SETTINGS if name not in given and re.search(rf"\b{name}\b", says)]
    return f"; {' and '.join(others)} by the monitor's settings" if others else ""


def _start(found: re.Match[str] | None) -> int:
    return found.start() if found else 0


def _told(says: str, part: Part, value: object) -> str:
    """The refusal with the nearest of the words that it offers, or with what else the writer may have meant."""
    offered = re.findall(r"[a-z_]+", says.partition("; it ")[2])
    wrong = part[-1] if f"{part[-1]!r};" in says else value
    meant: list[Any] = get_close_matches(wrong, offered, 1, 0.6) if isinstance(wrong, str) else []
    hint = f"; did you mean {meant[0]}?" if meant else ""
    if isinstance(value, str) and _WITH_UNIT.fullmatch(value):
        hint = "; durations are seconds, without a unit"
    return f"{_plain(says)}{hint}"


def _plain(says: str) -> str:
    return says.replace("policy has", "a policy has").removeprefix("policy ")
