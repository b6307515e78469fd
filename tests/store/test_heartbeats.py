from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from healthmon.errors import StoreUnavailable
from healthmon.store.calls import call, open_raw
from healthmon.store.codec import decode_heartbeats
from healthmon.store.heartbeats import Appender
from healthmon.store.keys import Keys, meta_key
from tests.servers import FreshServer

pytestmark = pytest.mark.anyio
KEYS = Keys("hm-test")


@asynccontextmanager
async def appending(url: str) -> AsyncIterator[tuple[Appender, Callable[..., Any]]]:
    appender = Appender(url, KEYS.prefix, name="test", timeout_s=2)
    async with open_raw(url, name="test") as client:

        async def do(*command: str | int) -> Any:
            return await call(client, *command)

        yield appender, do
    await appender.close()


async def test_one_heartbeat_is_an_entry_with_a_readable_id(url: str) -> None:
    async with appending(url) as (appender, do):
        (entry,) = await appender.append([{"id": "j_prime", "latency_ms": 5.0}])
        ((stored, fields),) = await do("XRANGE", KEYS.heartbeats, "-", "+")
        assert stored.decode() == entry
        assert fields[:3] == [b"id", b"j_prime", b"p"]
        (beat,) = decode_heartbeats(fields)
        assert getattr(beat, "metrics", None) == {"latency_ms": 5.0}


async def test_many_share_as_few_entries_as_fit_and_each_is_told_its_own(url: str) -> None:
    beats: list[dict[str, object]] = [{"id": f"c{n}", "msg": "x" * 100} for n in range(500)]
    async with appending(url) as (appender, do):
        entries = await appender.append(beats)
        stored = {entry.decode(): fields for entry, fields in await do("XRANGE", KEYS.heartbeats, "-", "+")}
    assert 4 <= len(stored) <= 8, "500 heartbeats of 115 bytes in entries of 16 KiB"
    for beat, entry in zip(beats, entries, strict=True):
        assert beat["id"] in {getattr(one, "id", "") for one in decode_heartbeats(stored[entry])}


async def test_the_stream_is_cut_to_what_meta_says(url: str) -> None:
    async with appending(url) as (appender, do):
        await do("HSET", meta_key(KEYS.prefix), "heartbeats_max", "10")
        await do("CONFIG", "SET", "stream-node-max-entries", "5")
        for n in range(40):
            await appender.append([{"id": f"c{n}"}])
        assert await do("XLEN", KEYS.heartbeats) < 20
        await do("CONFIG", "SET", "stream-node-max-entries", "100")


async def test_a_refused_append_leaves_the_connection_in_step(url: str) -> None:
    async with appending(url) as (appender, do):
        await do("SET", KEYS.heartbeats, "no stream")
        beats: list[dict[str, object]] = [{"id": f"c{n}", "msg": "x" * 400} for n in range(100)]
        with pytest.raises(Exception, match="WRONGTYPE"):
            await appender.append(beats)
        await do("DEL", KEYS.heartbeats)
        entries = await appender.append(beats)
        stored = [entry.decode() for entry, _ in await do("XRANGE", KEYS.heartbeats, "-", "+")]
        assert sorted(set(entries)) == stored


async def test_a_lost_connection_is_made_anew_by_the_next_call(fresh_server: Callable[..., FreshServer]) -> None:
    server = fresh_server()
    await server.start()
    async with appending(server.url) as (appender, _):
        await appender.append([{"id": "a"}])
        await server.stop()
        with pytest.raises(StoreUnavailable):
            await appender.append([{"id": "a"}])
        await server.start()
        assert await appender.append([{"id": "a"}])
