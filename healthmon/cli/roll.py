"""Everybody of the fleet with what is shown and searched for, read once and kept true by the events.

A second of a fleet of ten thousand costs one small read, not ten thousand: who had an event is read again at once,
and all others in turn, so that what changes without an event, as a score does, is seen within some seconds.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from healthmon.store.reading import CHUNK
from healthmon.views.board import Row
from healthmon.views.picture import time_of
from healthmon.views.states import PROBLEMS, WORST_FIRST, look_of
from healthmon.views.words import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthmon.store.reading import Reader, StreamEntry
    from healthmon.views.search import Query

# Of a larger fleet the worst so many are listed: some 1 KB each.
ROLL_MAX: Final = 50_000
# So often in a row the roll may differ from the counts, which are read a moment earlier, before it is read anew.
_DIFFERS_MAX: Final = 2
_FIELDS: Final = ("state", "since", "role", "host", "reason", "msg", "score")


class Roll:
    """The components of one shard. Raises StoreUnavailable and NotPermitted."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._rows: dict[str, Row] = {}
        self._touched: set[str] = set()
        self._turn: list[str] = []
        self._differs = 0
        self._ordered: dict[tuple[Query, bool], list[Row]] = {}
        self._roles: dict[str, dict[str, int]] = {}
        self.wanting = True

    async def load(self) -> None:
        """Read everybody, the worst first."""
        rows: dict[str, Row] = {}
        for state in WORST_FIRST:
            async for chunk in self._reader.every_in_state(state):
                ids = [one for one, _ in chunk if one not in rows][: ROLL_MAX - len(rows)]
                rows.update(await self._read(ids))
                if len(rows) >= ROLL_MAX:
                    break
        self._rows, self._turn, self._differs, self.wanting = rows, [], 0, False
        self._changed()

    def touch(self, entries: Sequence[StreamEntry]) -> None:
        """These events happened: whom they are about is read again by the next `keep`."""
        self._touched.update(entry.fields["id"] for entry in entries if entry.fields.get("id"))

    async def keep(self, counts: Mapping[str, int]) -> None:
        """Make it true again. `counts`: as the data has them; who was missed is found by them."""
        if self.wanting:
            await self.load()
            return
        touched, self._touched = self._touched, set()
        try:
            if not self._turn:
                self._turn = list(self._rows)
            ids = list(dict.fromkeys([*touched, *self._turn[-CHUNK:]]))
            del self._turn[-CHUNK:]
            self._take(ids, await self._read(ids))
        except BaseException:
            self._touched |= touched
            raise
        self._compare(counts)

    async def _read(self, ids: Sequence[str]) -> dict[str, Row]:
        records = await self._reader.parts(ids, _FIELDS)
        return {record["id"]: Row(record, time_of(record, "since")) for record in records if record.get("state")}

    def _take(self, ids: Sequence[str], found: Mapping[str, Row]) -> None:
        changed = False
        for one in ids:
            row = found.get(one)
            if row is None:
                changed |= self._rows.pop(one, None) is not None
            elif self._rows.get(one) != row and (one in self._rows or len(self._rows) < ROLL_MAX):
                self._rows[one] = row
                changed = True
        if changed:
            self._changed()

    def _compare(self, counts: Mapping[str, int]) -> None:
        if sum(counts.values()) > ROLL_MAX:
            return
        own = Counter(row.record["state"] for row in self._rows.values())
        same = all(own.get(state, 0) == count for state, count in counts.items())
        self._differs = 0 if same else self._differs + 1
        self.wanting = self._differs > _DIFFERS_MAX

    def _changed(self) -> None:
        self._ordered.clear()
        self._roles.clear()

    def ordered(self, query: Query, *, problems_only: bool) -> list[Row]:
        """Who is looked for, the worst first, and of one state the longest in it first."""
        key = (query, problems_only)
        if key not in self._ordered:
            wanted = [
                row
                for row in self._rows.values()
                if (not problems_only or row.record["state"] in PROBLEMS) and query.matches(row.record)
            ]
            self._ordered.clear()  # one is looked at at a time
            self._ordered[key] = sorted(
                wanted, key=lambda row: (look_of(row.record["state"]).order, row.since_ms, row.record["id"])
            )
        return self._ordered[key]

    def roles(self) -> dict[str, dict[str, int]]:
        """Role -> state -> how many."""
        if not self._roles:
            for row in self._rows.values():
                counts = self._roles.setdefault(row.record.get("role", ""), {})
                counts[row.record["state"]] = counts.get(row.record["state"], 0) + 1
        return self._roles

    def remark(self, total: int) -> str:
        """That not everybody is listed, "" when everybody is."""
        return f"the worst {number(ROLL_MAX)} are listed" if total > ROLL_MAX else ""
