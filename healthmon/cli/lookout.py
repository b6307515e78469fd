"""What `healthmon top` knows of the fleet: read every second and at each event, and whether Redis still answers."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import anyio
import tenacity

from healthmon import clock
from healthmon.cli.roll import Roll
from healthmon.cli.rows import refreshed
from healthmon.cli.session import freshness_of
from healthmon.errors import StoreUnavailable, UnfitServer
from healthmon.store.event_log import START
from healthmon.views.board import Board, Link
from healthmon.views.picture import counts_of, replica_of
from healthmon.views.words import duration, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from healthmon.cli.session import Session
    from healthmon.store.cluster import Watch

_RECENT: Final = 20
_AGAIN_S_MAX: Final = 1.0
# An answer is overdue so much after it was asked for.
_LATE_S: Final = 2.0
# What the store says first when nobody answers at all, which the screen says in its own words.
_NOT_REACHABLE: Final = "Redis is not reachable"


class Lookout:
    """The fleet as it was last read. `interval_s`: how often it is read when nothing happens."""

    def __init__(self, here: Session, interval_s: float) -> None:
        self._here = here
        self._interval_s = interval_s
        self._recent: deque[tuple[int, dict[str, str]]] = deque(maxlen=_RECENT)
        self._cursor = ""
        self._seen_s = clock.monotonic_s()
        self._lost_s: float | None = None
        self._why = ""
        self.roll = Roll(here.reader)
        self.board = Board(prefix=here.keys.prefix)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Where the events stand, and the latest of them. Raises StoreUnavailable, NotPermitted."""
        self._cursor = await self._here.events.last()
        self._recent.clear()
        async for entry in self._here.events.backwards(self._cursor):
            self._recent.append((entry.ms, entry.fields))
            if len(self._recent) == _RECENT:
                break

    async def look(self, shown: Sequence[str]) -> None:
        """Read everything once, the records of those that are `shown` as a whole."""
        here = self._here
        watch = await here.cluster.watch()
        counts = counts_of(await here.reader.counts())
        brake = await here.brake()
        leader = await self._leader(watch)
        await self.roll.keep(counts)
        records = await here.reader.records(shown)
        heard = await here.reader.heard_ms(shown)
        self.board = replace(
            self.board,
            now_ms=watch.now_ms,
            leader=leader,
            freshness=freshness_of(watch),
            counts=counts,
            braked_ms=brake.since_ms,
            fresh={
                record["id"]: refreshed(record, heard_ms)
                for record, heard_ms in zip(records, heard, strict=True)
                if record
            },
            roles=self.roll.roles(),
            recent=tuple(self._recent),
            remark=self.roll.remark(sum(counts.values())),
        )
        self._seen_s, self._lost_s = clock.monotonic_s(), None

    async def _leader(self, watch: Watch) -> str:
        if watch.lease is None:
            return ""
        sightings = await self._here.cluster.replicas()
        live = sum(replica_of(one.replica, one.last_seen_ms, watch.now_ms, one.said).here for one in sightings)
        since = duration(watch.now_ms - watch.lease.epoch, short=True)
        return f"{watch.lease.replica} leads for {since}, {plural(live, 'replica')}"

    async def follow(self, happened: Callable[[], None]) -> None:
        """Every event from `begin` on, for ever. Redis may go and come back, also with other data."""
        while True:
            try:
                entries = await self._here.events.after(self._cursor, block=True)
                for entry in entries:
                    self._cursor = entry.id
                    self._recent.appendleft((entry.ms, entry.fields))
                if entries:
                    self.roll.touch(entries)
                    happened()
                elif await self._replaced():
                    happened()
            except UnfitServer:
                raise
            except StoreUnavailable:
                await self._come_back()
                happened()

    async def _replaced(self) -> bool:
        """Nothing came for a second: perhaps nothing will, because the data is another."""
        gap = await self._here.events.gap(self._cursor)
        if gap is None or not gap.replaced:
            return False
        self._cursor, self.roll.wanting = START, True
        self._recent.clear()
        return True

    async def _come_back(self) -> None:
        """Until Redis answers again; what was missed meanwhile is read anew."""
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(StoreUnavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=_AGAIN_S_MAX),
            sleep=anyio.sleep,
        )
        async for attempt in attempts:
            with attempt:
                await self._replaced()
        self.roll.wanting = True

    # -- whether it can be trusted -------------------------------------------------------------------------------------

    def lose(self, error: StoreUnavailable) -> None:
        """Redis did not answer."""
        if self._lost_s is None:
            self._lost_s = self._seen_s
        text = str(error)
        self._why = "" if text.startswith(_NOT_REACHABLE) else text.partition(":")[0].partition(" (")[0]

    def link(self) -> Link:
        """How the way to the data is at this moment."""
        now_s = clock.monotonic_s()
        age_s = now_s - self._seen_s
        lost_ms = 0 if self._lost_s is None else max(1, round((now_s - self._lost_s) * 1000))
        return Link(round(age_s * 1000), age_s > self._interval_s + _LATE_S, lost_ms, self._why)
