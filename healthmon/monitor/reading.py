"""When to read and what the time was: the part of a round that waits.

Silence is judged by a TIME whose reply had arrived before the read was sent. Never the clock after the read: a Redis or
a reader that stood still for three seconds would show three seconds of false silence.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import anyio

from healthmon import clock
from healthmon.core.marks import PINNED_MS, id_ms
from healthmon.core.policy import NEVER_MS
from healthmon.core.table import Table
from healthmon.monitor.redis_clock import RedisClock
from healthmon.monitor.wake import Alarm
from healthmon.store.streams import FOLLOWED, LED, Read, Stream, Tail

logger = logging.getLogger("healthmon.monitor")
# A follower leaves the canary to the leader, unless that one is late with it; three missed ones make a blind stretch.
FOLLOWER_CANARIES = 2
# Heartbeats that come within so many times `coalesce` after the last read are load, and are read together.
BUSY_COALESCES = 1.5
# A read blocks for a second and comes back up to 0.1 s late; one that has not by then hangs.
WAITS_S_MAX = 1.2


@dataclass(frozen=True, slots=True)
class Slice:
    """What was read, and the time to judge it by. `pinned_ms`: the time of the read, while ids run ahead of it."""

    read: Read
    now_ms: int
    pinned_ms: int = 0


@dataclass
class Reading:
    """Reads the next slice of the streams when there is one, or when something has to be looked at."""

    replica: str
    table: Table
    tail: Tail
    alarm: Alarm
    time: RedisClock
    coalesce_s: float
    _seen_s: float = 0.0
    _read_s: float = 0.0
    _refused_until_s: float = 0.0
    was_full: bool = False
    _waits_until_s: float = 0.0
    _busy: bool = False

    async def follow(self) -> Slice:
        """The next slice for a follower: all three streams, and nothing to be late for but the canary."""
        canary_s = max(self._seen_s + self.table.canary_ms * FOLLOWER_CANARIES / 1000, self._refused_until_s)
        if clock.monotonic_s() >= canary_s:
            await self._append_canary()
        return await self._wait(FOLLOWED, canary_s)

    async def lead(self, chores_s: float) -> Slice:
        """The next slice for the leader: at once when somebody's time has come, else when an entry has."""
        look_ms = self.table.next_look_ms()
        # While the stream takes no entry nobody can be judged: it is tried again at the pace of the canaries.
        look_s = max(self.time.local_s(look_ms), self._refused_until_s) if look_ms is not None else 1e18
        canary_s = max(self._seen_s + self.table.canary_ms / 1000, self._refused_until_s)
        now_s = clock.monotonic_s()
        if look_ms is not None and look_s <= now_s:
            return await self._judge(look_ms)
        if canary_s <= now_s:
            await self._append_canary()
        return await self._wait(LED, min(look_s, canary_s, chores_s))

    async def at_once(self) -> Slice:
        """What is there now for the leader, whoever's time has come."""
        look_ms = self.table.next_look_ms()
        return await self._judge(NEVER_MS if look_ms is None else look_ms)

    def leave(self, at: dict[Stream, bytes]) -> None:
        """Leave the rest of what was read for the next slice: read on from these positions.

        Heartbeats that wait behind commands are no backlog that had to be skipped.
        """
        self.tail.at.update(at)
        self.was_full = False

    def nothing_is_due(self) -> bool:
        """Whether this replica waits for an entry as it should: nobody's time has come, and the read is not overdue."""
        return self.tail.blocked and clock.monotonic_s() < self._waits_until_s

    async def drain(self) -> Slice:
        """What is there now, for all three streams."""
        return await self._noted_by_the_clock(await self.tail.read(FOLLOWED))

    async def sample_time(self) -> int:
        """Ask for the time; a step of the server's clock is noted as a blind stretch of its length."""
        sent_s = clock.monotonic_s()
        now_ms = await self.tail.time_ms()
        step_ms = self.time.sample(now_ms, sent_s, clock.monotonic_s())
        if step_ms:
            self.table.note_blind(now_ms - abs(step_ms), now_ms)
        return now_ms

    async def _judge(self, look_ms: int) -> Slice:
        """Somebody's time has come: TIME, an entry after the deadline, then everything that is there."""
        now_ms = await self.sample_time()
        if self.table.seen_ms < look_ms <= now_ms:
            await self._append_canary()
        read = await self.tail.read(LED)
        last_ms = id_ms(self.tail.at["heartbeats"])
        if last_ms > now_ms + PINNED_MS:
            return self._noted(read, now_ms, pinned_ms=now_ms)
        return self._noted(read, last_ms if read.full else now_ms)

    async def _wait(self, streams: tuple[Stream, ...], until_s: float) -> Slice:
        now_s = clock.monotonic_s()
        if self._busy and now_s < self._read_s + self.coalesce_s:
            await anyio.sleep(max(0.0, min(self._read_s + self.coalesce_s, until_s) - now_s))
            now_s = clock.monotonic_s()
        if until_s <= now_s:
            read = await self.tail.read(streams)
        else:
            self.alarm.set(until_s)
            self._waits_until_s = min(until_s, now_s + WAITS_S_MAX)
            read = await self.tail.read(streams, block_ms=1000)
        return await self._noted_by_the_clock(read)

    async def _noted_by_the_clock(self, read: Read) -> Slice:
        """What was read, and whether a stream has run ahead of the clock: then arrival is the time of the read."""
        last_ms = id_ms(self.tail.at["heartbeats"])
        if max(last_ms, id_ms(self.tail.at["control"])) > self.time.now_ms() + PINNED_MS:
            now_ms = await self.sample_time()
            if last_ms > now_ms + PINNED_MS:
                return self._noted(read, now_ms, pinned_ms=now_ms)
        return self._noted(read)

    def _noted(self, read: Read, now_ms: int | None = None, pinned_ms: int = 0) -> Slice:
        now_s, self.table.read_ms = clock.monotonic_s(), round(self.time.now_ms())
        # One heartbeat now and then is no load: waiting for more would only be one more wake-up.
        self._busy = bool(read.heartbeats) and now_s - self._read_s < BUSY_COALESCES * self.coalesce_s
        self._read_s, self.was_full = now_s, read.full
        if read.heartbeats:
            self._seen_s = self._read_s
        last_ms = id_ms(read.heartbeats[-1][0]) if read.heartbeats else self.table.seen_ms
        return Slice(read, last_ms if now_ms is None else now_ms, pinned_ms)

    async def _append_canary(self) -> None:
        """Where it can't be appended nobody is judged: the stream takes no heartbeats either."""
        why = await self.tail.canary(self.replica)
        if why and not self._refused_until_s:
            logger.warning("the stream takes no entries, so nobody is judged: %s", why)
        self._refused_until_s = clock.monotonic_s() + self.table.canary_ms / 1000 if why else 0.0
