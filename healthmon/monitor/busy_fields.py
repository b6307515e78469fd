"""What heartbeats and reports move, stored in bulk: the index every second, the hashes in parts, a part a round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from healthmon import clock
from healthmon.core.component import Component
from healthmon.core.table import Table
from healthmon.monitor.leadership import Leadership
from healthmon.settings import Settings
from healthmon.store.calls import Client
from healthmon.store.commits import ITEMS_MAX, Commits
from healthmon.store.streams import Tail, before, order

STORED_AT_ONCE_MAX = 20_000


@dataclass
class Checkpoint:
    """A complete pass over the records that changed, a part a round; the cursor moves with its last part."""

    began_at: str
    left: list[str]


@dataclass
class BusyFields:
    """Stores under one leadership at a time. `client` is the commit connection. `cursor`: what it stored of it."""

    settings: Settings
    table: Table
    tail: Tail
    commits: Commits
    client: Client
    cursor: dict[str, str] = field(default_factory=dict)
    _dirty: dict[str, None] = field(default_factory=dict)
    _checkpoint: Checkpoint | None = None
    _checkpoint_due_s: float = 0.0
    _index_due_s: float = 0.0
    _report: bytes = b""
    _covered_report: bytes = b""

    async def checkpoint(self, leadership: Leadership, *, at_once: Iterable[str] = ()) -> None:
        """Store what heartbeats moved: the index every second, the hashes in parts, and at once those asked for."""
        now_s = clock.monotonic_s()
        wanted = [component for one in at_once if (component := self.table.get(one)) is not None]
        if wanted:
            await self._store(leadership, wanted, whole=True)
        if now_s >= self._index_due_s:
            self._index_due_s = now_s + self.settings.checkpoint_components
            await self._store(leadership, self._take_touched(), whole=False)
        if self._checkpoint is None and now_s >= self._checkpoint_due_s:
            self._checkpoint_due_s = now_s + self.settings.checkpoint_interval
            self._take_touched()
            if self._dirty:
                began = f"{self.table.era}:{self.tail.at['heartbeats'].decode()}"
                self._checkpoint = Checkpoint(began, list(self._dirty))
                self._dirty = {}
                self._covered_report, self._report = self._covered_report or self._report, b""
        if self._checkpoint is not None:
            await self._store_part(leadership, self._checkpoint)

    def due_s(self, otherwise_s: float) -> float:
        """The local moment at which something of this is due, for whoever waits."""
        if self._checkpoint is not None:
            return 0.0
        waiting = self._dirty or self.table.is_touched
        return min(self._index_due_s, self._checkpoint_due_s) if waiting else otherwise_s

    def begin(self) -> None:
        """A new term: every record is stored again, since nobody knows what the former leader had stored."""
        self._checkpoint = None
        self._dirty = dict.fromkeys(self.table.components)

    def note_report(self, entry: bytes) -> None:
        """A report was folded: until its record is stored, a cold replica has to read it again."""
        self._report = self._report or entry

    def control_upto(self, read: bytes) -> bytes:
        """How far the control cursor may go: never past a report whose record is not stored yet."""
        first = self._covered_report or self._report
        return before(first) if first and order(first) <= order(read) else read

    async def store_all(self, leadership: Leadership) -> None:
        """Store every total now, because entries will be gone that some replica may not have read.

        Above 20 000 not: the round would stand still for seconds. A replica that lags then is short of some.
        """
        self._take_touched()
        if self._checkpoint is not None:
            self._dirty.update(dict.fromkeys(self._checkpoint.left))
            self._checkpoint = None
        if len(self._dirty) <= STORED_AT_ONCE_MAX:
            components = [component for one in self._dirty if (component := self.table.get(one)) is not None]
            await self._store(leadership, components, whole=True)

    async def _store_part(self, leadership: Leadership, checkpoint: Checkpoint) -> None:
        part, checkpoint.left = checkpoint.left[:ITEMS_MAX], checkpoint.left[ITEMS_MAX:]
        components = [component for one in part if (component := self.table.get(one)) is not None]
        cursor = {} if checkpoint.left else {"heartbeats": checkpoint.began_at, "era": str(self.table.era)}
        try:
            await self._store(leadership, components, whole=True, cursor=cursor)
        except BaseException:
            self._dirty.update(dict.fromkeys([*part, *checkpoint.left]))
            self._checkpoint = None
            self._report, self._covered_report = self._covered_report or self._report, b""
            raise
        if not checkpoint.left:
            self.cursor.update(cursor)
            self._checkpoint, self._covered_report = None, b""

    async def _store(
        self,
        leadership: Leadership,
        components: Sequence[Component],
        *,
        whole: bool,
        cursor: Mapping[str, str] | None = None,
    ) -> None:
        known = [component for component in components if component.rev]
        for start in range(0, max(1, len(known)), ITEMS_MAX):
            part = known[start : start + ITEMS_MAX]
            if part or cursor:
                leadership.check()
                await self.commits.checkpoint(
                    self.client, leadership.lease, leadership.generation, part, whole=whole, cursor=cursor
                )

    def _take_touched(self) -> list[Component]:
        touched = self.table.touched()
        self._dirty.update((component.id, None) for component in touched)
        return touched
