"""A consumer group over the events: who reads what, what waits for an acknowledgement, and what a dead one left.

Promised: every event after the group's beginning comes to some consumer, and comes again until it is acknowledged.
Not promised: that it comes once; whoever acts on it names its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from healthmon.errors import HealthmonError
from healthmon.store.calls import call
from healthmon.store.event_log import BLOCK_MS, COUNT
from healthmon.store.keys import Keys
from healthmon.store.reading import StreamEntry, entries_of

# A living consumer reads every second; one that has not for a minute and owes nothing is only a name.
GONE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Consumer:
    """One consumer of a group: how many events it owes, and how long ago it asked for anything."""

    name: str
    pending: int
    idle_ms: int


class Group:
    """One consumer of one group, over a dedicated client made by `open_raw`.

    Raises StoreUnavailable and NotPermitted. A group that is gone (the data was lost) is made again by `begin`.
    """

    def __init__(self, client: Redis, keys: Keys, group: str, consumer: str) -> None:
        self._client = client
        self._key = keys.events
        self.group = group
        self.consumer = consumer

    async def begin(self, start: str) -> bool:
        """Make the group where there is none, reading after the id `start` (`$`: from now on). Whether it was made."""
        try:
            await call(self._client, "XGROUP", "CREATE", self._key, self.group, start, "MKSTREAM")
        except HealthmonError as error:
            if _says(error, "BUSYGROUP"):
                return False
            raise
        return True

    async def read(self, block_ms: int = BLOCK_MS, count: int = COUNT) -> list[StreamEntry]:
        """The next events that no consumer has read, the oldest first; waits at most `block_ms` for the first."""
        reply = await call(
            self._client,
            *("XREADGROUP", "GROUP", self.group, self.consumer),
            *("COUNT", count, "BLOCK", block_ms, "STREAMS", self._key, ">"),
        )
        return entries_of(reply[0][1]) if reply else []

    async def claim(self, idle_ms: int) -> list[StreamEntry]:
        """Take over every event that was read at least so long ago and is not acknowledged, own ones too."""
        found: list[StreamEntry] = []
        at = "0-0"
        while True:
            following, entries, *_ = await call(
                self._client, "XAUTOCLAIM", self._key, self.group, self.consumer, idle_ms, at, "COUNT", COUNT
            )
            found += entries_of([entry for entry in entries if entry])
            at = following.decode()
            if at == "0-0":
                return found

    async def acknowledge(self, *ids: str) -> None:
        """These are done with."""
        if ids:
            await call(self._client, "XACK", self._key, self.group, *ids)

    async def consumers(self) -> list[Consumer]:
        """All consumers of the group; none where there is no group."""
        try:
            reply = await call(self._client, "XINFO", "CONSUMERS", self._key, self.group)
        except HealthmonError as error:
            if is_gone(error):
                return []
            raise
        return [_consumer(one) for one in reply]

    async def tidy(self, consumers: list[Consumer]) -> None:
        """Take names out that are only names: nothing pending, and nothing asked for in a minute."""
        for one in consumers:
            if not one.pending and one.idle_ms > GONE_MS and one.name != self.consumer:
                await call(self._client, "XGROUP", "DELCONSUMER", self._key, self.group, one.name)

    async def leave(self) -> None:
        """Take this consumer out if it owes nothing; what it owes is another's to claim."""
        mine = [one for one in await self.consumers() if one.name == self.consumer]
        if mine and not mine[0].pending:
            await call(self._client, "XGROUP", "DELCONSUMER", self._key, self.group, self.consumer)


def is_gone(error: HealthmonError) -> bool:
    """Whether there is no such group, or no stream at all: the data is another's, or was lost."""
    return _says(error, "NOGROUP") or "no such key" in str(error.__cause__)


def _says(error: HealthmonError, word: str) -> bool:
    return str(error.__cause__).startswith(word)


def _consumer(reply: list[Any]) -> Consumer:
    said = dict(zip(reply[::2], reply[1::2], strict=True))
    return Consumer(said[b"name"].decode(), int(said[b"pending"]), int(said[b"idle"]))
