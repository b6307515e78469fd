"""A silence and an acknowledgement through a killed leader, lost data, the passing of time, and being forgotten."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from healthmon.store.calls import call
from healthmon.store.codec import read_time_ms
from tests.cluster import Cluster, cluster
from tests.inprocess import Replicas, replicas
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
# So long that nobody falls silent in a story of other things.
UNHURRIED: dict[str, Any] = {"heartbeat_timeout": 20.0, "degraded_threshold": 40.0, "dead_threshold": 60.0}


async def record(cl: Cluster, component: str) -> dict[str, str]:
    found: dict[str, str] = await cl.client.hgetall(cl.keys.component(component))
    return found


async def kill_the_leader(cl: Cluster) -> None:
    killed, last = await cl.leader(), await cl.last_event()
    await cl.may_steal_again()
    await cl.kill(killed)
    _, said = await cl.next_leader(last)
    assert said["replica"] != killed


async def test_a_silence_and_an_acknowledgement_outlive_their_leader_and_both_end_when_they_should(
    url: str, tmp_path: Path
) -> None:
    async with cluster(url, tmp_path, "m1", "m2", settings=UNHURRIED) as cl:
        key = cl.keys.silence("a")
        await cl.load.send(["a"], status="degraded", msg="slow disk")
        await eventually(lambda: cl.is_in("a", "degraded"))
        await cl.ask(cmd="acknowledge", id="a", by="ann")
        silenced = await cl.ask(**{"cmd": "silence", "id": "a", "for": "6", "by": "ann", "reason": "disk swap"})
        await kill_the_leader(cl)

        async def is_known() -> bool:
            said = await record(cl, "a")
            return (said.get("acknowledged_by"), said.get("silenced_by")) == ("ann", "ann")

        await eventually(is_known)
        await cl.answered(silenced)
        until_ms = read_time_ms((await record(cl, "a"))["silenced_until"])
        assert until_ms == int(silenced.split("-")[0]) + 6000, "its length is counted from the command"
        assert await cl.client.pexpiretime(key) == until_ms

        await cl.load.send(["a"], status="failing")  # the new leader tells of it, and says who knows
        told = await eventually(lambda: cl.events(id="a", to="unhealthy"))
        assert '"silenced_until":"' in told[0][1]["json"]
        assert '"acknowledged_by":"ann"' in told[0][1]["json"]
        await cl.load.send(["a"])
        await eventually(lambda: cl.is_in("a", "healthy"))
        assert (await record(cl, "a"))["acknowledged_by"] == ""

        async def is_over() -> bool:
            return not await cl.client.exists(key)

        await eventually(is_over, 10)
        assert await cl.now_ms() >= until_ms
        await cl.load.send(["a"], status="degraded")
        await eventually(lambda: cl.is_in("a", "degraded"))
        said = await record(cl, "a")
        assert (said["silenced_until"], said["silenced_by"], said["silenced_reason"]) == ("", "", "")
        *_, (_, again) = await cl.events(id="a", to="degraded")
        assert "silenced_until" not in again["json"]
        operators = [one[1]["rule"] for one in await cl.events(id="a", type="operator")]
        assert operators == ["acknowledge", "silence"], "each is answered once, and the end of a silence is no event"


async def test_a_silence_that_waited_for_a_leader_is_obeyed_by_the_next_one(url: str, tmp_path: Path) -> None:
    async with cluster(url, tmp_path, "m1", "m2", settings=UNHURRIED) as cl:
        await cl.load.send(["a"])
        await eventually(lambda: cl.is_in("a", "healthy"))
        leader, last = await cl.leader(), await cl.last_event()
        await cl.may_steal_again()
        await cl.kill(leader)
        asked = await cl.ask(**{"cmd": "silence", "id": "a", "for": "3600", "reason": "x"})
        await cl.next_leader(last)
        (event, *more) = await eventually(lambda: cl.events(id="a", rule="silence"))
        assert (event[1]["cause"], more) == (asked, [])
        assert await cl.client.hget(cl.keys.silence("a"), "reason") == "x"


async def silenced(rs: Replicas, *names: str) -> None:
    """These are degraded, silenced for an hour and acknowledged."""
    for name in names:
        await rs.send("id", name, "status", "degraded")
        await eventually(partial(in_state, rs, name, "degraded"))
        await rs.ask("cmd", "silence", "id", name, "for", "3600", "by", "ann", "reason", "disk swap")
        await rs.ask("cmd", "acknowledge", "id", name, "by", "ann")
        await eventually(partial(is_known, rs, name))


async def in_state(rs: Replicas, name: str, state: str) -> bool:
    return (await rs.record(name)).get("state") == state


async def is_known(rs: Replicas, name: str) -> bool:
    said = await rs.record(name)
    has_key = await call(rs.client, "HGET", rs.keys.silence(name), "reason") == b"disk swap"
    return has_key and (said.get("silenced_by"), said.get("acknowledged_by")) == ("ann", "ann")


async def test_forgetting_removes_the_silence_and_who_comes_back_is_another(url: str) -> None:
    async with replicas(url, "m1", **UNHURRIED) as rs:
        await silenced(rs, "a")
        await rs.ask("cmd", "forget", "id", "a")

        async def is_gone() -> bool:
            return not await call(rs.client, "EXISTS", rs.keys.component("a"), rs.keys.silence("a"))

        await eventually(is_gone)
        await rs.send("id", "a", "incarnation", "another", "status", "degraded")
        await eventually(lambda: in_state(rs, "a", "degraded"))
        said = await rs.record("a")
        assert not said.get("silenced_until")
        assert not said.get("acknowledged_by")


async def test_what_is_put_back_after_lost_data_is_silenced_as_before(url: str) -> None:
    async with replicas(url, "m1", "m2", **UNHURRIED) as rs:
        await silenced(rs, "a", "b")
        until = (await rs.record("a"))["silenced_until"]
        await call(rs.client, "FLUSHALL")

        async def is_back() -> bool:
            return await is_known(rs, "a") and await is_known(rs, "b")

        await eventually(is_back, 15)
        assert (await rs.record("a"))["silenced_until"] == until
        assert await call(rs.client, "PEXPIRETIME", rs.keys.silence("a")) == read_time_ms(until)


async def test_every_replica_hot_or_cold_knows_who_silenced_it(url: str) -> None:
    async with replicas(url, "m1", "m2", **UNHURRIED) as rs:
        await silenced(rs, "a")
        await rs.start("cold")

        def known() -> bool:
            records = [one.parts.table.get("a") for one in rs.members.values()]
            said = {
                (one.silenced_until_ms, one.silenced_by, one.silenced_reason, one.acknowledged_by)
                for one in records
                if one is not None
            }
            return len(records) == 3 and len(said) == 1 and said.pop()[1:] == ("ann", "disk swap", "ann")

        await eventually(known)
