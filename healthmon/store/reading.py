"""Reading for people and programs: records, indexes, histories, refusals, blind time. Never needs a leader.

Values come back as the stored text; what they mean to a viewer is made of them in `healthmon.views`. Every list is
bounded by the count that the caller gives. All raise StoreUnavailable and NotPermitted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from healthmon.core.blindness import Blindness
from healthmon.errors import HealthmonError
from healthmon.store.calls import call
from healthmon.store.client import as_healthmon_error, store_errors
from healthmon.store.codec import text_map
from healthmon.store.keys import REJECTED_MAX, Keys

# So many records are asked for in one trip: some 2 KB each.
CHUNK: Final = 500
WRONG_TYPE: Final = "the key of component {id} has a wrong type: rename or delete it"

Command = tuple[str | bytes | int, ...]
Record = dict[str, str]


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry of a stream: its id, its fields as text."""

    id: str
    fields: Record

    @property
    def ms(self) -> int:
        return int(self.id.partition("-")[0])


async def call_many(client: Redis, commands: Iterable[Command]) -> list[Any]:
    """Several commands in one trip, not as one transaction. The first error is raised."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    with store_errors():
        return list(await pipeline.execute())


def entries_of(reply: Sequence[Any] | None) -> list[StreamEntry]:
    """The entries of a reply of XRANGE, XREVRANGE or one stream of XREAD."""
    return [StreamEntry(entry_id.decode(), text_map(fields)) for entry_id, fields in reply or ()]


def scores_of(reply: Sequence[bytes]) -> list[tuple[str, int]]:
    """The members and integer scores of a reply WITHSCORES, in its order."""
    return [(member.decode(), int(float(score))) for member, score in zip(reply[::2], reply[1::2], strict=True)]


class Reader:
    """The components of one shard, over a client made by `open_raw`."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self.client = client
        self.keys = keys

    async def now_ms(self) -> int:
        """The server's clock, by which all silence is measured."""
        seconds, micros = await call(self.client, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def counts(self) -> dict[str, str]:
        """State -> number of components, as stored."""
        return text_map(await call(self.client, "HGETALL", self.keys.counts))

    async def record(self, component_id: str) -> Record:
        """Everything that is stored of one component, empty when it is not known."""
        record = (await self.records([component_id]))[0]
        if record.get("state") == "" and "rev" not in record:
            raise HealthmonError(WRONG_TYPE.format(id=component_id))
        return record

    async def records(self, ids: Sequence[str]) -> list[Record]:
        """The records of these ids in their order, each with its `id`; an empty one where nothing is stored.

        `last_heartbeat` may be up to the checkpoint interval old; the index of components is fresher.
        """
        found: list[Record] = []
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            pipeline = self.client.pipeline(transaction=False)
            for one in chunk:
                pipeline.execute_command("HGETALL", self.keys.component(one))
            with store_errors():
                replies = await pipeline.execute(raise_on_error=False)
            for one, reply in zip(chunk, replies, strict=True):
                if isinstance(reply, Exception):
                    if not str(reply).startswith("WRONGTYPE"):
                        raise as_healthmon_error(reply) from reply
                    found.append({"id": one, "state": "", "reason": WRONG_TYPE.format(id=one)})
                else:
                    found.append({"id": one, **text_map(reply)} if reply else {})
        return found

    async def in_state(self, state: str, offset: int, count: int) -> list[tuple[str, int]]:
        """Ids in a state and since when (ms), the longest there first."""
        key = self.keys.state(state)
        return scores_of(await call(self.client, "ZRANGE", key, offset, offset + count - 1, "WITHSCORES"))

    async def every_in_state(self, state: str) -> AsyncIterator[list[tuple[str, int]]]:
        """All ids in a state in chunks, the longest there first. One that moves meanwhile may be missed or be twice."""
        offset = 0
        while chunk := await self.in_state(state, offset, CHUNK):
            yield chunk
            offset += CHUNK

    async def quietest(self, count: int) -> list[tuple[str, int]]:
        """Ids and last heartbeats (ms, 0 for never), the longest silent first."""
        return scores_of(await call(self.client, "ZRANGE", self.keys.components, 0, count - 1, "WITHSCORES"))

    async def heard_ms(self, ids: Sequence[str]) -> list[int]:
        """When these were last heard from by the index, 0 for never: at most a second behind."""
        if not ids:
            return []
        scores = await call(self.client, "ZMSCORE", self.keys.components, *ids)
        return [int(float(score)) if score else 0 for score in scores]

    async def history(self, component_id: str, count: int, *, before: str = "") -> list[StreamEntry]:
        """A component's own past, the newest first. It begins at the first change after it became healthy.

        `before`: only what is older than this stream id.
        """
        end = f"({before}" if before else "+"
        return entries_of(
            await call(self.client, "XREVRANGE", self.keys.history(component_id), end, "-", "COUNT", count)
        )

    async def events(self, ids: Iterable[str]) -> dict[str, StreamEntry]:
        """The events of these stream ids, in one trip; those that were trimmed are left out."""
        replies = await call_many(self.client, [("XRANGE", self.keys.events, one, one) for one in ids])
        return {entry.id: entry for reply in replies for entry in entries_of(reply)}

    async def refusals(self, since_ms: int = 0, count: int = REJECTED_MAX) -> list[StreamEntry]:
        """What was refused since then, the newest first; no more than a thousand are kept."""
        return entries_of(await call(self.client, "XREVRANGE", self.keys.rejected, "+", since_ms, "COUNT", count))

    async def refusal_of(self, component_id: str) -> Record:
        """The newest refused entry that named this component, empty when none is kept."""
        return next((entry.fields for entry in await self.refusals() if entry.fields.get("id") == component_id), {})

    async def refused_totals(self) -> dict[str, int]:
        """Reason -> how often, ever since this data set was founded."""
        guard = text_map(await call(self.client, "HGETALL", self.keys.guard))
        return {name.partition(":")[2]: int(count) for name, count in guard.items() if name.startswith("rejected:")}

    async def blindness(self, since_ms: int = 0) -> Blindness:
        """The blind stretches that reach beyond then. They are kept for a week."""
        blindness = Blindness()
        for entry in entries_of(await call(self.client, "XRANGE", self.keys.blind, since_ms, "+")):
            blindness.add(int(entry.fields.get("from_ms", 0)), int(entry.fields.get("to_ms", 0)))
        return blindness
