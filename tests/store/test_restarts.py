"""Restart orders against a real server: who gets one, who doesn't, and that none is missed."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from healthmon.errors import NotPermitted
from healthmon.store.acl import Role, setuser
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from healthmon.store.permissions import check_taking
from healthmon.store.restarts import MARGIN_MS, NotTaken, RestartOrder, Restarts, Taken
from healthmon.store.scripts import Scripts
from tests.proxy import proxy_to
from tests.restarts.claims import EPOCH, Claims
from tests.servers import FreshServer
from tests.store.shard import Shard
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def claims(shard: Shard) -> Claims:
    return Claims(shard.client, shard.keys)


@asynccontextmanager
async def restarts(
    url: str, keys: Keys, name: str = "mon-a", scripts: Scripts | None = None
) -> AsyncIterator[Restarts]:
    opened = Restarts(url, keys, scripts or Scripts(), name, block_ms=50)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def followed(reader: Restarts) -> AsyncIterator[list[RestartOrder]]:
    """What the reader reads, as it comes."""
    seen: list[RestartOrder] = []

    async def follow() -> None:
        while True:
            seen.extend(await reader.wait())

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        yield seen
        group.cancel_scope.cancel()


async def soon(reader: Restarts) -> list[RestartOrder]:
    """What the reader reads next, within 5 s."""
    with anyio.fail_after(5):
        return await reader.wait()


# -- taking ------------------------------------------------------------------------------------------------------------


async def test_of_many_who_take_one_order_at_once_one_gets_it(shard: Shard, claims: Claims) -> None:
    order = await claims.claim("a", method="exec", command=["true"])
    got: dict[str, Taken | NotTaken] = {}
    async with restarts(shard.url, shard.keys, "one") as one, restarts(shard.url, shard.keys, "two") as two:

        async def take(by: Restarts, name: str) -> None:
            got[name] = await by.take(order, name)

        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(take, (one, two)[n % 2], f"taker-{n}")
    (winner,) = (name for name, answer in got.items() if isinstance(answer, Taken))
    assert {answer for answer in got.values() if isinstance(answer, NotTaken)} == {
        NotTaken(f"it was taken by {winner}")
    }
    assert (await claims.record("a"))["restart_taken"] == winner
    expected = {"cmd": "report", "kind": "restart", "id": "a", "rev": str(order.rev), "taken": winner}
    assert await claims.reports("a") == [expected], "the leader learns of the taking, once"


async def test_the_taker_learns_the_policy_and_how_long_it_has(shard: Shard, claims: Claims) -> None:
    order = await claims.claim("a", method="exec", command=["true"], within_s=30.0)
    async with restarts(shard.url, shard.keys) as mine:
        taken = await mine.take(order, "mon-a")
    assert isinstance(taken, Taken)
    assert taken.policy == '{"restart": {"method": "exec", "command": ["true"]}}'
    assert taken.left_ms is not None
    assert 25_000 < taken.left_ms <= 30_000


async def test_a_deadline_that_is_no_time_counts_as_none(shard: Shard, claims: Claims) -> None:
    order = await claims.claim("a", method="exec")
    await call(shard.client, "HSET", shard.keys.component("a"), "restart_deadline", "soon")
    async with restarts(shard.url, shard.keys) as mine:
        assert await mine.take(order, "mon-a") == Taken(order, '{"restart": {"method": "exec"}}', None)


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ({"state": "dead"}, "it is dead by now"),
        ({"state": "healthy"}, "it is healthy by now"),
        ({"restart_rev": "9"}, "another restart of it was claimed since"),
        ({"restart_rev": ""}, "another restart of it was claimed since"),
        ({"epoch": str(EPOCH - 1)}, "this data does not hold its claim"),
        ({"restart_taken": "mon-b"}, "it was taken by mon-b"),
        ({"restart_taken": "mon-a"}, "it was taken by mon-a"),
    ],
)
async def test_an_order_that_the_stored_state_has_outrun_is_refused(
    shard: Shard, claims: Claims, stored: dict[str, str], why: str
) -> None:
    order = await claims.claim("a", method="exec")
    await call(shard.client, "HSET", shard.keys.component("a"), *(part for pair in stored.items() for part in pair))
    before = await claims.record("a")
    async with restarts(shard.url, shard.keys) as mine:
        assert await mine.take(order, "mon-a") == NotTaken(why)
    assert await claims.record("a") == before
    assert await claims.reports("a") == []


async def test_an_order_that_comes_late_by_the_server_s_clock_is_refused(shard: Shard, claims: Claims) -> None:
    now_ms = await claims.now_ms()
    late = await claims.claim("a", method="exec", said={"not_after_ms": now_ms - 1500})
    async with restarts(shard.url, shard.keys) as mine:
        answer = await mine.take(late, "mon-a")
        assert isinstance(answer, NotTaken)
        assert answer.reason.startswith("it came 1."), answer.reason
        assert answer.reason.endswith("s too late")
        assert isinstance(await mine.take(replace(late, not_after_ms=now_ms + 60_000), "mon-a"), Taken)


async def test_an_order_of_an_earlier_leader_is_still_good(shard: Shard, claims: Claims) -> None:
    order = await claims.claim("a", method="exec")
    await call(shard.client, "SET", shard.keys.epoch, EPOCH + 1)
    await call(shard.client, "HSET", shard.keys.component("a"), "epoch", EPOCH + 1)
    async with restarts(shard.url, shard.keys) as mine:
        assert isinstance(await mine.take(order, "mon-a"), Taken)


@pytest.mark.parametrize("kind", ["component", "control"])
async def test_a_key_that_is_missing_or_of_a_wrong_type_refuses_and_is_not_written(
    shard: Shard, claims: Claims, kind: str
) -> None:
    order = await claims.claim("a", method="exec")
    key = shard.keys.component("a") if kind == "component" else shard.keys.control
    await call(shard.client, "SET", key, "not ours")
    async with restarts(shard.url, shard.keys) as mine:
        assert isinstance(await mine.take(order, "mon-a"), NotTaken)
        assert isinstance(await mine.take(replace(order, id="nobody"), "mon-a"), NotTaken)
    assert await call(shard.client, "GET", key) == b"not ours"
    if kind == "control":
        assert (await claims.record("a"))["restart_taken"] == ""


async def test_a_taking_whose_answer_was_lost_is_still_the_taker_s_and_told_once(shard: Shard, claims: Claims) -> None:
    order = await claims.claim("a", method="exec")
    async with proxy_to(shard.url) as proxy, restarts(proxy.url, shard.keys) as mine:
        gate = proxy.gate("mon-a-take")
        await mine.take(replace(order, id="nobody"), "mon-a")  # the script is known to the server from here on
        gate.lose = lambda command: command[0] == b"EVALSHA"
        assert isinstance(await mine.take(order, "mon-a"), Taken)
        assert gate.lost, "no answer was lost"
        assert await mine.take(order, "mon-a") == NotTaken("it was taken by mon-a"), "a second call is another taking"
    assert len(await claims.reports("a")) == 1


# -- reading -----------------------------------------------------------------------------------------------------------


async def test_orders_are_read_as_they_come_whole_and_in_order(shard: Shard, claims: Claims) -> None:
    async with restarts(shard.url, shard.keys) as mine, followed(mine) as seen:
        first = await claims.claim("a", method="exec")
        await eventually(lambda: seen == [first])
        second = await claims.claim("b", runner="agent", method="agent")
        third = await claims.claim("c", method="webhook", said={"incarnation": ""})
        await eventually(lambda: seen == [first, second, third])


async def test_whoever_begins_to_read_finds_every_order_that_may_still_be_taken_and_reads_no_older_ones(
    shard: Shard, claims: Claims, caplog: pytest.LogCaptureFixture
) -> None:
    done = await claims.claim("done", method="exec")
    long_ago = int(done.entry.partition("-")[0]) - 10 * MARGIN_MS
    await call(shard.client, "DEL", shard.keys.restarts)
    await call(shard.client, "XADD", shard.keys.restarts, f"{long_ago}-0", "cmd", "restart", "id", "older")
    await call(shard.client, "ZREM", shard.keys.state("restarting"), "done")
    waiting = [await claims.claim(name, method="exec") for name in ("a", "b")]
    async with restarts(shard.url, shard.keys) as mine:
        assert await soon(mine) == waiting
    assert caplog.text == ""


async def test_where_nobody_restarts_reading_begins_at_the_end(shard: Shard, claims: Claims) -> None:
    await claims.claim("done", method="exec")
    await call(shard.client, "ZREM", shard.keys.state("restarting"), "done")
    async with restarts(shard.url, shard.keys) as mine, followed(mine) as seen:
        reading = "name=healthmon-mon-a-restarts"

        async def blocked() -> bool:
            clients = (await call(shard.client, "CLIENT", "LIST")).decode().splitlines()
            return any(reading in line and "cmd=xread" in line for line in clients)

        await eventually(blocked)
        order = await claims.claim("a", method="exec")
        await eventually(lambda: seen == [order])


async def test_no_order_is_lost_over_a_restart_of_redis(
    fresh_server: Callable[..., FreshServer], prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = fresh_server(keep=True)
    url, keys = await server.start(), Keys(prefix, 0)
    async with restarts(url, keys) as mine, followed(mine) as seen:
        client = open_raw(url, name="leader")
        first = await Claims(client, keys).claim("a", method="exec")
        await eventually(lambda: seen == [first])
        await client.aclose()
        await server.stop()
        await eventually(lambda: "can't be read" in caplog.text)
        await server.start()
        client = open_raw(url, name="leader")
        second = await Claims(client, keys, 7).claim("b", method="exec")
        await eventually(lambda: seen == [first, second], 10)
        await client.aclose()
    assert caplog.text.count("can't be read") == 1, "one outage is told once"


async def test_a_reader_ahead_of_a_server_that_lost_its_data_hears_again(
    fresh_server: Callable[..., FreshServer], prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = fresh_server(keep=False)
    url, keys = await server.start(), Keys(prefix, 0)
    async with restarts(url, keys) as mine, followed(mine) as seen:
        client = open_raw(url, name="leader")
        ahead = await Claims(client, keys).now_ms() + 3_600_000
        await Claims(client, keys).store("a", rev=7, method="exec")
        said = ("cmd", "restart", "id", "a", "rev", 7, "attempt", 1, "epoch", 9, "runner", "r", "method", "exec")
        await call(client, "XADD", keys.restarts, f"{ahead}-0", *said, "not_after_ms", ahead)
        await eventually(lambda: [order.id for order in seen] == ["a"])
        await client.aclose()
        await server.kill()
        await eventually(lambda: "can't be read" in caplog.text)
        await server.start()
        client = open_raw(url, name="leader")
        await Claims(client, keys).claim("b", method="exec")
        await eventually(lambda: [order.id for order in seen] == ["a", "b"], 10)
        await client.aclose()


async def test_what_is_no_order_is_skipped_and_told(
    shard: Shard, claims: Claims, caplog: pytest.LogCaptureFixture
) -> None:
    await claims.store("a", rev=7, method="exec")
    for fields in (("cmd", "other"), ("cmd", "restart", "id", "../x"), ("cmd", "restart", "id", "a", "rev", "seven")):
        await call(shard.client, "XADD", shard.keys.restarts, "*", *fields)
    order = await claims.order("a", rev=7)
    async with restarts(shard.url, shard.keys) as mine:
        assert await soon(mine) == [order]
    assert caplog.text.count("is no restart order") == 3


async def test_an_order_of_an_earlier_epoch_than_one_read_before_is_not_obeyed(
    shard: Shard, claims: Claims, caplog: pytest.LogCaptureFixture
) -> None:
    first = await claims.claim("a", method="exec")
    await claims.claim("b", method="exec", said={"epoch": EPOCH - 1})
    last = await claims.claim("c", method="exec")
    async with restarts(shard.url, shard.keys) as mine, followed(mine) as seen:
        await eventually(lambda: seen == [first, last])
    assert "of b is of an earlier epoch" in caplog.text


# -- reporting ---------------------------------------------------------------------------------------------------------


async def test_a_report_says_all_in_bounded_text_whatever_the_text_holds(shard: Shard, claims: Claims) -> None:
    order = await claims.claim("a", method="exec")
    async with restarts(shard.url, shard.keys) as mine:
        await mine.report(order, ok=False, detail="\udcff" + "x" * 5000, ms=1234, by="mon-a")
    (told,) = await claims.reports("a")
    assert told.pop("detail") == "?" + "x" * 511
    expected = {"cmd": "report", "kind": "restart", "id": "a", "rev": "7", "ok": "0", "ms": "1234", "by": "mon-a"}
    assert told == expected


async def test_a_report_waits_for_redis_to_come_back(fresh_server: Callable[..., FreshServer], prefix: str) -> None:
    server = fresh_server(keep=True)
    url, keys = await server.start(), Keys(prefix, 0)
    client = open_raw(url, name="leader")
    order = await Claims(client, keys).claim("a", method="exec")
    await server.stop()
    async with restarts(url, keys) as mine, anyio.create_task_group() as group:
        group.start_soon(lambda: mine.report(order, ok=True, detail="exit code 0", ms=1, by="mon-a"))
        await server.start()
        told = await Claims(client, keys).outcome("a")
        assert told["ok"] == "1"
    await client.aclose()


# -- rights ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def user_of(shard: Shard, role: Role) -> AsyncIterator[str]:
    """A URL of a user that has just the rights of this role."""
    name = f"u{secrets.token_hex(4)}"
    await call(shard.client, *setuser(role, shard.keys.prefix, user=name, login=">secret"))
    try:
        yield shard.url.replace("redis://", f"redis://{name}:secret@")
    finally:
        await call(shard.client, "ACL", "DELUSER", name)


async def test_an_agent_s_user_reads_takes_and_reports_and_its_check_at_start_passes(
    shard: Shard, claims: Claims
) -> None:
    order = await claims.claim("a", method="agent", runner="agent")
    async with user_of(shard, Role.AGENT) as url, restarts(url, shard.keys) as mine:
        client = open_raw(url, name="agent")
        await check_taking(client, shard.keys, Scripts(), "a")
        await client.aclose()
        assert await soon(mine) == [order]
        assert isinstance(await mine.take(order, "agent-a"), Taken)
        await mine.report(order, ok=True, detail="", ms=5, by="agent-a")
    assert len(await claims.reports("a")) == 2


async def test_a_component_s_user_may_not_take_and_is_told_at_start(shard: Shard, claims: Claims) -> None:
    order = await claims.claim("a", method="agent", runner="agent")
    async with user_of(shard, Role.COMPONENT) as url, restarts(url, shard.keys) as mine:
        client = open_raw(url, name="agent")
        with pytest.raises(NotPermitted, match="healthmon acl"):
            await check_taking(client, shard.keys, Scripts(), "a")
        await client.aclose()
        with pytest.raises(NotPermitted):
            await mine.take(order, "agent-a")
    assert (await claims.record("a"))["restart_taken"] == ""
