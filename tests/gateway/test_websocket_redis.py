"""Sockets while Redis is slow or away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect

from healthmon.gateway.http import LIST_MAX
from tests.door import Gateway, serving
from tests.servers import FreshServer
from tests.talking import ask, closed
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(fresh_server: Callable[..., FreshServer]) -> FreshServer:
    started = fresh_server()
    await started.start()
    return started


def busy(gateway: Gateway) -> list[Any]:
    """The sockets that have something to answer."""
    return [socket for socket in gateway.open_sockets()._open if socket._answering]


async def test_while_redis_is_away_heartbeats_are_acknowledged_without_an_entry_and_the_newest_arrives(
    server: FreshServer, prefix: str
) -> None:
    async with serving(server.url, prefix) as gateway, connect(gateway.base) as socket:
        assert (await ask(socket, {"component_id": "a", "msg": "before"}))["entry"]
        await server.stop()
        for msg in ("lost", "newest"):
            answer = await ask(socket, {"component_id": "a", "msg": msg})
            assert (answer["type"], answer["entry"]) == ("ack", None)
        await server.start()
        await eventually(lambda: not gateway.door.away, 10)
        assert [beat.msg for beat in await gateway.stored()] == ["newest"]
        assert (await ask(socket, {"component_id": "a"}))["entry"]


async def test_who_is_refused_for_want_of_room_here_is_not_closed_for_it(server: FreshServer, prefix: str) -> None:
    async with (
        serving(server.url, prefix, http_buffer=1, http_component_rate=0) as gateway,
        connect(gateway.base) as socket,
    ):
        await server.stop()
        assert (await ask(socket, {"component_id": "a"}))["type"] == "ack"
        for _ in range(101):
            answer = await ask(socket, {"component_id": "b"})
            assert (answer["type"], answer["error"]["code"]) == ("refused", "buffer_full")
            assert answer["retry_after"] > 0
        assert await ask(socket, {"type": "ping"}) == {"type": "pong"}
        await server.start()


async def test_of_who_sends_faster_than_redis_takes_no_more_is_read_until_there_is_room(
    server: FreshServer, prefix: str
) -> None:
    beats = [{"component_id": f"c{number}"} for number in range(LIST_MAX - 1)]
    async with serving(server.url, prefix) as gateway, connect(gateway.base) as socket:
        await ask(socket, {"component_id": "a"})
        server.freeze()
        for _ in range(6):
            await socket.send(json.dumps(beats))
        (one,) = await eventually(lambda: busy(gateway))
        await eventually(lambda: one._room is not None)  # it waits
        assert one._beats < 2 * LIST_MAX
        assert sum(len(batch.beats) for batch in gateway.door._batches) < 4 * LIST_MAX
        server.thaw()
        for _ in range(6):
            assert len(json.loads(await socket.recv())) == LIST_MAX - 1


async def test_what_waits_for_redis_when_the_server_stops_is_answered_before_the_socket_is_closed(
    server: FreshServer, prefix: str
) -> None:
    async with serving(server.url, prefix) as gateway, connect(gateway.base) as socket:
        await ask(socket, {"component_id": "a"})
        server.freeze()
        await socket.send('{"component_id": "b"}')
        await eventually(lambda: busy(gateway))
        gateway.stop.cancel()
        await eventually(lambda: gateway.open_sockets()._stopping)
        server.thaw()
        assert json.loads(await socket.recv())["type"] == "ack"
        assert (await closed(socket))[0] == 1001
