"""The client of the rounds: one connection, plain commands, and no command's fate in the reply to another."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from healthmon.errors import HealthmonError, StoreUnavailable
from healthmon.store.calls import call, open_raw
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
Fresh = Callable[..., FreshServer]


async def test_replies_come_raw_and_over_one_connection(url: str) -> None:
    async with open_raw(url, name="one", dedicated=True) as client:
        await call(client, "HSET", "h", "field", 1)
        assert await call(client, "HGETALL", "h") == [b"field", b"1"]
        assert len({await call(client, "CLIENT", "ID") for _ in range(5)}) == 1
        assert await call(client, "CLIENT", "GETNAME") == b"healthmon-one"


async def test_several_callers_get_each_its_own_reply(url: str) -> None:
    got: dict[int, bytes] = {}

    async def ask(number: int) -> None:
        got[number] = await call(client, "ECHO", str(number) * 50_000)

    async with open_raw(url, name="many", dedicated=True) as client, anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(ask, number)
    assert got == {number: str(number).encode() * 50_000 for number in range(10)}


async def test_a_refused_command_keeps_the_connection(url: str) -> None:
    async with open_raw(url, name="refused", dedicated=True) as client:
        before = await call(client, "CLIENT", "ID")
        with pytest.raises(HealthmonError, match="unknown command"):
            await call(client, "NONSENSE")
        assert await call(client, "CLIENT", "ID") == before


async def test_a_cancelled_command_costs_its_connection_and_answers_nobody_else(url: str) -> None:
    async with open_raw(url, name="cut", dedicated=True) as client, open_raw(url, name="other") as other:
        before = await call(client, "CLIENT", "ID")
        with anyio.move_on_after(0.05):
            await call(client, "BLPOP", "never", 0)
        await call(other, "RPUSH", "never", "late")
        assert await call(client, "ECHO", "mine") == b"mine"
        assert await call(client, "CLIENT", "ID") != before


async def test_a_lost_connection_is_told_and_the_next_command_makes_another(url: str) -> None:
    async with open_raw(url, name="lost", dedicated=True) as client, open_raw(url, name="other") as other:
        before = await call(client, "CLIENT", "ID")
        await call(other, "CLIENT", "KILL", "ID", before)
        with pytest.raises(StoreUnavailable):
            await call(client, "PING")
        assert await call(client, "CLIENT", "ID") != before


async def test_a_server_that_went_and_came_is_reached_again(fresh_server: Fresh) -> None:
    server = fresh_server()
    async with open_raw(await server.start(), name="back", dedicated=True) as client:
        await call(client, "PING")
        await server.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await call(client, "PING")
        await server.start()

        async def answers() -> bool:
            return bool(await call(client, "PING") == b"PONG")

        assert await eventually(answers)


async def test_a_server_that_says_nothing_costs_the_time_out_and_the_connection(fresh_server: Fresh) -> None:
    server = fresh_server()
    async with open_raw(await server.start(), name="deaf", timeout_s=0.2, dedicated=True) as client:
        before = await call(client, "CLIENT", "ID")
        server.freeze()
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await call(client, "ECHO", "x" * 5_000_000)
        server.thaw()
        assert await call(client, "ECHO", "mine") == b"mine"
        assert await call(client, "CLIENT", "ID") != before


async def test_a_unix_socket_is_served_too(fresh_server: Fresh) -> None:
    server = fresh_server()
    await server.start()
    async with open_raw(f"unix://{server.directory / 'socket'}", name="unix", dedicated=True) as client:
        assert await call(client, "PING") == b"PONG"
