"""Entries and places in the heartbeat stream, and how far a component's own entries are counted up to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from healthmon.core.heartbeat import NAMES
from healthmon.core.score import score_of

if TYPE_CHECKING:
    from healthmon.core.component import Component

_NAMES: Final = {name.encode(): name.encode() for name in NAMES}
# An id so far ahead of the server's clock is not of this time: the clock was wrong, or a sender made it up.
PINNED_MS: Final = 1000
Entry = tuple[bytes, list[bytes]]  # id, [name, value, …]: as the server sent it, a two-item list in fact


def id_ms(entry_id: bytes) -> int:
    """The millisecond part of a stream id."""
    return int(entry_id.partition(b"-")[0])


def arrival_ms(entry_id: bytes, read_ms: int) -> int:
    """When an entry of the control stream came: what its id says, or the time of the read where the id is ahead of it.

    `read_ms`: the server's clock at the last read, 0 where it is not known.
    """
    ms = id_ms(entry_id)
    return read_ms if read_ms and ms > read_ms + PINNED_MS else ms


def mark(era: int, entry_id: bytes) -> tuple[int, int, int]:
    """A place in the stream that compares across eras."""
    ms, _, seq = entry_id.partition(b"-")
    return era, int(ms), int(seq)


def mark_of(component: Component) -> tuple[int, int, int]:
    """How far the component's own entries are folded."""
    return mark(component.era, component.last_id) if component.last_id else (0, 0, 0)


def kept(fields: list[bytes], raw_id: bytes) -> list[bytes]:
    """A copy to keep. Its names and its id are shared: those of a reply are copies of their own, in every entry."""
    copied = [_NAMES.get(one, one) for one in fields]
    copied[1] = raw_id
    return copied


def claimed_id(fields: list[bytes]) -> str:
    """The id that an entry gives in plain text, whatever else is wrong with it."""
    said = dict(zip(fields[::2], fields[1::2], strict=False))
    return said.get(b"id", b"").decode("ascii", "replace")


def settle(component: Component) -> None:
    """Count in what the hot path only noted: repetitions, and the values of metrics that left the score good."""
    if component.repeats:
        component.total_heartbeats += component.repeats
        component.repeats = 0
        component.last_heartbeat_ms = max(component.last_heartbeat_ms, id_ms(component.last_id))
        if component.values is not None and component.layout is not None:
            names, values = component.layout.names, component.values
            component.keep_metrics(names, values)
            metrics = dict(zip(names, values, strict=True))
            component.score, component.worst_metric = score_of(metrics, component.limits.rows)
            component.values = None
        if component.metric_names:
            component.metrics_ms = component.last_heartbeat_ms
