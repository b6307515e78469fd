"""Components as rows of a table, the same in `status` and `ls`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from healthmon.core.alert import rfc3339
from healthmon.core.circuit import CircuitState
from healthmon.views.board import Row
from healthmon.views.picture import time_of
from healthmon.views.prospect import prospect
from healthmon.views.terminal import Cell
from healthmon.views.words import ago, duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthmon.cli.session import Session
    from healthmon.views.terminal import Terminal

HEAD: Final = ("STATE", "ID", "ROLE", "FOR", "LAST BEAT", "REASON")
WIDE_HEAD: Final = (
    *(*HEAD[:5], "SCORE", "HOST", "PID", "VERSION", "BEATS", "MISSED"),
    *("ATTEMPTS", "BREAKER", "REASON"),
)


async def rows_of(session: Session, found: Sequence[tuple[str, int]]) -> list[Row]:
    """Rows of ids and since when, in their order; one that was forgotten meanwhile is left out.

    The index of last heartbeats is fresher than the records, so it counts where it is later.
    """
    ids = [one for one, _ in found]
    records = await session.reader.records(ids)
    heard = await session.reader.heard_ms(ids)
    return [
        Row(refreshed(record, heard_ms), since_ms)
        for record, heard_ms, (_, since_ms) in zip(records, heard, found, strict=True)
        if record
    ]


def table(terminal: Terminal, rows: Sequence[Row], now_ms: int, *, wide: bool) -> list[str]:
    """The rows as lines under a head. Wide ones are as long as they get: cut to fit, no column would say anything."""
    told = [_cells(terminal, row, now_ms, wide=wide) for row in rows]
    return replace(terminal, width=0).table(WIDE_HEAD, told) if wide else terminal.table(HEAD, told)


def _cells(terminal: Terminal, row: Row, now_ms: int, *, wide: bool) -> list[Cell | str]:
    record = row.record
    cells: list[Cell | str] = [
        terminal.state(record.get("state", "")),
        record["id"],
        record.get("role", ""),
        duration(now_ms - row.since_ms, short=True) if row.since_ms else "",
        ago(time_of(record, "last_heartbeat"), now_ms, short=True),
    ]
    if wide:
        names = ("score", "host", "pid", "version", "total_heartbeats", "missed_heartbeats")
        cells += [record.get(name, "") for name in names]
        cells += [_attempts(record), _breaker(record)]
    follows = prospect(record, now_ms)
    return [*cells, f"{record.get('reason', '')}; {follows}" if follows else record.get("reason", "")]


def _attempts(record: Mapping[str, str]) -> str:
    """`2/5`; nothing where nobody restarts it."""
    done, most = record.get("restart_attempt", ""), record.get("restart_max", "")
    return f"{done or 0}/{most}" if most else ""


def _breaker(record: Mapping[str, str]) -> str:
    """Its state when that is not the usual one."""
    state = record.get("circuit_breaker_state", "")
    return "" if state == CircuitState.CLOSED else state.replace("_", " ")


def refreshed(record: dict[str, str], heard_ms: int) -> dict[str, str]:
    """The record with its last heartbeat by the index, where that is later."""
    if not record or heard_ms <= time_of(record, "last_heartbeat"):
        return record
    return {**record, "last_heartbeat": rfc3339(heard_ms)}
