"""Forty of a hundred fall silent at once: the likelier fault is ours, so nobody is called dead but who proves it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from healthmon.core import guard, rules
from tests.beats import beating
from tests.cluster import Cluster, cluster
from tests.history import assert_kept, read_history
from tests.inprocess import replicas
from tests.overhearing import overhearing
from tests.probes.listeners import listening, silent
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
BRAKED: dict[str, float | bool] = {"mass_failure": True, "lease_ttl": 2.0}
STAY = [f"stays-{number}" for number in range(60)]
FALL = [f"falls-{number}" for number in range(40)]
RESTARTED = json.dumps({"restart": {"method": "agent", "base_delay": 0.1}, "startup_timeout": 5})
BEATS_S = 0.2


async def test_forty_of_a_hundred_that_fall_silent_are_one_alert_and_no_death_also_for_the_next_leader(
    url: str, tmp_path: Path
) -> None:
    async with cluster(url, tmp_path, "m1", "m2", settings=BRAKED) as cl:
        last = await forty_fall(cl)
        await eventually(partial(brakes, cl, 1))
        await eventually(partial(all_in, cl, "unhealthy"), 8)
        await cl.kill(await cl.leader())
        await cl.next_leader(last)
        await cl.passes(3_500)
        assert await cl.in_state("unhealthy") == len(FALL)
        assert len(await cl.events(last, to="degraded")) == len(FALL), "the earlier stages are told"
        assert not await cl.events(last, to="dead")
        assert len(await told(cl)) == 1
        assert await told(cl) == shard_alerts(cl)
        cl.load.beat(*FALL, every_s=BEATS_S)
        await eventually(partial(brakes, cl, 2), 8)
        over = (await told(cl))[1]["data"]
        assert over["status"] == "resolved"
        assert "over after" in over["summary"]
        await eventually(partial(everybody_healthy, cl), 8)
        assert not await cl.events(last, to="dead")


async def test_an_operator_who_says_that_it_is_real_has_the_dead_told_and_restarted(url: str, tmp_path: Path) -> None:
    async with cluster(url, tmp_path, "m1", "m2", settings=BRAKED) as cl:
        last = await forty_fall(cl)
        await eventually(partial(brakes, cl, 1))
        await eventually(partial(all_in, cl, "unhealthy"), 8)
        await cl.passes(1_500)
        assert not await cl.events(last, to="dead")
        asked = await cl.ask(cmd="resume", by="ann", reason="the rack burns")
        await eventually(partial(brakes, cl, 2))
        [(_, said)] = await cl.events(cause=asked)
        assert (said["type"], said["reason"]) == (
            "operator",
            "the mass failure is real, said by ann: the rack burns",
        )
        await eventually(partial(all_died, cl, last))
        await eventually(partial(claimed, cl, last, 5), 8)
        again = await cl.ask(cmd="resume", by="ann")
        await cl.answered(again)
        refused = {one["entry"]: one["detail"] for _, one in await cl.client.xrange(cl.keys.rejected)}
        assert refused == {again: "there is no mass failure to lift the brake of"}
        await cl.passes(1_000)
        assert await brakes(cl, 2), "it does not trip again for the same silence"


async def test_within_a_mass_failure_who_refuses_a_probe_is_dead_and_restarted_and_who_only_hangs_is_not(
    url: str, tmp_path: Path
) -> None:
    settings = {**BRAKED, "allow_exec": True, "probe_timeout": 0.5}
    async with (
        cluster(url, tmp_path, "m1", "m2", settings=settings) as cl,
        overhearing(cl),
        listening(silent) as up,
        listening(silent) as web,
    ):
        async with listening(silent) as port:
            fate = {
                "gone": f"tcp://127.0.0.1:{port}",
                "hangs": f"http://127.0.0.1:{web}/",
                "up": f"tcp://127.0.0.1:{up}",
            }
            for one, probed in fate.items():
                restart = {"method": "exec", "command": ["touch", f"{tmp_path}/{one}"], "base_delay": 0.1, "timeout": 5}
                policy = {"restart": restart, "startup_timeout": 5, "probe": {"url": probed, "interval": 0.3}}
                await cl.ask(cmd="register", id=one, policy=json.dumps(policy))
            cl.load.beat("hangs")
            await eventually(partial(all_healthy, cl, "gone", "up"), 8)
            last = await forty_fall(cl)
            cl.load.hush_some("hangs")
        await eventually(partial(brakes, cl, 1))
        [(_, dead)] = await eventually(partial(cl.events, last, id="gone", to="dead"), 15)
        assert dead["rule"] == "silence"
        await eventually((tmp_path / "gone").exists, 8)
        await eventually(partial(cl.is_in, "up", "healthy"))
        await cl.passes(2_000)
        assert await cl.is_in("hangs", "unhealthy")
        assert not (tmp_path / "hangs").exists()
        assert await brakes(cl, 1)
        assert {said["id"] for _, said in await cl.events(last, to="dead")} == {"gone"}


async def test_fewer_than_a_third_are_called_dead_as_ever(url: str, tmp_path: Path) -> None:
    async with cluster(url, tmp_path, "m1", settings=BRAKED) as cl:
        cl.load.beat(*STAY, every_s=BEATS_S)
        await cl.load.send(FALL[:20])
        await eventually(partial(all_in, cl, "dead", 20), 8)
        assert await brakes(cl, 0)


async def test_a_brake_that_nobody_lifts_lets_go_at_its_longest_and_does_not_trip_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest_ms = 2_500
    monkeypatch.setattr(guard, "BRAKE_MS_MAX", longest_ms)
    monkeypatch.setattr(rules, "BRAKE_MS_MAX", longest_ms)
    async with replicas(url, "m1", "m2", mass_failure=True) as rs:
        async with beating(url, rs.keys.heartbeats, *STAY[:5], *FALL[:8]) as beats:

            async def in_state(state: str, number: int) -> bool:
                return list((await rs.states()).values()).count(state) == number

            await eventually(partial(in_state, "healthy", 13))
            beats.silent.update(FALL[:8])
            await eventually(partial(in_state, "unhealthy", 8))
            await eventually(partial(in_state, "dead", 8), 8)
            on, off = await rs.events(rule=guard.RULE)
            held_ms = int(json.loads(off["set"])["mass_at_ms"]) - int(json.loads(on["set"])["mass_since_ms"])
            assert longest_ms <= held_ms < longest_ms + 500
            assert "the longest" in off["reason"]
            deaths = await rs.events(to="dead")
            assert all(said["at"] >= off["at"] for said in deaths)
            wanted = beats.accepted[STAY[0]] + 15
            await eventually(lambda: beats.accepted[STAY[0]] >= wanted)
            assert len(await rs.events(rule=guard.RULE)) == 2
        for one in (*STAY[:5], *FALL[:8]):
            await rs.ask("cmd", "sync", "id", one)
            await rs.counted(one, beats.accepted[one])
        client = Redis.from_url(url, decode_responses=True, protocol=2, retry=Retry(NoBackoff(), 0))
        async with client:
            history = await read_history(client, rs.keys)
        history.sent = dict(beats.sent)
        assert_kept(history)


# -- what happens in them ----------------------------------------------------------------------------------------------


async def forty_fall(cl: Cluster) -> str:
    """A hundred are healthy, forty of them for the last time; the last event before."""
    for one in FALL:
        await cl.ask(cmd="register", id=one, policy=RESTARTED)
    cl.load.beat(*STAY, every_s=BEATS_S)
    cl.load.beat(*FALL, every_s=BEATS_S)
    await eventually(partial(all_healthy, cl, *STAY, *FALL), 10)
    last = await cl.last_event()
    cl.load.hush_some(*FALL)
    return last


async def all_healthy(cl: Cluster, *ids: str) -> bool:
    members = await cl.client.zrange(cl.keys.state("healthy"), 0, -1)
    return set(ids) <= set(members)


async def everybody_healthy(cl: Cluster) -> bool:
    return await all_healthy(cl, *STAY, *FALL)


async def all_in(cl: Cluster, state: str, number: int = len(FALL)) -> bool:
    return await cl.in_state(state) == number


async def all_died(cl: Cluster, last: str) -> bool:
    return {said["id"] for _, said in await cl.events(last, to="dead")} == set(FALL)


async def claimed(cl: Cluster, last: str, number: int) -> bool:
    return len(await cl.events(last, to="restarting")) == number


async def brakes(cl: Cluster, number: int) -> bool:
    """Whether the brake has turned so often."""
    return len(await cl.events(rule=guard.RULE)) == number


async def told(cl: Cluster) -> list[dict[str, Any]]:
    """The alerts of mass failure that are stored."""
    return [json.loads(said["json"]) for _, said in await cl.events(rule=guard.RULE)]


def shard_alerts(cl: Cluster) -> list[dict[str, Any]]:
    """The alerts of the shard itself that were heard, as they are stored."""
    heard = [json.loads(alert) for alert in cl.heard]
    mine = [alert for alert in heard if alert["type"].startswith("io.healthmon.shard.")]
    for alert in mine:
        alert["data"].pop("stream_id")
    return mine
