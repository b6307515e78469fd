"""Many commands at once, as of a large fleet file: obeyed in order under one term, and deaths are told."""

from __future__ import annotations

from functools import partial

import pytest

from healthmon.store.streams import order
from tests.inprocess import Replicas, replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
# Each takes some milliseconds, and a lease of 0.9 s is lost after 0.6 s without a round.
MANY = 600
NAMES = [f"c{number}" for number in range(MANY)]


async def register_all(rs: Replicas) -> None:
    pipeline = rs.client.pipeline(transaction=False)
    for one in NAMES:
        pipeline.execute_command("XADD", rs.keys.control, "*", "cmd", "register", "id", one, "policy", "{}")
    await pipeline.execute()


async def registered(rs: Replicas) -> list[str]:
    """Those that are, in the order in which it was answered."""
    found = [event["id"] for event in await rs.events(type="registered") if event["id"] in set(NAMES)]
    return found if len(found) >= MANY else []


async def test_a_leader_that_obeys_many_leads_on_and_tells_who_dies(url: str) -> None:
    async with replicas(url, "m1") as rs:
        await rs.send("id", "dies")
        await rs.counted("dies", 1)
        await register_all(rs)
        assert await eventually(partial(registered, rs), 30) == NAMES
        assert len(await rs.events(type="leader")) == 1
        last = max(order(event["cause"].encode()) for event in await rs.events(type="registered") if "cause" in event)

        async def answered() -> bool:
            cursor = await rs.client.execute_command("HGET", rs.keys.cursor, "control")
            return order(cursor or b"0-0") >= last

        await eventually(answered)
        await eventually(partial(rs.events, id="dies", to="dead"))


async def test_what_a_former_leader_left_is_obeyed_in_order_under_one_term(url: str) -> None:
    async with replicas(url, "m1", "m2") as rs:
        leader = await rs.leader()
        name = next(name for name, one in rs.members.items() if one is leader)
        await register_all(rs)
        await rs.stop(name)
        assert await eventually(partial(registered, rs), 30) == NAMES
        assert len(await rs.events(type="leader")) == 2
