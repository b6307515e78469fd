"""A server of HTTP within the test's own process, over a real Redis, and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest

from healthmon.gateway.connection import Wiring
from healthmon.gateway.door import Door
from healthmon.gateway.http import heartbeat_routes
from healthmon.gateway.server import serve
from healthmon.run.place import open_place
from healthmon.run.serving import door_of, make_app
from healthmon.settings import load_serving_settings, load_settings
from healthmon.store.calls import Client, call, open_raw
from healthmon.store.codec import decode_heartbeats
from healthmon.store.keys import Keys

PREFIX = "hm-test"


@dataclass
class Served:
    """What is served, and where."""

    url: str
    door: Door
    client: httpx.AsyncClient
    redis: Client
    keys: Keys

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def stored(self) -> list[Any]:
        """The heartbeats in the stream, the oldest first, as a monitor reads them."""
        entries = await call(self.redis, "XRANGE", self.keys.heartbeats, "-", "+")
        return [beat for _, fields in entries for beat in decode_heartbeats(fields)]

    async def post(self, said: Any, **options: Any) -> httpx.Response:
        return await self.client.post("/health/heartbeat", json=said, **options)


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def served() -> Serve:
    """`async with served(url, http_rate=5) as gateway:` serves heartbeats on a free port."""

    @asynccontextmanager
    async def serving(url: str, *, heartbeat_timeout: float = 45.0, **given: Any) -> AsyncIterator[Served]:
        settings = load_settings(
            redis_url=url,
            prefix=PREFIX,
            replica_id="gate",
            heartbeat_timeout=heartbeat_timeout,
        )
        place = open_place(load_serving_settings(**{"http_port": 0, **given}))
        redis = open_raw(url, name="test")
        async with door_of(settings, place.settings) as door, anyio.create_task_group() as group:
            app = make_app(heartbeat_routes(door), place.access, place.settings)
            wiring = Wiring(place.settings.http_timeout, place.settings.http_connections, place.tls)
            group.start_soon(serve, app, place.listening, wiring)
            async with httpx.AsyncClient(base_url=place.url, timeout=10) as client:
                yield Served(place.url, door, client, redis, Keys(PREFIX))
            group.cancel_scope.cancel()
        await redis.aclose()

    return serving
