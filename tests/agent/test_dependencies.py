"""A component learns that something it depends on is down, and that it is back."""

from __future__ import annotations

import json

import anyio
import pytest

from healthmon.agent.dependencies import DependencyChange
from healthmon.agent.helper import HeartbeatHelper
from tests.inprocess import Replicas, replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def chain(cluster: Replicas) -> None:
    """reactor depends on prime."""
    for component_id, depends_on in (("prime", []), ("reactor", ["prime"])):
        policy = json.dumps({"depends_on": depends_on})
        await cluster.ask("cmd", "register", "id", component_id, "policy", policy)


def helper_of(component_id: str, url: str) -> HeartbeatHelper:
    return HeartbeatHelper(component_id, redis_url=url, prefix="hm-test", heartbeat_interval=0.1, metrics=False)


@pytest.mark.parametrize("in_thread", [False, True])
async def test_it_is_told_when_a_dependency_goes_down_and_when_it_is_back(url: str, *, in_thread: bool) -> None:
    async with replicas(url, "m1") as cluster:
        await chain(cluster)
        told: list[DependencyChange] = []
        helper = helper_of("reactor", url)
        helper.on_dependency(told.append)
        if in_thread:
            helper.start_in_thread()
        else:
            await helper.start()
        prime = helper_of("prime", url)
        prime.start_in_thread()
        prime.send(status="failing")
        await eventually(lambda: told == [DependencyChange(("prime",), ("prime",), ())])
        prime.send()
        await eventually(lambda: len(told) == 2)
        assert (told[1].all_up, told[1].back) == (True, ("prime",))
        await helper.stop()
        await prime.stop()
        down = await cluster.events(type="dependency", id="reactor")
        assert {event["reason"] for event in down} == {"prime is unhealthy", "prime is back"}


async def test_an_async_callback_runs_in_the_loop_and_its_failure_stays_there(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with replicas(url, "m1") as cluster:
        await chain(cluster)
        helper = helper_of("reactor", url)
        called = anyio.Event()

        @helper.on_dependency
        async def pause(_: DependencyChange) -> None:
            called.set()
            raise ValueError("not today")

        async with helper:
            await cluster.send("id", "prime", "status", "failing")
            with anyio.fail_after(5):
                await called.wait()
            await eventually(lambda: "the dependency callback failed" in caplog.text)
