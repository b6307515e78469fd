"""What a component takes in memory: of the leading replica, and of Redis at rest."""

from __future__ import annotations

from typing import Final

import anyio.lowlevel

from healthmon.bench.figures import Row, Target
from healthmon.bench.ground import Ground, beat_of, packed_heartbeat
from healthmon.bench.processes import stage, until
from healthmon.bench.raw import Raw
from healthmon.store.keys import Keys

ROUNDS: Final = 3  # of heartbeats: a record is complete when bytes were repeated
WITHIN_S: Final = 120.0
INTERVAL_S: Final = 600.0  # nobody is silent meanwhile
CHUNK: Final = 1000
AWAY: Final = 10_000_000  # components beyond these numbers are the first ones, which make room for what all share
FIRST: Final = 100


async def measure(ground: Ground) -> list[Row]:
    """Growth from a replica that knows a hundred components to one that knows many."""
    count = ground.plan.remembered
    with stage(ground, f"{count} components in memory", checkpoint_interval=1.0) as children:
        keys, raw = children.keys, children.raw
        await children.replicas("memory")
        await _beat(keys, raw, AWAY, FIRST)
        await _stored(keys, raw, FIRST)
        replica_bytes, redis_bytes = children.memory_bytes("memory"), _redis_bytes(raw)
        for _ in range(ROUNDS):
            await _beat(keys, raw, 0, count)
            await _stored(keys, raw, count + FIRST)
        replica_bytes = children.memory_bytes("memory") - replica_bytes
        redis_bytes = _redis_bytes(raw) - redis_bytes
        stream_bytes, events_bytes = _key_bytes(raw, keys.heartbeats), _key_bytes(raw, keys.events)
    note = (
        f"beside it the heartbeat stream: {stream_bytes / ROUNDS / count / 1024:.2f} KB for each heartbeat kept; "
        f"the events of the registration, {events_bytes / count / 1024:.2f} KB, are counted and go by age"
    )
    kept = (redis_bytes - stream_bytes) / count / 1024
    return [
        Row(f"memory per component at {count}, replica", replica_bytes / count / 1024, "KB", Target(1), said="~100 KB"),
        Row(f"memory per component at {count}, Redis", kept, "KB", Target(3), said="~100 KB", note=note),
    ]


async def _beat(keys: Keys, raw: Raw, first: int, count: int) -> None:
    for start in range(first, first + count, CHUNK):
        numbers = range(start, min(start + CHUNK, first + count))
        raw.call_all([packed_heartbeat(keys.heartbeats, beat_of(number, interval_s=INTERVAL_S)) for number in numbers])
        await anyio.lowlevel.checkpoint()


async def _stored(keys: Keys, raw: Raw, count: int) -> None:
    """Returns when everybody is healthy, and all that was sent is in the hashes."""
    last = raw.call("XREVRANGE", keys.heartbeats, "+", "-", "COUNT", 1)[0][0]

    async def stored() -> bool:
        healthy = int(raw.call("ZCARD", keys.state("healthy")))
        mark = (raw.call("HGET", keys.cursor, "heartbeats") or b"0:0-0").partition(b":")[2]
        return healthy == count and _order(mark) >= _order(last)

    await until(stored, "every component is stored", WITHIN_S)


def _order(entry: bytes) -> tuple[int, int]:
    ms, _, sequence = entry.partition(b"-")
    return int(ms), int(sequence)


def _redis_bytes(raw: Raw) -> int:
    lines = raw.call("INFO", "memory").decode().splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("used_memory:")))


def _key_bytes(raw: Raw, key: str) -> int:
    return int(raw.call("MEMORY", "USAGE", key, "SAMPLES", 0) or 0)
