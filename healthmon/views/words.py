"""How long and when, in words for people. Times for programs are RFC 3339 (`healthmon.core.alert.rfc3339`)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final

_SECOND: Final = 1000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
# Above ten of a unit the next smaller one says nothing that anybody needs.
_MANY: Final = 10


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


def plural(count: int, one: str, many: str = "") -> str:
    """`1 component`, `2 components`, `9 988 components`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def number(count: int) -> str:
    """A whole number with a thin gap for thousands that every terminal can show: `9 988`."""
    return f"{count:,}".replace(",", " ")


def printable(text: str) -> str:
    """One line that upsets no terminal: what can't be shown is replaced."""
    return "".join(c if c.isprintable() else "�" for c in text)
