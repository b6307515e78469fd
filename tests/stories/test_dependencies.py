"""A chain of programs that need each other: who falls is told to those above, and all come back root first."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.agents import agents
from tests.cluster import Cluster, cluster
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
UNHURRIED: dict[str, float | bool] = {
    "lease_ttl": 2.0,
    "heartbeat_timeout": 20.0,
    "degraded_threshold": 40.0,
    "dead_threshold": 60.0,
    "restarts_concurrent": 10,
}
# Each needs the one before it; in another order than that of their names.
CHAIN = ("reactor", "prime", "body", "api")


async def test_a_chain_of_four_killed_at_once_is_restarted_from_its_root_each_when_the_one_below_is_well(
    url: str, tmp_path: Path
) -> None:
    async with cluster(url, tmp_path, "m1", "m2", settings=UNHURRIED) as cl, agents(cl) as fleet:
        fleet.start(CHAIN[0], interval=0.2)
        for needed, one in pairwise(CHAIN):
            fleet.start(one, interval=0.2, depends_on=[needed])
        await fleet.all_healthy()
        last = await cl.last_event()
        fleet.kill_children(*reversed(CHAIN))
        await fleet.all_in("dead", *CHAIN[1:])
        await fleet.all_healthy()
        moves = [(said["id"], said["to"]) for _, said in await cl.events(last, type="transition")]
        steps = [(one, to) for one, to in moves if to in ("restarting", "healthy")]
        assert steps == [(one, to) for one in CHAIN for to in ("restarting", "healthy")]
        waits = [(said["id"], said["reason"]) for _, said in await cl.events(last, rule="waits")]
        assert ("api", "restart 1 waits: its dependency body is dead") in waits


async def test_a_chain_goes_on_where_it_was_when_the_leader_is_killed_between_two_levels(
    url: str, tmp_path: Path
) -> None:
    async with cluster(url, tmp_path, "m1", "m2", settings=UNHURRIED) as cl, agents(cl) as fleet:
        fleet.start(CHAIN[0], interval=0.2)
        for needed, one in pairwise(CHAIN):
            fleet.start(one, interval=0.2, depends_on=[needed])
        await fleet.all_healthy()
        last = await cl.last_event()
        fleet.kill_children(*CHAIN)
        await fleet.noted(CHAIN[1], "taken")
        await cl.kill(await cl.leader())
        await cl.next_leader(last)
        await fleet.all_healthy()
        claimed = [said["id"] for _, said in await cl.events(last, type="transition", to="restarting")]
        assert claimed == list(CHAIN)


async def test_dependants_are_told_when_what_they_need_falls_and_when_it_is_back_and_their_alerts_name_the_cause(
    url: str, tmp_path: Path
) -> None:
    async with cluster(url, tmp_path, "m1", settings={**UNHURRIED, "heartbeat_timeout": 1.5}) as cl:
        await cl.ask(cmd="register", id="reactor", policy=json.dumps({"depends_on": ["prime", "of-another-shard"]}))
        cl.load.beat("prime", "reactor")
        await eventually(partial(cl.is_in, "reactor", "healthy"))
        await eventually(partial(cl.is_in, "prime", "healthy"))
        await cl.load.send(["prime"], status="failing", msg="no model")
        cl.load.hush()
        cl.load.beat("prime", status="failing")
        cl.load.beat("reactor")
        down = await dependency_event(cl, "down")
        assert (down["id"], down["reason"]) == ("reactor", "prime is unhealthy")
        assert (await cl.client.hget(cl.keys.component("reactor"), "dependencies_down")) == "prime"
        cause = await cl.client.hget(cl.keys.component("prime"), "incident")
        await cl.load.send(["reactor"], status="degraded")
        alert = await alert_of(cl, "reactor", "degraded")
        assert alert["inhibited_by"] == [cause]
        assert "inhibited_by" not in await alert_of(cl, "prime", "unhealthy")
        cl.load.hush()
        cl.load.beat("prime", "reactor")
        up = await dependency_event(cl, "up")
        assert (up["id"], up["reason"]) == ("reactor", "prime is back")
        assert (await cl.client.hget(cl.keys.component("reactor"), "dependencies_down")) == ""


async def test_dependencies_that_make_a_cycle_are_refused_with_the_cycle_named(url: str, tmp_path: Path) -> None:
    async with cluster(url, tmp_path, "m1") as cl:
        for needed, one in pairwise(CHAIN):
            await cl.ask(cmd="register", id=one, policy=json.dumps({"depends_on": [needed]}))
        refused = [
            await cl.ask(cmd="register", id="reactor", policy=json.dumps({"depends_on": ["api"]})),
            await cl.ask(cmd="register", id="alone", policy=json.dumps({"depends_on": ["alone"]})),
        ]
        await cl.answered(refused[-1])
        said = {one["entry"]: one["detail"] for one in (await cl.at_rest()).rejected}
        assert said == {
            refused[0]: "depends_on makes a cycle: api -> body -> prime -> reactor -> api",
            refused[1]: "depends_on makes a cycle: alone -> alone",
        }
        assert not await cl.client.exists(cl.keys.component("alone"))


# -- what happens in them ----------------------------------------------------------------------------------------------


async def dependency_event(cl: Cluster, rule: str) -> dict[str, str]:
    async def told() -> list[dict[str, str]]:
        return [said for _, said in await cl.events(type="dependency", rule=rule)]

    return (await eventually(told))[0]


async def alert_of(cl: Cluster, one: str, state: str) -> dict[str, object]:
    async def told() -> list[dict[str, object]]:
        return [json.loads(said["json"])["data"] for _, said in await cl.events(id=one, to=state) if "json" in said]

    return (await eventually(told))[0]
