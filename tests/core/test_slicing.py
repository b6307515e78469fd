"""Any slicing of the same stream gives the same table: the hot path, the long way, and whatever lies between."""

from __future__ import annotations

from hypothesis import given

from healthmon.core.marks import Entry
from healthmon.core.policy import Defaults
from healthmon.core.table import Table
from healthmon.store.codec import Wire
from tests.core.shard import evidence, lead
from tests.core.streams import CUTS, STREAMS, slices

# Short time-outs: the pace of canaries, and with it what counts as blind, changes with who announces which interval.
SHORT = Defaults(heartbeat_timeout_ms=2_000, degraded_threshold_ms=4_000, dead_threshold_ms=8_000)


def everything(table: Table) -> dict[str, object]:
    """All that a stream leaves behind in a table."""
    return {
        "components": {one: evidence(component) for one, component in sorted(table.components.items())},
        "blind": list(table.blindness.stretches),
        "new": list(table.new_stretches),
        "rejections": list(table.rejections),
        "seen": table.seen_ms,
        "canary": table.canary_ms,
        "longest": table.longest_timeout_ms,
        "changed": sorted(table.changed),
        "touched": sorted(component.id for component in table.touched()),
    }


def folded(parts: list[list[Entry]], *, known: list[Entry] | None = None) -> Table:
    """A table that read these slices; the components of `known` were registered and found healthy before."""
    table = Table(SHORT, Wire())
    if known:
        table.fold(known)
        lead(table, table.seen_ms)
    for part in parts:
        table.fold(part)
    return table


@given(STREAMS, CUTS)
def test_any_slicing_of_a_stream_gives_the_same_table(entries: list[Entry], cuts: bytes) -> None:
    assert everything(folded(slices(entries, cuts))) == everything(folded([[one] for one in entries]))


@given(STREAMS, CUTS)
def test_the_hot_path_gives_what_the_long_way_gives(entries: list[Entry], cuts: bytes) -> None:
    # Judged once, so that healthy components are settled and their bytes remembered; then nothing is decided any more.
    known, rest = entries[: len(entries) // 3], entries[len(entries) // 3 :]
    hot = folded(slices(rest, cuts), known=known)
    long_way = folded([], known=known)
    long_way.expect_known(b"9999999999999-0")
    long_way.fold(rest)
    assert everything(hot) == everything(long_way)
