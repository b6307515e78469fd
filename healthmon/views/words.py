"""How long and when, in words for people. Times for programs are RFC 3339 (`healthmon.core.alert.rfc3339`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECOND: Final = 1000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_DURATION_TEXT: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)")
_UNITS_MS: Final = {"ms": 1, "s": _SECOND, "m": _MINUTE, "h": _HOUR, "d": _DAY}
# From here on a float has no fraction, nor all of the digits that an int would show.
_EXACT: Final = 1e15
# Above ten of a unit the next smaller one says nothing that anybody needs.
_MANY: Final = 10
_NAMED: Final = 5


def duration(ms: int, *, short: bool = False) -> str:
    """`0.4 s`, `43 s`, `2 m 5 s`, `12 m`, `2 h 4 m`, `2 d 4 h`, `45 d`; a negative one as 0 s.

    `short`: the larger unit alone, for tables.
    """
    if ms < _SECOND:
        return f"{max(0, ms) // 100 / 10:g} s"
    for unit, name, smaller, smaller_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "m"),
        (_MINUTE, "m", _SECOND, "s"),
    ):
        if ms >= unit:
            rest = ms % unit // smaller
            whole = f"{ms // unit} {name}"
            return whole if short or not rest or ms >= _MANY * unit else f"{whole} {rest} {smaller_name}"
    return f"{ms // _SECOND} s"


def read_duration_ms(text: str) -> int | None:
    """The milliseconds of `90s`, `15m`, `2h`, `1.5 d`; None for what is no such duration."""
    match = _DURATION_TEXT.fullmatch(text.strip())
    return round(float(match[1]) * _UNITS_MS[match[2]]) if match else None


def seconds(ms: int) -> str:
    """Seconds as a sentence says them: `0 s`, `2.5 s`, `180 s`."""
    return f"{round(ms / _SECOND, 1):g} s"


def ago(ms: int, now_ms: int, *, short: bool = False) -> str:
    """`43 s ago`, `never` for 0."""
    return f"{duration(now_ms - ms, short=short)} ago" if ms else "never"


def moment(ms: int, now_ms: int, zone: tzinfo | None = None, *, exact: bool = False) -> str:
    """`14:31:02`, with the day when it is another than today's; `exact` adds the milliseconds. `zone` None is local."""
    if not ms:
        return "never"
    at, now = (datetime.fromtimestamp(each / 1000, UTC).astimezone(zone) for each in (ms, now_ms))
    time = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}" if exact else f"{at:%H:%M:%S}"
    if at.date() == now.date():
        return time
    return f"{at.day} {at:%b} {time}" if at.year == now.year else f"{at:%Y-%m-%d} {time}"


def when(ms: int, now_ms: int, zone: tzinfo | None = None, *, distance: bool = True) -> str:
    """`14:31:07 (in 2 s)`, `14:30:58 (4 s ago)`; without `distance` the moment alone."""
    at = moment(ms, now_ms, zone)
    if not distance or not ms:
        return at
    return f"{at} (in {duration(ms - now_ms)})" if ms > now_ms else f"{at} ({ago(ms, now_ms)})"


def figure(value: object) -> str:
    """A number without a fraction that says nothing: `7`, `0.25`, `1500000`; anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return printable(str(value))


def figures(values: Mapping[str, object], most: int = 0) -> str:
    """`latency_ms=450 m.queue=3`; of more than `most` (0: no limit) only how many."""
    told = [f"{printable(name)}={figure(value)}" for name, value in values.items()]
    left_out = len(told) - most if most else 0
    return " ".join([*told[:most], f"and {left_out} more"] if left_out > 0 else told)


def plural(count: int, one: str, many: str = "") -> str:
    """`1 component`, `2 components`, `9 988 components`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def named(ids: Sequence[str]) -> str:
    """`api-1, api-2 and 3 more`: the first few."""
    more = f" and {number(len(ids) - _NAMED)} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more


def number(count: int) -> str:
    """A whole number with a thin gap for thousands that every terminal can show: `9 988`."""
    return f"{count:,}".replace(",", " ")


def printable(text: str) -> str:
    """One line that upsets no terminal: what can't be shown is replaced."""
    return "".join(c if c.isprintable() else "�" for c in text)
