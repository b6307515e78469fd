"""Reading who watches: the lease, the replicas and what they say of themselves, and until when the data is complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from healthmon.core.lease import Lease, read_lease
from healthmon.store.calls import call
from healthmon.store.codec import text_map
from healthmon.store.keys import Keys
from healthmon.store.reading import StreamEntry, call_many, entries_of, scores_of


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches at `now_ms` (the server's clock), and until when the data is known to be complete (0: no data)."""

    now_ms: int
    lease: Lease | None
    left_ms: int
    as_of_ms: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """One replica: when it was last seen, and its own words; none when they have expired."""

    replica: str
    last_seen_ms: int
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """How full a stream is. `first_ms` and `last_ms` are 0 when it is empty."""

    length: int
    first: str
    last: str
    added: int

    @property
    def first_ms(self) -> int:
        return int(self.first.partition("-")[0] or 0)

    @property
    def last_ms(self) -> int:
        return int(self.last.partition("-")[0] or 0)


class ClusterReader:
    """The monitors of one shard, over a client made by `open_raw`. Raises StoreUnavailable and NotPermitted."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def watch(self) -> Watch:
        """Who leads, and how fresh the data is."""
        k = self._keys
        time, value, left, cursor, newest, event, monitors = await call_many(
            self._client,
            [
                ("TIME",),
                ("GET", k.leader),
                ("PTTL", k.leader),
                ("HGET", k.cursor, "heartbeats"),
                ("ZRANGE", k.components, 0, 0, "REV", "WITHSCORES"),
                ("XREVRANGE", k.events, "+", "-", "COUNT", 1),
                ("ZRANGE", k.monitors, 0, -1, "WITHSCORES"),
            ],
        )
        lease = read_lease(value.decode()) if value else None
        seen = dict(scores_of(monitors))
        known_ms = [
            _ms((cursor or b"").rpartition(b":")[2]),
            *(ms for _, ms in scores_of(newest)),
            *(entry.ms for entry in entries_of(event)),
            seen.get(lease.replica, 0) if lease else 0,
        ]
        return Watch(int(time[0]) * 1000 + int(time[1]) // 1000, lease, max(0, int(left)), max(known_ms))

    async def replicas(self) -> list[Sighting]:
        """Every replica seen in the last day, in the order of their names."""
        seen = scores_of(await call(self._client, "ZRANGE", self._keys.monitors, 0, -1, "WITHSCORES"))
        said = await call_many(self._client, [("HGETALL", self._keys.monitor(replica)) for replica, _ in seen])
        return sorted(
            (Sighting(replica, ms, text_map(fields)) for (replica, ms), fields in zip(seen, said, strict=True)),
            key=lambda sighting: sighting.replica,
        )

    async def said_by(self, replica: str) -> dict[str, str]:
        """What one replica says of itself, empty when that has expired."""
        return text_map(await call(self._client, "HGETALL", self._keys.monitor(replica)))

    async def last_leader(self) -> StreamEntry | None:
        """The event of the latest election that is among the last thousand events."""
        for entry in entries_of(await call(self._client, "XREVRANGE", self._keys.events, "+", "-", "COUNT", 1000)):
            if entry.fields.get("type") == "leader":
                return entry
        return None

    async def meta(self) -> dict[str, str]:
        """What clients are told of this data set: schema, shards, canary (ms), heartbeats_max."""
        return text_map(await call(self._client, "HGETALL", self._keys.meta))

    async def heartbeats(self) -> StreamFacts:
        """How full the way in is."""
        return await stream_facts(self._client, self._keys.heartbeats)


async def stream_facts(client: Redis, key: str) -> StreamFacts:
    """How full a stream is, without XINFO's error where there is none."""
    length, first, last = await call_many(
        client,
        [
            ("XLEN", key),
            ("XRANGE", key, "-", "+", "COUNT", 1),
            ("XREVRANGE", key, "+", "-", "COUNT", 1),
        ],
    )
    added = int(length)
    if length:
        info = await call(client, "XINFO", "STREAM", key)
        added = int(_info(info).get("entries-added", length))
    return StreamFacts(int(length), _first(first), _first(last), added)


def _first(reply: Any) -> str:  # noqa: ANN401  # the reply of XRANGE
    entries = entries_of(reply)
    return entries[0].id if entries else ""


def _info(reply: list[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=False)}


def _ms(entry_id: bytes) -> int:
    head = entry_id.partition(b"-")[0]
    return int(head) if head.isdigit() else 0
