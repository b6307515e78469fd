"""What a replica believed in one term and could not commit, and what it keeps while it follows."""

from __future__ import annotations

from functools import partial

import pytest

from healthmon.core import guard
from healthmon.monitor.replica import Replica
from healthmon.store.calls import call
from tests.inprocess import Replicas, replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_mass_failure_that_was_never_committed_is_forgotten_when_the_replica_leads_again(url: str) -> None:
    async with replicas(url, "m1", "m2", mass_failure=True) as rs:
        first = await rs.leader()
        table, ledger = first.parts.table, first.parts.ledger
        await call(rs.client, "SET", rs.keys.leader, "other|1|1", "PX", 300)
        table.brake.learn(table.seen_ms, table.seen_ms)
        assert first.leadership is not None
        ledger.tell(guard.RULE, "mass failure: 9 of 9", table.seen_ms, first.leadership, alert=True)
        await eventually(lambda: first.leadership is None)
        second = await rs.leader()
        if second is not first:
            await rs.stop(name_of(rs, second))
        assert await rs.leader() is first
        await rs.ask("cmd", "resume", "by", "ann")
        await eventually(partial(refused, rs))
        assert not table.brake.on
        assert not await rs.events(rule=guard.RULE)


async def test_a_command_asked_before_a_mass_failure_began_does_not_lift_its_brake(url: str) -> None:
    async with replicas(url, "m1", mass_failure=True) as rs:
        leader = await rs.leader()
        table = leader.parts.table
        asked = await rs.ask("cmd", "resume", "by", "ann")
        await eventually(partial(refused, rs))
        assert leader.leadership is not None
        table.brake.learn(int(asked.partition(b"-")[0]) + 1, table.seen_ms)
        entry = (asked, [b"cmd", b"resume", b"by", b"ann"])  # as a cold leader reads it again
        await leader.parts.orders.obey(entry, leader.leadership, table.moment(table.seen_ms))
        assert table.brake.on
        assert table.rejections[-1].detail == "that was asked before the mass failure of now began"


async def test_a_follower_does_not_gather_the_names_of_all_that_ever_moved(url: str) -> None:
    async with replicas(url, "m1", "m2") as rs:
        await rs.send("id", "pod-1")
        follower = await rs.follower()
        await eventually(lambda: (one := follower.parts.table.get("pod-1")) is not None and one.state == "healthy")
        await eventually(lambda: not follower.parts.table.moved)


async def refused(rs: Replicas) -> bool:
    return bool(await rs.entries(rs.keys.rejected))


def name_of(rs: Replicas, replica: Replica) -> str:
    return next(name for name, one in rs.members.items() if one is replica)
