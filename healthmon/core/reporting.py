"""Folding the control stream's evidence into the table: every replica does, leader or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from healthmon.core.heartbeat import Heartbeat, Rejection, Unreadable
from healthmon.core.marks import arrival_ms, id_ms, mark, settle
from healthmon.core.reports import report_mark

if TYPE_CHECKING:
    from healthmon.core.component import Component
    from healthmon.core.marks import Entry
    from healthmon.core.reports import Report
    from healthmon.core.table import Table


def fold_report(table: Table, entry: Entry, only: set[str] | None = None) -> bool:
    """Fold an entry of the control stream that is evidence; False when it is a command, for the leader to obey.

    An entry is not folded again where a record's own mark says that it was. What can't be read is refused. `only`:
    fold again, for these records, which refuses and registers nothing.
    """
    entry_id, fields = entry
    try:
        reports = table.wire.reports(fields)
    except Unreadable as error:
        if only is not None:
            return True
        payload = b" ".join(fields)[:1024]
        table.reject(Rejection(entry_id.decode(), error.reason, error.detail, "", payload, "control"))
        return True
    if reports is None:
        return False
    here, fresh = mark(0, entry_id), set[str]()
    for report in reports:
        if only is not None and report.id not in only:
            continue
        component = table.components.get(report.id) or _admit(table, report, entry)
        known = component is None or (report.id not in fresh and here <= report_mark(component))
        if component is not None and not known:
            fresh.add(report.id)
            _fold(table, component, report, entry_id)
    return True


def _fold(table: Table, component: Component, report: Report, entry_id: bytes) -> None:
    at_ms = arrival_ms(entry_id, table.read_ms)
    if table.admission.is_former(component, at_ms, refolding=True):
        return
    settle(component)
    report.fold(component, at_ms)
    component.reports_folded, component.repeat = entry_id.decode(), None
    table.census.probed_ok_ms = max(table.census.probed_ok_ms, component.probes.ok_ms)
    table.touch(component.id)


def _admit(table: Table, report: Report, entry: Entry) -> Component | None:
    """A recorded failure of an unknown id registers it, as a first heartbeat would; a probe's result does not."""
    if not report.registers:
        return None
    at_ms = arrival_ms(entry[0], table.read_ms)
    at = entry[0] if at_ms == id_ms(entry[0]) else b"%d-0" % at_ms
    return table.admit(Heartbeat(report.id), at, entry[1])
