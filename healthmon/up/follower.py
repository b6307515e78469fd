"""Reads the events as they are committed, and puts them on the screen."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import tenacity

from healthmon.core.component import HealthState
from healthmon.core.event import EventType
from healthmon.errors import StoreUnavailable
from healthmon.store.calls import Client
from healthmon.store.event_log import START, EventLog
from healthmon.views.words import plural

if TYPE_CHECKING:
    from healthmon.store.embedded import EmbeddedServer
    from healthmon.store.event_log import Gap
    from healthmon.store.keys import Keys
    from healthmon.store.reading import StreamEntry
    from healthmon.up.household import Household
    from healthmon.up.screen import Screen

AGAIN_S_MAX: Final = 2.0
_BEGINNINGS: Final = (HealthState.INITIALIZING, HealthState.HEALTHY)


@dataclass
class Follower:
    """Tells the screen every event. The first steps of `awaited` components, all alike, are told together in one line.

    `leader` is the name of the last replica that won, "" before any has; `led` is set then, and `gathered` when no
    component is awaited any more.
    """

    server: EmbeddedServer
    client: Client
    keys: Keys
    household: Household
    screen: Screen
    awaited: set[str] = field(default_factory=set)
    leader: str = ""
    cursor: str = START
    led: anyio.Event = field(default_factory=anyio.Event)
    gathered: anyio.Event = field(default_factory=anyio.Event)

    async def begin(self) -> None:
        """What happens from now on is told: call this before a replica could lead. Raises StoreUnavailable."""
        self.cursor = await EventLog(self.client, self.keys).last()

    async def follow(self) -> None:
        """Until cancelled. Raises StoreUnavailable when the server has ended."""
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(StoreUnavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=AGAIN_S_MAX),
            stop=lambda _: not _runs(self.server.pid),
            sleep=anyio.sleep,
            reraise=True,
        )
        try:
            await self._follow(EventLog(self.client, self.keys), attempts)
        except StoreUnavailable as error:
            raise StoreUnavailable("the server that `up` started has ended: start `healthmon up` again") from error

    async def _follow(self, log: EventLog, attempts: tenacity.AsyncRetrying) -> None:
        count = len(self.awaited)
        while True:
            entries: list[StreamEntry] = await attempts(log.after, self.cursor, block=True)
            if not entries:
                gap: Gap | None = await attempts(log.gap, self.cursor)
                if gap is not None and gap.replaced and gap.first:
                    self.screen.say("up", "the data was lost, and begins anew")
                    self.cursor = START
            for entry in entries:
                self.cursor = entry.id
                self._take(entry)
            if count and not self.awaited:
                self.screen.say("up", f"{plural(count, 'component')} are healthy")
                count = 0
                self.gathered.set()

    def _take(self, entry: StreamEntry) -> None:
        fields = entry.fields
        kind, who = fields.get("type"), fields.get("id", "")
        if kind == EventType.LEADER:
            self.leader = fields.get("replica", "")
            if not self.led.is_set():
                self.led.set()
                return
        if who in self.awaited:
            target = fields.get("to", "")
            if target == HealthState.HEALTHY:
                self.awaited.discard(who)
            if kind == EventType.REGISTERED or target in _BEGINNINGS:
                return
        self.screen.tell(entry, self.household.pids())


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
