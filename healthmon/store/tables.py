"""Loading the table of a shard from its hashes, whole at start and one by one after a conflict."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redis.asyncio import Redis

from healthmon.core.component import Component
from healthmon.core.policy import Defaults
from healthmon.errors import Refused
from healthmon.store.calls import call, first_id
from healthmon.store.client import store_errors
from healthmon.store.codec import read_component, read_event, text_map
from healthmon.store.keys import Keys

CHUNK = 500
FORGOTTEN_READ_MS = 60_000
logger = logging.getLogger("healthmon.store")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a cold replica starts from."""

    components: tuple[Component, ...]
    gone: Mapping[str, tuple[int, str]]
    stretches: tuple[tuple[int, int], ...]
    cursor: Mapping[str, str]
    guard: Mapping[str, str]
    generation: str
    epoch: int
    events_at: bytes


async def load(client: Redis, keys: Keys, defaults: Defaults) -> Stored:
    """Everything that is stored of the shard. Events are sampled first: those that come meanwhile are applied after."""
    events_at = first_id(await call(client, "XREVRANGE", keys.events, "+", "-", "COUNT", 1)) or b"0-0"
    cursor = text_map(await call(client, "HGETALL", keys.cursor))
    guard = text_map(await call(client, "HGETALL", keys.guard))
    generation = await call(client, "GET", keys.generation) or b""
    epoch = await call(client, "GET", keys.epoch) or b"0"
    blind = [text_map(fields) for _, fields in await call(client, "XRANGE", keys.blind, "-", "+")]
    gone = text_map(await call(client, "ZRANGE", keys.gone, 0, -1, "WITHSCORES"))
    ids = [raw.decode("ascii", "replace") for raw in await call(client, "ZRANGE", keys.components, 0, -1)]
    components = await load_components(client, keys, ids, defaults)
    incarnations = await _forgotten_incarnations(client, keys, events_at)
    return Stored(
        components=tuple(components.values()),
        gone={one: (int(float(ms)), incarnations.get(one, "")) for one, ms in gone.items()},
        stretches=tuple((int(one["from_ms"]), int(one["to_ms"])) for one in blind),
        cursor=cursor,
        guard=guard,
        generation=generation.decode(),
        epoch=int(epoch) if epoch.isdigit() else 0,
        events_at=events_at,
    )


async def load_components(client: Redis, keys: Keys, ids: Iterable[str], defaults: Defaults) -> dict[str, Component]:
    """The records of these ids; those not stored are left out, unreadable ones too, with a log line."""
    wanted, found = list(ids), {}
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        pipeline = client.pipeline(transaction=False)
        for component_id in chunk:
            pipeline.execute_command("HGETALL", keys.component(component_id))
        with store_errors():
            replies = await pipeline.execute(raise_on_error=False)
        for component_id, reply in zip(chunk, replies, strict=True):
            if isinstance(reply, Exception):
                logger.warning("the key of component %s can't be read: %s", component_id, reply)
                continue
            said = text_map(reply)
            if not said:
                continue
            try:
                found[component_id] = read_component({"id": component_id, **said}, defaults)
            except (KeyError, ValueError, TypeError, RecursionError, Refused) as error:
                logger.warning("the record of component %s can't be read: %s", component_id, error)
    return found


async def _forgotten_incarnations(client: Redis, keys: Keys, events_at: bytes) -> dict[str, str]:
    """The incarnations of those forgotten in the last minute: a tombstone alone doesn't hold them."""
    since_ms = max(0, int(events_at.partition(b"-")[0]) - FORGOTTEN_READ_MS)
    entries = await call(client, "XRANGE", keys.events, since_ms, "+")
    found = {}
    for entry_id, fields in entries:
        event = read_event(entry_id.decode(), text_map(fields))
        if event is not None and event.type == "forgotten":
            found[event.id] = str(event.set.get("incarnation", ""))
    return found
