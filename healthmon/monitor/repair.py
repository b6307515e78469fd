"""When the data is not what the table knows: lost, cut short, or its stream run ahead of the clock.

No replica drops its table for emptier hashes. Each puts back what it holds; per component the higher (epoch, rev) wins,
and what was put back is said by a `recovered` event. Until a heartbeat_timeout after that nobody is called dead.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from healthmon.core.event import Event, EventType, recovered
from healthmon.core.guard import RULE as MASS_FAILURE
from healthmon.core.marks import id_ms
from healthmon.core.measures import Measures
from healthmon.core.table import Table
from healthmon.monitor.leadership import Leadership
from healthmon.monitor.ledger import Ledger
from healthmon.monitor.reading import Slice
from healthmon.store.calls import Client, call
from healthmon.store.commits import CHANGES_MAX, Commits
from healthmon.store.streams import Tail, order

logger = logging.getLogger("healthmon.monitor")
# So long every replica has to put back what it holds before anybody's death is believed.
RECOVERING_MS = 3000
# So often a repair waits for a round that had read everything; then what nobody has read yet is lost.
MEND_TRIES = 20
OBSERVING, REPAIRED = "observing", "repaired"


@dataclass
class Repair:
    """What a replica does about lost data and pinned streams.

    `cold`: nobody is known to have watched before this replica.
    """

    replica: str
    table: Table
    tail: Tail
    ledger: Ledger
    commits: Commits
    client: Client
    measures: Measures
    cold: bool = True
    epoch_floor: int = 0
    _tries: int = 0

    @property
    def generation(self) -> str:
        """The data set that the table belongs to."""
        return self.ledger.generation

    @generation.setter
    def generation(self, generation: str) -> None:
        self.ledger.generation = generation

    async def learn(self, event: Event) -> None:
        """An event of the shard: a new leader, a repaired stream, the beginning of watching."""
        self.epoch_floor = max(self.epoch_floor, event.epoch)
        if event.type is EventType.LEADER:
            generation = str(event.set.get("generation", ""))
            if generation and generation != self.generation:
                await self.adopt(generation)
        elif event.rule == REPAIRED:
            await self._learn_repair(event)
        elif event.rule == OBSERVING:
            self.table.observing_ms, self.cold = int(event.set["observing_ms"]), False
            self.table.recovering_until_ms = int(event.set.get("recovering_until_ms", 0))
        elif event.rule == MASS_FAILURE:
            self.table.brake.learn(int(event.set["mass_since_ms"]), int(event.set["mass_at_ms"]))

    async def adopt(self, generation: str) -> None:
        """The data set is another: put back what this table knows of the old one, and belong to the new one."""
        known, self.generation = self.generation, generation
        # Marks compare only within one era: all replicas take that of the data set, which its founder knew or began.
        self.table.rebase(int(await call(self.client, "HGET", self.ledger.keys.cursor, "era") or 0))
        if order(self.tail.at["heartbeats"]) > (self.table.seen_ms, 1 << 63):
            self.tail.at["heartbeats"] = f"{self.table.seen_ms}-0".encode()
        if known and known != generation:
            logger.warning("the data set was lost or replaced (%s, was %s)", generation, known)
            await self.put_back()

    async def look_for_gap(self) -> None:
        """After an absence: what was trimmed unread is blind time, and the records are read back from their hashes."""
        gap = await self.tail.gap()
        if gap is None:
            return
        self.measures.trimmed_unread += 1
        logger.warning("heartbeats of %.1f s were trimmed before they were read", (gap[1] - gap[0]) / 1000)
        self.table.note_blind(*gap)
        await self.ledger.read_back(set(self.table.components))

    def skip_backlog(self, now_ms: int, leadership: Leadership | None) -> None:
        """Give up a backlog that does not shrink: go on at the tail less the longest time-out, and say so.

        Slow motion in which nobody dies is worse than totals that are short and say so.
        """
        at_ms = int(self.tail.at["heartbeats"].partition(b"-")[0])
        to_ms = now_ms - self.table.longest_timeout_ms
        if to_ms <= at_ms:
            return
        self.tail.at["heartbeats"] = f"{to_ms}-0".encode()
        self.table.note_blind(at_ms, to_ms)
        self.measures.trimmed_unread += 1
        reason = f"reading fell behind: heartbeats of {(to_ms - at_ms) / 1000:.1f} s were skipped, totals are short"
        logger.error("%s", reason)
        if leadership is not None:
            self.ledger.tell("skipped", reason, now_ms, leadership, alert=True, from_ms=str(at_ms), to_ms=str(to_ms))

    async def put_back(self) -> int:
        """Write back what the stored data lacks of this table. How many records were taken."""
        records = [component for one in list(self.table.components) if (component := self.table.get(one)) is not None]
        held = [(component, recovered(component, self.replica)) for component in records if component.rev]
        taken = 0
        for start in range(0, len(held), CHANGES_MAX):
            taken += await self.commits.merge(self.client, self.generation, held[start : start + CHANGES_MAX])
        if taken:
            logger.warning("put back %d of %d components that the stored data lacked", taken, len(held))
        return taken

    def observe_anew(self, leadership: Leadership, now_ms: int, *, recovering: bool) -> None:
        """Watching begins now: nobody dies before one heartbeat_timeout from here, and from the end of a recovery.

        Nor is anybody restarted within a recovery: another replica may know of the attempt already.
        """
        observing_ms = now_ms + (RECOVERING_MS if recovering else 0)
        self.table.observing_ms, self.cold = observing_ms, False
        self.table.recovering_until_ms = observing_ms if recovering else 0
        why = "the data set was put back" if recovering else "no replica was watching"
        self.ledger.tell(
            OBSERVING,
            f"watching begins: {why}",
            now_ms,
            leadership,
            observing_ms=str(observing_ms),
            recovering_until_ms=str(self.table.recovering_until_ms),
        )

    async def mend(self, leadership: Leadership, slice_: Slice) -> None:
        """A stream whose ids ran ahead of the clock takes entries at the right time again."""
        if not slice_.pinned_ms:
            return
        era, now_ms, self._tries = self.table.era + 1, slice_.pinned_ms, self._tries + 1
        event = Event(
            EventType.GUARD,
            "",
            rev=0,
            born_ms=0,
            at_ms=now_ms,
            reason="ids of the heartbeat stream ran ahead of the server's clock",
            rule=REPAIRED,
            epoch=leadership.lease.epoch,
            replica=self.replica,
            set={"era": era, "position": f"{now_ms}-0", "read": self.tail.at["heartbeats"].decode()},
        )
        await self.ledger.busy.store_all(leadership)
        leadership.check()
        read = self.tail.at["heartbeats"].decode() if self._tries < MEND_TRIES else ""
        mended = await self.commits.repair(
            self.ledger.client, leadership.lease, leadership.generation, event, era=era, read=read
        )
        if mended is not None:
            logger.warning("ids of the heartbeat stream ran ahead of the server's clock: it was repaired")
            self._tries = 0
            self._rewind(era, mended[0].encode())

    async def _learn_repair(self, event: Event) -> None:
        """The stream was emptied. What this replica had not read of it is in the hashes, which were stored before."""
        missed = order(self.tail.at["heartbeats"]) < order(str(event.set.get("read", "")).encode() or b"0-0")
        self._rewind(int(event.set["era"]), str(event.set["position"]).encode())
        if missed:
            await self.ledger.read_back(set(self.table.components))

    def _rewind(self, era: int, position: bytes) -> None:
        if era < self.table.era:
            return
        if era > self.table.era:
            self.table.begin_era(era)
        if id_ms(self.tail.at["heartbeats"]) > self.table.seen_ms:  # else it had not got so far, and has gone on by now
            self.tail.at["heartbeats"] = position
