"""Reading the events: the latest, those after an id, those to come, and how many were trimmed before they were read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from healthmon.store.calls import call
from healthmon.store.cluster import stream_facts
from healthmon.store.keys import Keys
from healthmon.store.reading import StreamEntry, entries_of

COUNT: Final = 500
# Below the socket's time-out, so that a dead connection is noticed.
BLOCK_MS: Final = 1000
START: Final = "0-0"


@dataclass(frozen=True, slots=True)
class Gap:
    """Events after the wanted id that are gone. `missed_max`: at most so many. `first`: the oldest kept, "" for none.

    `replaced`: the stream ends before the wanted id, so it is another one than the id was read from.
    """

    missed_max: int
    first: str
    replaced: bool = False


class EventLog:
    """The events of one shard, over a client made by `open_raw`. Raises StoreUnavailable and NotPermitted."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._key = keys.events

    async def last(self) -> str:
        """The id of the newest event, `0-0` when there is none."""
        newest = entries_of(await call(self._client, "XREVRANGE", self._key, "+", "-", "COUNT", 1))
        return newest[0].id if newest else START

    async def backwards(self, end: str = "+") -> AsyncGenerator[StreamEntry, None]:
        """All events up to this id, the newest first, read in chunks as far as the caller goes."""
        while chunk := entries_of(await call(self._client, "XREVRANGE", self._key, end, "-", "COUNT", COUNT)):
            for entry in chunk:
                yield entry
            end = f"({chunk[-1].id}"

    async def after(self, cursor: str, *, block: bool = False) -> list[StreamEntry]:
        """At most 500 events after an id, in order; `block` waits up to a second for the first."""
        waiting = ("BLOCK", BLOCK_MS) if block else ()
        reply = await call(self._client, "XREAD", "COUNT", COUNT, *waiting, "STREAMS", self._key, cursor)
        return entries_of(reply[0][1]) if reply else []

    async def gap(self, cursor: str) -> Gap | None:
        """Whether events after this id were trimmed, or the stream is not the one that the id is of."""
        facts = await stream_facts(self._client, self._key)
        trimmed = facts.added - facts.length
        if not facts.length:
            return None if cursor == START else Gap(0, "", replaced=True)
        if place(cursor) > place(facts.last):
            return Gap(0, facts.first, replaced=True)
        if trimmed > 0 and place(cursor) < place(facts.first):
            return Gap(trimmed, facts.first)
        return None


def place(entry_id: str) -> tuple[int, int]:
    """A stream id as numbers, for comparing."""
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq or 0)
