"""One pass of a replica: read, fold, decide, commit. Read this file first.

Every replica reads and folds. The leader also obeys commands, decides and commits; a follower learns what was decided
from the events, and so holds the same table. Nothing else touches the table, so nothing here needs a lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from healthmon import clock
from healthmon.core.admission import longest_gone
from healthmon.core.component import Component
from healthmon.core.decide import decide, make_room
from healthmon.core.event import Event, EventType
from healthmon.core.marks import Entry
from healthmon.core.measures import Measures
from healthmon.core.reporting import fold_report
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.monitor.healing import Healing
from healthmon.monitor.leadership import Leadership
from healthmon.monitor.ledger import Decision, Ledger
from healthmon.monitor.orders import Orders
from healthmon.monitor.reading import Reading, Slice
from healthmon.monitor.refold import refold_after
from healthmon.monitor.repair import Repair
from healthmon.store.codec import read_event, text_map
from healthmon.store.streams import FOLLOWED, Stream, Tail, in_order, order
from healthmon.store.streams import before as previous

logger = logging.getLogger("healthmon.monitor")
# A full table refuses every new component's every heartbeat; people are told once a minute.
TELL_EVERY_MS = 60_000
# So long a round obeys commands, before it judges and the rest is read again; each takes some milliseconds.
OBEYS_S = 0.1


@dataclass
class Round:
    """The passes of one replica over one table. `leader_told` is set when an event says that another one leads."""

    table: Table
    tail: Tail
    reading: Reading
    orders: Orders
    healing: Healing
    ledger: Ledger
    repair: Repair
    measures: Measures
    leader_told: anyio.Event = field(default_factory=anyio.Event)
    _full_told_ms: int = 0

    async def lead(self, leadership: Leadership) -> None:
        """One pass of the leader. Raises Fenced, GenerationChanged or StoreUnavailable: then it leads no more."""
        with self._read_again_if_it_fails():
            before = dict(self.tail.at)
            if self.orders.queue:
                slice_ = await self.reading.at_once()
            else:
                slice_ = await self.reading.lead(self.ledger.due_s())
            read_s = clock.monotonic_s()
            await self._lead(leadership, slice_, before)
            leadership.earn()
            self.measures.rounds.observe(leadership.rounds_s - read_s)

    async def follow(self) -> None:
        """One pass of a follower. Raises StoreUnavailable."""
        with self._read_again_if_it_fails():
            slice_ = await self.reading.follow()
            read_s = clock.monotonic_s()
            await self._take_in(slice_)
            self.table.moved.clear()  # dependants are told by the leader; whoever comes to lead looks at them all
            self.measures.rounds.observe(clock.monotonic_s() - read_s)

    async def take_over(self, ends: dict[Stream, bytes]) -> None:
        """From follower to leader: everything up to the ends sampled after the lease was won; the queue comes next."""
        while any(order(self.tail.at[stream]) < order(ends[stream]) for stream in FOLLOWED):
            before = dict(self.tail.at)
            await self._take_in(await self.reading.drain())
            if before == self.tail.at:
                break
        self.healing.begin()

    async def _lead(self, leadership: Leadership, slice_: Slice, before: dict[Stream, bytes]) -> None:
        whole = await self._take_up(leadership, slice_, before)
        moment = self.table.moment(slice_.now_ms)
        await self.ledger.commit(leadership, self._decide(moment), moment)
        await self.healing.heal(leadership, moment)
        await self._make_room(leadership, moment)
        answered = await self.orders.answer_syncs(leadership)
        await self.ledger.finish(leadership, moment, answered)
        if whole:
            await self.repair.mend(leadership, slice_)

    async def _take_up(self, leadership: Leadership, slice_: Slice, before: dict[Stream, bytes]) -> bool:
        """Fold the slice and obey its commands, as far as there is time: else False, and the rest of it is read again.

        A thousand commands take seconds, in which somebody may die, and a leader without a round loses the lease.
        """
        until_s = clock.monotonic_s() + OBEYS_S
        await self.orders.obey_kept(leadership, self.table.moment(self.table.seen_ms), until_s)
        folded = before["heartbeats"]
        for heartbeats, command in in_order(slice_.read):
            self.table.fold(heartbeats, slice_.pinned_ms)
            folded = heartbeats[-1][0] if heartbeats else folded
            if command is None or self._fold_report(command):
                continue
            if clock.monotonic_s() >= until_s:
                self.reading.leave({"heartbeats": folded, "control": previous(command[0])})
                return False
            await self.orders.obey(command, leadership, self.table.moment(self.table.seen_ms))
        return True

    async def _take_in(self, slice_: Slice) -> None:
        for heartbeats, command in in_order(slice_.read):
            self.table.fold(heartbeats, slice_.pinned_ms)
            if command is not None and not fold_report(self.table, command):
                self.orders.keep(command)
        await self._learn(slice_.read.events)

    def _fold_report(self, entry: Entry) -> bool:
        """Fold evidence; it stays to be read by others until its record is stored."""
        is_report = fold_report(self.table, entry)
        if is_report:
            self.ledger.busy.note_report(entry[0])
        return is_report

    async def _learn(self, entries: list[Entry]) -> None:
        """Apply what the leader committed; a record that an event doesn't follow on is read back from its hash."""
        moment = self.table.moment(self.table.seen_ms)
        stale, gone = set[str](), dict[str, int]()
        for entry_id, fields in entries:
            event = read_event(entry_id.decode(), text_map(fields))
            if event is None:
                continue
            self.orders.done(event)
            if event.type is EventType.LEADER:
                self.leader_told.set()
            if event.type is EventType.FORGOTTEN and self._takes_its_next_life(event):
                gone[event.id] = event.at_ms
            if not event.id:
                await self.repair.learn(event)
            elif event.type is EventType.RECOVERED or not self.table.apply(event, moment):
                stale.add(event.id)
        await refold_after(self.table, self.tail, gone)
        if stale:
            await self.ledger.read_back(stale)

    def _takes_its_next_life(self, event: Event) -> bool:
        """Whether the record that goes has heard what came after: that was of another, and goes with it."""
        held = self.table.get(event.id)
        if held is None or held.born_ms != event.born_ms:
            return False
        return max(held.last_heartbeat_ms, held.failures.at_ms) > event.at_ms

    @contextmanager
    def _read_again_if_it_fails(self) -> Iterator[None]:
        """A pass that broke off is made again from where it began; what it had folded is known by its marks."""
        at, heard = dict(self.tail.at), self.table.heard
        try:
            yield
        except BaseException:
            self.table.expect_known(self.tail.at["heartbeats"])
            self.tail.at.update(at)
            self.table.heard = heard
            raise

    def _decide(self, moment: Moment) -> Iterator[Decision]:
        due = list(self.table.due(moment))  # at once: what is read back after a conflict is the next round's
        judged = ((component, decide(component, moment, self.table.defaults)) for component in due)
        if logger.isEnabledFor(logging.DEBUG):
            judged = (_told(component, events, moment) for component, events in judged)
        return ((component, events) for component, events in judged if events)

    async def _make_room(self, leadership: Leadership, moment: Moment) -> None:
        """When a new component was refused because the table is full: the longest gone goes, and people are told."""
        admission = self.table.admission
        if not admission.wants_room:
            return
        admission.wants_room = False
        gone = longest_gone(self.table.components.values())
        if gone is not None:
            await self.ledger.forget(leadership, gone, make_room(gone, moment), moment)
        elif moment.now_ms - self._full_told_ms >= TELL_EVERY_MS:
            self._full_told_ms = moment.now_ms
            reason = f"new components are refused: there are {len(self.table.components)} (max_components)"
            self.ledger.tell("too_many_components", reason, moment.now_ms, leadership, alert=True)


def _told(component: Component, events: tuple[Event, ...], moment: Moment) -> Decision:
    """The specification's debug lines."""
    logger.debug("Checking health for component: %s", component.id)
    if component.last_heartbeat_ms:
        logger.debug("Last heartbeat: %.1f seconds ago", (moment.now_ms - component.last_heartbeat_ms) / 1000)
    state = next((event.target for event in reversed(events) if event.target), component.state.value)
    logger.debug("Health state: %s (score: %.2f)", state.upper(), component.score)
    logger.debug("Circuit breaker: %s", component.breaker.state.upper())
    return component, events
