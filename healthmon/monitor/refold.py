"""Folding again, for records whose place in the table was taken by another: what was folded into that one is theirs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from healthmon.core.component import Component
from healthmon.core.marks import mark_of
from healthmon.core.reporting import fold_report
from healthmon.core.reports import report_mark
from healthmon.core.table import Table
from healthmon.store.streams import Read, Tail, before, in_order


async def refold(table: Table, tail: Tail, records: Collection[Component]) -> None:
    """Fold what these records have not seen of heartbeats and reports, as far as this replica has read, in order.

    Their own marks say what they have seen; nothing from before they were born is theirs.
    """
    if not records:
        return
    era, ms, seq = min(mark_of(component) for component in records)
    if era < table.era:  # all that is there came after the repair
        ms = seq = 0
    reported = min(max(report_mark(one)[1:], (one.born_ms - 1, 0)) for one in records)
    read = Read(
        await tail.range("heartbeats", f"{ms}-{seq}".encode(), tail.at["heartbeats"]),
        await tail.range("control", before(b"%d-%d" % reported), tail.at["control"]),
    )
    _fold(table, read, {component.id for component in records})


async def refold_after(table: Table, tail: Tail, forgotten: Mapping[str, int]) -> None:
    """Fold what came after these were forgotten, as far as this replica has read: it is of their next lives.

    `forgotten`: id -> when (ms). It may have been folded into the record that went.
    """
    if not forgotten:
        return
    after = before(b"%d-0" % min(forgotten.values()))
    read = Read(
        await tail.range("heartbeats", after, tail.at["heartbeats"]),
        await tail.range("control", after, tail.at["control"]),
    )
    _fold(table, read, set(forgotten))


def _fold(table: Table, read: Read, ids: set[str]) -> None:
    for heartbeats, command in in_order(read):
        table.refold(heartbeats, ids)
        if command is not None:
            fold_report(table, command, ids)
