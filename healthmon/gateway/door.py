"""The one door for heartbeats that do not come by Redis: authorised, read, bounded, and appended together.

What arrives while an append is under way is appended by the next one, so that a thousand senders cost little more than
one. No leader is needed. While Redis is away the newest heartbeat of each component waits.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import anyio
import tenacity

from healthmon import clock
from healthmon.core.access import Grant, Scope, demand
from healthmon.core.refusal import Refusal
from healthmon.errors import HealthmonError
from healthmon.gateway.rates import Rates
from healthmon.gateway.shape import Said, said_of
from healthmon.gateway.shelf import Shelf

Channel = Literal["http", "websocket", "file", "beat"]
Append = Callable[[Sequence[Said]], Awaitable[list[str]]]
BATCH_MAX: Final = 1000
BATCHES_MAX: Final = 64
AGAIN_S: Final = 0.05
AGAIN_S_MAX: Final = 2.0
LAST_S: Final = 1.0
LOG_EVERY_S: Final = 60.0
logger = logging.getLogger("healthmon.gateway")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A heartbeat that was taken. `entry`: its stream id, "" while it waits because Redis is away.

    `dropped`: what in it is of no use, a sentence each; the heartbeat counts all the same.
    """

    entry: str
    dropped: tuple[str, ...] = ()


Outcome = Accepted | Refusal


@dataclass(eq=False, slots=True)
class _Batch:
    """What is appended together. `entries` are there, one for each of `beats`, once `done` is set."""

    beats: list[Said] = field(default_factory=list)
    entries: list[str | Refusal] = field(default_factory=list)
    done: anyio.Event = field(default_factory=anyio.Event)

    def end(self, entries: list[str | Refusal]) -> None:
        self.entries = entries
        self.done.set()


class Door:
    """Takes heartbeats from every channel. `run` must be running; it appends what comes in.

    `accepted` counts heartbeats by channel, `refused` by the word of their refusal, for as long as the process lives.
    """

    def __init__(self, append: Append, shelf: Shelf, rates: Rates) -> None:
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.away = False
        self._append = append
        self._shelf = shelf
        self._rates = rates
        self._batches: deque[_Batch] = deque()
        self._filled = anyio.Event()
        self._told_s = float("-inf")
        self._away_s = 0.0

    @property
    def waiting(self) -> int:
        """How many heartbeats wait because Redis is away."""
        return len(self._shelf)

    async def accept(self, beat: Mapping[str, Any], grant: Grant, channel: Channel) -> Accepted:
        """Take one heartbeat; returns when Redis has it, or at once while Redis is away.

        Raises Refusal: 401 and 403 (the grant), 413 (too large), 422 (no heartbeat), 429 (too many), 503 (no room).
        """
        (outcome,) = await self.accept_many([beat], grant, channel)
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    async def accept_many(self, beats: Sequence[Mapping[str, Any]], grant: Grant, channel: Channel) -> list[Outcome]:
        """Take several, each for itself: the outcomes in their order. One that is refused does not harm the others."""
        outcomes: list[Outcome] = []
        put: list[tuple[int, _Batch, int]] = []
        for number, beat in enumerate(beats):
            try:
                said, dropped = self._read(beat, grant)
                if self.away:
                    self._shelf.put(said)
                else:
                    put.append((number, *self._join(said)))
                outcomes.append(Accepted("", dropped))
            except Refusal as refusal:
                outcomes.append(refusal)
        for number, batch, place in put:
            if not batch.done.is_set():  # a wait that is over would still give way to everybody else
                await batch.done.wait()
            entry, before = batch.entries[place], outcomes[number]
            if isinstance(entry, Refusal):
                outcomes[number] = entry
            elif isinstance(before, Accepted):
                outcomes[number] = Accepted(entry, before.dropped)
        for outcome in outcomes:
            self._count(outcome, channel)
        return outcomes

    def refuse(self, refusal: Refusal) -> Refusal:
        """Count what a channel turned away before it came to the door."""
        self.refused[refusal.code] += 1
        return refusal

    async def run(self) -> None:
        """Append what comes in, until cancelled; then what waits gets one last try of a second."""
        try:
            while True:
                await self._filled.wait()
                if self.away:
                    await self._wait_for_redis()
                await self._append_next()
                if not self._batches and not self.away:
                    self._filled = anyio.Event()
        finally:
            with anyio.CancelScope(shield=True):
                await self._leave()

    def _read(self, beat: Mapping[str, Any], grant: Grant) -> tuple[Said, tuple[str, ...]]:
        if not grant.holds(Scope.WRITE):
            demand(grant, Scope.WRITE)
        said, dropped = said_of(beat)
        component_id = str(said["id"])
        demand(grant, Scope.WRITE, component_id)
        self._rates.count(grant.name, component_id)
        return said, dropped

    def _join(self, said: Said) -> tuple[_Batch, int]:
        if not self._batches or len(self._batches[-1].beats) >= BATCH_MAX:
            if len(self._batches) >= BATCHES_MAX:
                raise Refusal(503, "overloaded", "more heartbeats come in than Redis takes: send again later", 1)
            self._batches.append(_Batch())
        batch = self._batches[-1]
        batch.beats.append(said)
        self._filled.set()
        return batch, len(batch.beats) - 1

    def _count(self, outcome: Outcome, channel: Channel) -> None:
        if isinstance(outcome, Refusal):
            self.refused[outcome.code] += 1
        else:
            self.accepted[channel] += 1

    # -- appending ---------------------------------------------------------------------------------------------------

    async def _append_next(self) -> None:
        """The oldest batch; while Redis is away, all that wait go on the shelf."""
        while self._batches:
            batch = self._batches.popleft()
            try:
                batch.end([*await self._append(batch.beats)])
            except HealthmonError as error:
                self._lose(error)
                batch.end([self._put(said) for said in batch.beats])
                for other in self._batches:
                    other.end([self._put(said) for said in other.beats])
                self._batches.clear()
            except BaseException:  # cancelled: whoever waits must not wait for ever
                batch.end([self._put(said) for said in batch.beats])
                raise

    def _put(self, said: Said) -> str | Refusal:
        try:
            self._shelf.put(said)
        except Refusal as refusal:
            return refusal
        return ""

    async def _wait_for_redis(self) -> None:
        """Try again, after growing random pauses of at most 2 s, until the shelf is empty."""
        again = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(HealthmonError),
            wait=tenacity.wait_random_exponential(multiplier=AGAIN_S, max=AGAIN_S_MAX),
            sleep=anyio.sleep,
        )
        await again(self._clear_shelf)
        self.away = False
        logger.info("heartbeats reach Redis again, after %.1f s", clock.monotonic_s() - self._away_s)

    async def _clear_shelf(self) -> None:
        while kept := self._shelf.oldest(BATCH_MAX):
            await self._append([said for said, _ in kept])
            self._shelf.take_down(kept)

    def _lose(self, error: HealthmonError) -> None:
        now_s = clock.monotonic_s()
        if not self.away:
            self._away_s = now_s
        self.away = True
        if now_s - self._told_s >= LOG_EVERY_S:
            self._told_s = now_s
            logger.warning("heartbeats don't reach Redis, each component's newest is kept and tried again: %s", error)

    async def _leave(self) -> None:
        with anyio.move_on_after(LAST_S):
            try:
                await self._append_next()
                await self._clear_shelf()
            except HealthmonError:
                pass
        for batch in self._batches:
            batch.end([self._put(said) for said in batch.beats])
        self._batches.clear()
        if self._shelf:
            logger.warning("%d heartbeats that waited for Redis are lost with this process", len(self._shelf))
