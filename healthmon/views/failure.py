"""The context of a component's last failure: how its process ended, what it said, what had changed. Pure.

The stored context is somebody else's words in part: whatever is of an unexpected kind is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.alert import rfc3339
from healthmon.core.death import ended_as
from healthmon.views.words import duration, figures, printable, when

if TYPE_CHECKING:
    from datetime import tzinfo

# So much of what a program wrote last is shown unless all is asked for.
LINES_TOLD: Final = 5
CHANGES_TOLD: Final = 5


def failure_lines(
    failure: Mapping[str, Any], metrics: Mapping[str, float], now_ms: int, zone: tzinfo | None, *, wide: bool
) -> list[tuple[str, str]]:
    """Labelled sentences. `metrics`: the latest, which are not told twice. `wide`: every line of output there is."""
    lines = failure_line(failure, now_ms, zone)
    lines += _labelled("output", _texts(failure, "lines"), 20 if wide else LINES_TOLD)
    lines += _labelled("changed", _texts(failure, "changed"), 20 if wide else CHANGES_TOLD)
    if down := _texts(failure, "dependencies"):
        lines.append(("down", f"{', '.join(down)} when it failed"))
    known = failure.get("metrics")
    if isinstance(known, Mapping) and known and known != metrics:
        lines.append(("metrics", figures(known)))
    return lines


def failure_line(failure: Mapping[str, Any], now_ms: int, zone: tzinfo | None) -> list[tuple[str, str]]:
    """When and how its process ended; nothing of a mere silence, which says no more than its reason."""
    seen = any(failure.get(name) not in (None, "") for name in ("signal", "code", "uptime_s", "peak_mb", "said"))
    return [("failure", _ended(failure, now_ms, zone))] if seen else []


def failure_json(failure: Mapping[str, Any]) -> dict[str, Any] | None:
    """The context for a program, its time as RFC 3339."""
    if not failure:
        return None
    return {"at": rfc3339(_number(failure, "at_ms")) or None, **{n: v for n, v in failure.items() if n != "at_ms"}}


def _ended(failure: Mapping[str, Any], now_ms: int, zone: tzinfo | None) -> str:
    """`14:31:02 (3 s ago): exited with code 1 after 12 s, peak memory 48 MB`."""
    how = printable(ended_as(failure)) or "nobody saw its process end"
    if uptime_ms := _number(failure, "uptime_s", 1000):
        how += f" after {duration(uptime_ms)}"
    if peak := failure.get("peak_mb"):
        how += f", peak memory {peak:g} MB" if isinstance(peak, int | float) else ""
    if said := failure.get("said"):
        how += f", its last words: {printable(str(said))}"
    at_ms = _number(failure, "at_ms")
    return f"{when(at_ms, now_ms, zone)}: {how}" if at_ms else how


def _labelled(label: str, texts: list[str], most: int) -> list[tuple[str, str]]:
    """The latest of them, a line each, the first beside the label."""
    kept = texts[-most:]
    left_out = len(texts) - len(kept)
    if left_out:
        kept[0] = f"({left_out} earlier) {kept[0]}"
    return [(label if not n else "", text) for n, text in enumerate(kept)]


def _texts(failure: Mapping[str, Any], name: str) -> list[str]:
    value = failure.get(name, "")
    found = value.splitlines() if isinstance(value, str) else value
    return [printable(str(one)) for one in found] if isinstance(found, list | tuple) else []


def _number(failure: Mapping[str, Any], name: str, times: int = 1) -> int:
    value = failure.get(name)
    return round(value * times) if isinstance(value, int | float) else 0
