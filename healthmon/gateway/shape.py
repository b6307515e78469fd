"""The heartbeat of the specification's JSON, as the names and values that the streams carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from healthmon.core.heartbeat import (
    CUSTOM,
    NAMES,
    PAYLOAD_MAX,
    STANDARD_METRICS,
    TEXT_MAX,
    Unreadable,
    metric_name,
    read_heartbeat,
)
from healthmon.core.refusal import Refusal
from healthmon.store.codec import pack_heartbeat

Said = dict[str, object]
NAME_MAX: Final = 128
# What else stands in an entry beside the packed heartbeat: its id, and the names of the fields.
_ROOM: Final = 256
_NAMES: Final = frozenset(NAMES) - {"p", "id"}
_STANDARD: Final = frozenset(STANDARD_METRICS)


def said_of(beat: object) -> tuple[Said, tuple[str, ...]]:
    """What a heartbeat says, and of what in it no use can be made, in sentences. That goes along, for `rejected`.

    `component_id` and `id` mean the same, as do `timestamp` and `ts`. What is in `metrics`, and within it in `custom`,
    are metrics; any other name that no heartbeat has is passed over.

    Raises Refusal with 422 (no object, no id, no usable id) or 413 (too large for an entry).
    """
    if not isinstance(beat, Mapping):
        raise Refusal(422, "not_a_map", 'a heartbeat is a JSON object: send {"component_id": "<id>", "metrics": {}}')
    said: Said = {"id": beat.get("component_id", beat.get("id"))}
    for name, value in beat.items():
        if name == "metrics":
            said |= _metrics(value)
        elif name == "timestamp":
            said.setdefault("ts", _plain(value))
        elif value is not None and (name in _NAMES or name.startswith(CUSTOM)):
            said[name] = _plain(value)
    try:
        dropped = read_heartbeat(said).dropped
    except Unreadable as error:
        where = "component_id" if error.reason == "bad_id" else "give component_id"
        raise Refusal(422, error.reason, f"{where}: {error.detail}") from None
    if len(pack_heartbeat(said)) > PAYLOAD_MAX - _ROOM:
        raise Refusal(413, "too_large", f"a heartbeat is at most {PAYLOAD_MAX} bytes: send fewer or shorter metrics")
    return said, dropped


def _metrics(given: object) -> Said:
    if not isinstance(given, Mapping):
        return {} if given is None else {f"{CUSTOM}metrics": f"({type(given).__name__})"}
    found: Said = {}
    for name, value in given.items():
        if name == "custom" and isinstance(value, Mapping):
            found |= {metric_name(str(inner)[:NAME_MAX]): _plain(one) for inner, one in value.items()}
        elif value is not None and name != "timestamp":
            found[name if name in _STANDARD else metric_name(str(name)[:NAME_MAX])] = _plain(value)
    return found


def _plain(value: object) -> object:
    """Text and numbers; of anything else only its kind, since it may be nested deep."""
    if type(value) is float:
        return value
    if isinstance(value, str):
        return value[:TEXT_MAX].encode("utf-8", "replace").decode()
    if type(value) is int and abs(value) < 1 << 63:
        return value
    return f"({type(value).__name__})"
