"""Faults of Redis and of its data: nobody is called dead for them, totals do not fall, real deaths are still found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from healthmon.monitor.repair import RECOVERING_MS
from healthmon.store.calls import call
from tests.beats import Beats, beating
from tests.cluster import Cluster, cluster
from tests.inprocess import QUICK, Replicas, replicas
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]

Fresh = Callable[..., FreshServer]
NAMES = ("a", "b", "c")
DEAD_S: float = QUICK["dead_threshold"]
COLD = {"heartbeat_timeout": 0.8, "degraded_threshold": 1.2, "dead_threshold": 1.6}
LAST_ID = "18446744073709551615-18446744073709551615"


@asynccontextmanager
async def watched(url: str, *names: str, **settings: Any) -> AsyncIterator[tuple[Replicas, Beats]]:
    """Three replicas and three healthy components under load. At the end one falls silent, and is found dead."""
    async with replicas(url, *(names or ("m1", "m2", "m3")), **settings) as rs:
        async with beating(url, rs.keys.heartbeats, *NAMES) as beats:
            await all_healthy(rs, beats, more=3)
            yield rs, beats
            await dies_in_time(rs, beats, "a")
        for name in NAMES[1:]:
            await eventually(partial(counted, rs, beats, name))


async def all_healthy(rs: Replicas, beats: Beats, more: int) -> None:
    """Returns when each was heard so many times again, and is stored as healthy with all of them counted."""
    wanted = {name: beats.accepted[name] + more for name in NAMES}

    async def healthy() -> bool:
        assert all(beats.accepted[name] >= wanted[name] for name in NAMES), beats.accepted
        states = await rs.states()
        assert states == dict.fromkeys(NAMES, "healthy"), states
        for name in NAMES:
            total = int((await rs.record(name))["total_heartbeats"])
            assert total >= wanted[name] - beats.most(name) + beats.least(name), (name, total, wanted)
        return True

    await eventually(healthy, 15)


async def dies_in_time(rs: Replicas, beats: Beats, name: str) -> None:
    """This one falls silent: it is dead at its threshold, by the server's clock, and not before."""
    beats.silent.add(name)

    async def dead() -> dict[str, str]:
        return next(iter(await rs.events(id=name, to="dead")), {})

    await eventually(dead, 10)
    since_ms = int(await call(rs.client, "ZSCORE", rs.keys.state("dead"), name))
    silent_ms = since_ms - beats.sent[name][-1]
    # After a recovery deaths wait until it is over and everybody had one heartbeat_timeout to be heard.
    excused_ms = RECOVERING_MS + 600 if await rs.events(type="recovered") else 0
    assert DEAD_S * 1000 <= silent_ms <= DEAD_S * 1000 + excused_ms + 700, silent_ms


async def counted(rs: Replicas, beats: Beats, name: str) -> bool:
    total = int((await rs.record(name))["total_heartbeats"])
    assert beats.least(name) <= total <= beats.most(name), (name, total, beats.least(name), beats.most(name))
    return True


async def assert_nobody_was_blamed(rs: Replicas) -> None:
    """No component ever left `healthy`."""
    blamed = [event for event in await rs.events(type="transition") if event["to"] != "healthy"]
    assert not blamed, blamed


async def passing(seconds: float) -> None:
    """Returns when so much time has gone by: the fault lasts so long."""
    until_s = anyio.current_time() + seconds
    await eventually(lambda: anyio.current_time() >= until_s, seconds + 5)


def epoch_of(rs: Replicas) -> int:
    return max((one.leadership.lease.epoch for one in rs.members.values() if one.leadership), default=0)


async def test_redis_stopped_for_longer_than_dead_and_started_with_its_data_kills_nobody(fresh_server: Fresh) -> None:
    server = fresh_server(keep=True)
    await server.start()
    async with watched(server.url) as (rs, beats):
        epoch, generation = epoch_of(rs), await call(rs.client, "GET", rs.keys.generation)
        await server.stop()
        await passing(DEAD_S + 0.3)
        await server.start()
        await all_healthy(rs, beats, more=10)
        await assert_nobody_was_blamed(rs)
        assert await call(rs.client, "GET", rs.keys.generation) == generation
        assert not await rs.events(type="recovered"), "nothing was lost, so nothing was put back"
        assert epoch_of(rs) > epoch
        blind = await rs.entries(rs.keys.blind)
        assert any(int(one["to_ms"]) - int(one["from_ms"]) >= DEAD_S * 1000 for one in blind), blind


async def test_redis_started_again_without_its_data_is_told_what_the_replicas_know(fresh_server: Fresh) -> None:
    server = fresh_server(keep=False)
    await server.start()
    async with watched(server.url) as (rs, beats):
        generation = await call(rs.client, "GET", rs.keys.generation)
        before = {name: await rs.record(name) for name in NAMES}
        await server.stop()
        await passing(DEAD_S + 0.3)
        await server.start()
        beats.lost_max = 2
        await all_put_back(rs, before, generation)
        await all_healthy(rs, beats, more=10)
        await assert_nobody_was_blamed(rs)


async def test_flushall_under_load_loses_no_component_and_no_total(url: str) -> None:
    async with watched(url) as (rs, beats):
        generation = await call(rs.client, "GET", rs.keys.generation)
        before = {name: await rs.record(name) for name in NAMES}
        await call(rs.client, "FLUSHALL")
        beats.lost_max = 2
        await all_put_back(rs, before, generation)
        await all_healthy(rs, beats, more=10)
        await assert_nobody_was_blamed(rs)
        tables = [one.parts.table.components.keys() for one in rs.members.values()]
        assert all(table == set(NAMES) for table in tables), tables


async def all_put_back(rs: Replicas, before: dict[str, dict[str, str]], generation: bytes) -> None:
    async def again() -> bool:
        for name, record in before.items():
            now = await rs.record(name)
            assert now.get("born") == record["born"], (name, now)
            assert int(now["total_heartbeats"]) >= int(record["total_heartbeats"]), "a total fell"
            assert int(now["rev"]) >= int(record["rev"])
        return True

    await eventually(again, 15)
    assert await call(rs.client, "GET", rs.keys.generation) != generation
    assert {event["id"] for event in await rs.events(type="recovered")} == set(NAMES)


@pytest.mark.parametrize("fault", ["out of memory", "read-only"])
async def test_a_redis_that_takes_no_entries_makes_blind_and_kills_nobody(fresh_server: Fresh, fault: str) -> None:
    server = fresh_server()
    await server.start()
    begin, end = {
        "out of memory": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        "read-only": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    }[fault]
    async with watched(server.url) as (rs, beats):
        epoch = epoch_of(rs)
        await call(rs.client, *begin)
        await passing(DEAD_S + 0.5)
        assert beats.refused.keys() == set(NAMES), "the fault did not happen"
        await call(rs.client, *end)
        await all_healthy(rs, beats, more=10)
        await assert_nobody_was_blamed(rs)
        if fault == "out of memory":
            assert epoch_of(rs) == epoch, "the scripts are allowed to write, so there is no reason to step down"


@pytest.mark.parametrize("ahead", ["an hour", "the last possible id"])
async def test_an_entry_of_the_future_is_mended_and_everything_counts(url: str, ahead: str) -> None:
    async with watched(url) as (rs, beats):
        await rs.send("id", "a", entry=await future(rs, ahead))
        beats.accepted["a"] += 1
        await mended(rs)
        await all_healthy(rs, beats, more=10)
        await assert_nobody_was_blamed(rs)
        entry = await rs.send("id", "b")
        beats.accepted["b"] += 1
        assert abs(int(entry.partition(b"-")[0]) - await rs.now_ms()) < 1000
        await rs.stop((await rs.leader()).settings.replica_id)
        await all_healthy(rs, beats, more=3)


@pytest.mark.parametrize("ahead", ["an hour", "the last possible id"])
async def test_an_entry_of_the_future_that_came_while_nobody_watched_kills_nobody(url: str, ahead: str) -> None:
    async with replicas(url, "m1") as rs, beating(url, rs.keys.heartbeats, *NAMES) as beats:
        await all_healthy(rs, beats, more=3)
        await rs.stop("m1")
        await rs.send("id", "a", entry=await future(rs, ahead))
        await rs.start("m2", "m3")
        await mended(rs)
        await all_healthy(rs, beats, more=5)
        await assert_nobody_was_blamed(rs)
        await dies_in_time(rs, beats, "b")


async def test_a_replica_that_comes_after_a_repair_and_a_loss_of_data_hears_everybody(url: str) -> None:
    """What was counted before the repair lies ahead in its ids, and the loss took away how often there was one."""
    async with watched(url) as (rs, beats):
        for times in range(1, 3):
            await rs.send("id", "a", entry=await future(rs, "an hour"))
            beats.accepted["a"] += 1
            await mended(rs, times)
        beats.lost_max = 2
        await call(rs.client, "FLUSHALL")
        await eventually(lambda: rs.record("c"))
        await rs.start("m4")
        await rs.stop("m1", "m2", "m3")
        await all_healthy(rs, beats, more=15)
        await assert_nobody_was_blamed(rs)


async def future(rs: Replicas, ahead: str) -> str:
    return f"{await rs.now_ms() + 3_600_000}-7" if ahead == "an hour" else LAST_ID


async def mended(rs: Replicas, times: int = 1) -> None:
    async def told() -> bool:
        return len(await rs.events(type="guard", rule="repaired")) == times

    await eventually(told)


async def test_a_redis_that_stands_still_blames_nobody(fresh_server: Fresh) -> None:
    server = fresh_server()
    await server.start()
    async with watched(server.url) as (rs, beats):
        server.freeze()
        try:
            await passing(3.0)
        finally:
            server.thaw()
        await all_healthy(rs, beats, more=10)
        await assert_nobody_was_blamed(rs)


async def test_one_who_is_forgotten_and_returns_is_another_one_and_a_zombie_stays_forgotten(url: str) -> None:
    async with watched(url) as (rs, beats):
        for _ in range(3):
            await rs.send("id", "x", "incarnation", "one")
        await rs.counted("x", 3)
        born = (await rs.record("x"))["born"]
        forgotten = await rs.ask("cmd", "forget", "id", "x", "by", "a test")

        async def gone() -> bool:
            return not await rs.record("x") and bool(await rs.events(cause=forgotten.decode()))

        await eventually(gone)
        for _ in range(3):
            await rs.send("id", "x", "incarnation", "one")
        await all_healthy(rs, beats, more=2)
        assert await rs.record("x") == {}, "it goes on beating, and is not new"
        await rs.send("id", "x", "incarnation", "two")
        await rs.counted("x", 1)
        record = await rs.record("x")
        assert (record["rev"], record["incarnation"], record["state"]) == ("2", "two", "healthy")
        assert int(record["born"]) > int(born)
        await rs.stop((await rs.leader()).settings.replica_id)
        await rs.send("id", "x", "incarnation", "two")
        await rs.counted("x", 2)
        revs = [(event["born"], event["rev"]) for event in await rs.events(id="x")]
        assert revs == [(born, "1"), (born, "2"), (born, "3"), (record["born"], "1"), (record["born"], "2")]
        await call(rs.client, "XADD", rs.keys.control, "*", "cmd", "forget", "id", "x")
        await eventually(gone_from_all(rs, "x"))


def gone_from_all(rs: Replicas, name: str) -> Callable[[], bool]:
    return lambda: all(name not in one.parts.table.components for one in rs.members.values())


async def all_three_are_healthy(cl: Cluster) -> bool:
    return await cl.in_state("healthy") == 3


async def test_after_a_cold_start_nobody_is_dead_before_one_timeout_of_watching(url: str, tmp_path: Path) -> None:
    async with cluster(url, tmp_path, settings=COLD) as cl:
        cl.load.beat("a", "b", every_s=0.05)
        await cl.load.send(["gone"])
        await eventually(partial(all_three_are_healthy, cl))
        for name in list(cl.processes):
            await cl.kill(name)
        killed_ms = await cl.now_ms()

        async def long_silent() -> bool:
            return await cl.now_ms() > killed_ms + 2000

        await eventually(long_silent)
        last = await cl.last_event()
        await cl.start("m1", "m2", "m3")

        async def dead() -> Any:
            return await cl.events(last, id="gone", to="dead")

        (entry, _), *_ = await eventually(dead)
        ((_, watching),) = await cl.events(last, type="guard", rule="observing")
        assert int(entry.partition("-")[0]) - int(json.loads(watching["set"])["observing_ms"]) >= 800
        assert not [one for one in await cl.events(last, type="transition") if one[1]["id"] in ("a", "b")]
