"""Fifty programs die at once: each is restarted at its time, once an attempt, within the budget, whoever leads."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from time import monotonic

import anyio
import pytest

from tests.agents import Agents, agents
from tests.cluster import Cluster, cluster
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
GOOD = [f"good-{number}" for number in range(25)]
BAD = [f"bad-{number}" for number in range(25)]
RETRIES = 3
KILL_EVERY_S = 2.0
ENDS_WITHIN_S = 45.0
# Nobody falls silent by himself; four at a time are far fewer than fifty.
STORMY = {
    "lease_ttl": 3.0,
    "heartbeat_timeout": 20.0,
    "degraded_threshold": 40.0,
    "dead_threshold": 60.0,
    "restarts_concurrent": 4,
    "restarts_per_minute": 500,
    "mass_failure": True,
}


@pytest.mark.parametrize("kills", [False, True], ids=["under one leader", "its leader killed every 2 s"])
async def test_fifty_killed_at_once_are_restarted_at_their_times_within_the_budget_and_the_hopeless_are_given_up(
    url: str, tmp_path: Path, *, kills: bool
) -> None:
    async with cluster(url, tmp_path, settings=STORMY) as cl, agents(cl) as fleet:
        for one in GOOD:
            fleet.start(one, interval=2.0, max_retries=RETRIES)
        for one in BAD:
            crash = f"[ -e {tmp_path}/ruined ] && echo 'no configuration' && exit 78; exec sleep 1000"
            fleet.start(one, "bash", "-c", crash, interval=2.0, max_retries=RETRIES)
        await fleet.all_healthy(40)
        (tmp_path / "ruined").touch()
        begun_s, last = monotonic(), await cl.last_event()
        async with anyio.create_task_group() as group:
            if kills:
                group.start_soon(kill_leaders, cl)
            fleet.kill_children(*GOOD, *BAD)
            await eventually(partial(is_over, cl, last), ENDS_WITHIN_S)
            group.cancel_scope.cancel()
        took_s = monotonic() - begun_s
        waits = [said for _, said in await cl.events(last, rule="waits") if "under way already" in said["reason"]]
        assert len(waits) > 20, "the budget bit"
        leaders = len(await cl.events(last, type="leader"))
        assert leaders >= 3 if kills else leaders == 0
        for one in GOOD:
            assert len(await fleet.claims(one)) == len(fleet.journal(one, "taken")) == 1
            assert len(fleet.journal(one, "started")) == 2
        for one in BAD:
            await assert_given_up(fleet, one)
        print(f"{took_s:.1f} s, {leaders} changes of leader, {await busiest(cl, last)} in flight at most")


async def assert_given_up(fleet: Agents, one: str) -> None:
    """All attempts were made, and people are told why it can't be restarted."""
    record = await fleet.record(one)
    assert record["restart_attempt"] == str(RETRIES)
    assert json.loads(record["failure"])["code"] == 78
    assert "no configuration" in json.loads(record["failure"])["lines"]
    assert [line["attempt"] for line in fleet.journal(one, "taken")] == list(range(1, RETRIES + 1))
    told = [said for _, said in await fleet.cl.events(id=one, to="permanently_failed")]
    assert len(told) == 1
    alert = json.loads(told[0]["json"])["data"]
    assert alert["severity"] == "critical"
    assert "no configuration" in alert["failure"]["lines"]


async def is_over(cl: Cluster, last: str) -> bool:
    counts = await cl.client.hgetall(cl.keys.counts)
    states = {state: int(count) for state, count in counts.items() if count != "0"}
    assert states == {"healthy": len(GOOD), "permanently_failed": len(BAD)}, states
    return len(await cl.events(last, type="transition", to="restarting")) == len(GOOD) + RETRIES * len(BAD)


async def kill_leaders(cl: Cluster) -> None:
    """Every 2 s the leader is killed, and started again as a follower."""
    while True:
        leader, last = await cl.leader(), await cl.last_event()
        await cl.kill(leader)
        await cl.next_leader(last)
        await cl.start(leader)
        await cl.passes(round(KILL_EVERY_S * 1000))


async def busiest(cl: Cluster, last: str) -> int:
    """The most restarts that were under way at once."""
    restarting, most = Counter[str](), 0
    for _, said in await cl.events(last, type="transition"):
        restarting[said["id"]] = said["to"] == "restarting"
        most = max(most, sum(restarting.values()))
    return most
