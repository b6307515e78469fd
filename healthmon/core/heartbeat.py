"""A heartbeat as a value: what a sender may say, read from any of the wire forms, or why it is refused.

The names are the same in every form: plain stream fields, the msgpack map in `p`, one of the maps in `b`. Only the
frame can be refused. A bad metric is dropped and noted, and the heartbeat itself counts: a 0/0 in an error rate must
not kill a living component.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from healthmon.core.component import Status
from healthmon.core.ids import valid_id

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARD_METRICS: Final = (
    "latency_ms",
    "memory_mb",
    "cpu_percent",
    "error_rate",
    "request_rate",
    "active_connections",
)
CUSTOM: Final = "m."
# Every name that a heartbeat may have, but for custom metrics; `p` holds the others packed.
NAMES: Final = (
    *["id", "p", "status", "msg", "interval", "role", "host", "pid", "version", "incarnation", "ts"],
    *STANDARD_METRICS,
)
METRICS_MAX: Final = 64
TEXT_MAX: Final = 512
PAYLOAD_MAX: Final = 16_384
_STATUSES: Final = {status.value: status for status in Status}
_STANDARD: Final = frozenset(STANDARD_METRICS)


@dataclass(slots=True)
class Heartbeat:
    """One heartbeat with a readable frame. `dropped` names the metrics and fields that were left out, and why."""

    id: str
    status: Status = Status.OK
    msg: str = ""
    interval_ms: int = 0
    role: str = ""
    host: str = ""
    pid: str = ""
    version: str = ""
    incarnation: str = ""
    sent_ms: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """An entry that was refused, or of which something was dropped: its stream id, the counted reason, the detail."""

    entry: str
    reason: str
    detail: str
    id: str = ""
    payload: bytes = b""
    channel: str = "heartbeats"


class Unreadable(ValueError):
    """The frame of a heartbeat or a command can't be used. `reason` is the counted word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read_id(value: object) -> str:
    """The component id, or Unreadable with `no_id` or `bad_id`."""
    if value is None or value == "":
        raise Unreadable("no_id", "the field id is missing")
    if not isinstance(value, str) or not valid_id(value):
        raise Unreadable("bad_id", f"{_brief(value)} is no id: 1 to 128 letters, digits and ._@-, no dot in front")
    return value


def read_heartbeat(said: Mapping[str, object]) -> Heartbeat:
    """The heartbeat that these names and values say. Raises Unreadable for a missing or bad id."""
    beat = Heartbeat(read_id(said.get("id")))
    dropped: list[str] = []
    metrics = beat.metrics
    for name, value in said.items():
        if name in _STANDARD or name.startswith(CUSTOM):
            number = read_number(value)
            if number is None:
                dropped.append(f"{_brief(name)} is {_brief(value)}, no finite number")
            elif len(metrics) >= METRICS_MAX:
                dropped.append(f"{_brief(name)} is beyond the {METRICS_MAX} metrics of a heartbeat")
            else:
                metrics[sys.intern(name)] = number
        elif name == "interval":
            seconds = read_number(value)
            if seconds is None or not 0 < seconds <= 86_400 * 365:
                dropped.append(f"interval is {_brief(value)}, no number of seconds above 0")
            else:
                beat.interval_ms = max(1, round(seconds * 1000))
        elif name == "status":
            status = _STATUSES.get(value) if isinstance(value, str) else None
            if status is None:
                dropped.append(f"status is {_brief(value)}, not one of {', '.join(_STATUSES)}")
            else:
                beat.status = status
        elif name == "ts":
            seconds = read_number(value)
            beat.sent_ms = round(seconds * 1000) if seconds is not None and 0 < seconds < 1e11 else 0
        elif name in _TEXTS:
            text = _text(value)
            setattr(beat, name, sys.intern(text) if name in _COMMON_TEXTS else text)
    if dropped:
        beat.dropped = tuple(dropped)
    return beat


def metric_name(name: str) -> str:
    """The name that a metric has in a heartbeat; characters that UTF-8 cannot hold become `?`."""
    plain = name.encode("utf-8", "replace").decode()
    return plain if plain in _STANDARD or plain.startswith(CUSTOM) else f"{CUSTOM}{plain}"


def shown(text: str, most: int = TEXT_MAX) -> str:
    """One line of at most so many characters; what can't be shown is replaced, so that no terminal or page is upset."""
    line = text[:most]
    return line if line.isprintable() else "".join(c if c.isprintable() else "�" for c in line)


_TEXTS: Final = frozenset(("msg", "role", "host", "pid", "version", "incarnation"))
# What many components have in common is kept once.
_COMMON_TEXTS: Final = frozenset(("role", "host", "version"))


def read_number(value: object) -> float | None:
    """A finite number, or nothing. Text is read as one, since plain stream fields are text; truth values are not."""
    if type(value) is float or type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            return None
    elif isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
    else:
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str:
    return shown(value if isinstance(value, str) else str(value))


def _brief(value: object) -> str:
    return _text(repr(value))[:64]
