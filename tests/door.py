"""The door and what leads to it, in the test's own process over a real server: heartbeats come in without a replica."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from redis.asyncio import Redis

from healthmon.core.heartbeat import Heartbeat
from healthmon.gateway.connection import Wiring
from healthmon.gateway.door import Door
from healthmon.gateway.server import serve
from healthmon.gateway.websocket import Sockets
from healthmon.run.place import open_place
from healthmon.run.serving import door_of, make_app
from healthmon.settings import load_serving_settings, load_settings
from healthmon.store.calls import call, open_raw
from healthmon.store.codec import decode_heartbeats
from healthmon.store.keys import Keys


@dataclass
class Gateway:
    """An open door, and what has come in by it."""

    door: Door
    keys: Keys
    client: Redis
    base: str = ""
    open_sockets: Callable[[], Any] = tuple
    strangers: Callable[[], int] = int
    stop: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def stored(self) -> list[Heartbeat]:
        """All heartbeats in the stream, in their order."""
        entries = await call(self.client, "XRANGE", self.keys.heartbeats, "-", "+")
        read = [beat for _, fields in entries for beat in decode_heartbeats(fields)]
        assert all(isinstance(beat, Heartbeat) for beat in read), read
        return [beat for beat in read if isinstance(beat, Heartbeat)]

    async def entries(self) -> list[str]:
        """The ids of the stream's entries."""
        return [entry.decode() for entry, _ in await call(self.client, "XRANGE", self.keys.heartbeats, "-", "+")]

    async def count(self, component_id: str) -> int:
        """How often this component has come in."""
        return sum(beat.id == component_id for beat in await self.stored())


@asynccontextmanager
async def open_door(url: str, prefix: str, **given: Any) -> AsyncIterator[Gateway]:
    """A door without a server before it."""
    client = open_raw(url, name="test")
    try:
        async with door_of(load_settings(redis_url=url, prefix=prefix), load_serving_settings(**given)) as door:
            yield Gateway(door, Keys(prefix), client)
    finally:
        await client.aclose()


@asynccontextmanager
async def serving(url: str, prefix: str, *, most: int = 100, **given: Any) -> AsyncIterator[Gateway]:
    """A door and before it the WebSocket endpoint, at `base` (`ws://...`). `stop.cancel()` stops the server."""
    place = open_place(load_serving_settings(http_port=0, **given))
    async with open_door(url, prefix, **given) as gateway, anyio.create_task_group() as group:
        gateway.base = place.url.replace("http", "ws", 1) + "/health/ws"
        sockets = Sockets(gateway.door, place.access, most=most)
        gateway.open_sockets, gateway.strangers = lambda: sockets, lambda: sockets.strangers
        app = make_app(sockets.routes(), place.access, place.settings)

        async def run() -> None:
            with gateway.stop:
                await serve(app, place.listening, Wiring(10.0, most * 2 + 10), sockets.close)

        group.start_soon(run)
        yield gateway
        gateway.stop.cancel()
