"""A replica that never leads, beside those that do."""

from __future__ import annotations

import anyio
import pytest

from healthmon.monitor.observer import Observer
from healthmon.run import make_replica
from healthmon.settings import load_settings
from healthmon.store.calls import call
from tests.inprocess import QUICK, Replicas, replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def observe(group: anyio.abc.TaskGroup, some: Replicas, name: str = "a-gate") -> Observer:
    """Start one, by a name that comes before all others; returns when it holds a table and all have met it."""
    settings = load_settings(
        redis_url=some.url, prefix=some.keys.prefix, replica_id=name, **{**QUICK, "dead_threshold": 1.3}
    )
    observer = make_replica(settings, observes=True)
    assert isinstance(observer, Observer)
    group.start_soon(observer.run)
    await eventually(observer.loaded.is_set, 10)

    async def announced() -> bool:
        return bool(await call(some.client, "HGET", some.keys.monitor(name), "role") == b"gateway")

    await eventually(announced)
    return observer


async def test_it_follows_and_never_leads_though_nobody_else_does(url: str) -> None:
    async with replicas(url, "one") as some, anyio.create_task_group() as group:
        observer = await observe(group, some)
        await some.send("id", "a")
        await eventually(lambda: (found := observer.parts.table.get("a")) is not None and found.state == "healthy")
        await some.stop("one")
        with anyio.move_on_after(QUICK["lease_ttl"] * 1.5):
            await eventually(lambda: observer.leadership is not None, 60)
        assert observer.leadership is None
        assert await call(some.client, "GET", some.keys.leader) is None
        await some.start("two")
        await some.leader()
        await some.send("id", "b")
        await eventually(lambda: observer.parts.table.get("b") is not None)
        group.cancel_scope.cancel()


async def test_the_others_count_it_neither_as_a_standby_nor_as_one_with_other_rules(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with replicas(url, "one") as some, anyio.create_task_group() as group:
        await observe(group, some)
        await some.start("two")
        follower = await some.follower()
        announcer = follower.parts.announcer

        def all_met() -> bool:
            return announcer.live == {"one", "two"} and follower.parts.watch.closely

        await eventually(all_met, 5)
        group.cancel_scope.cancel()
    assert "replica a-gate has other thresholds" not in caplog.text


async def test_it_says_nothing_of_a_failover_by_rules_that_it_will_never_lead_by(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with replicas(url, "one") as some, anyio.create_task_group() as group:
        observer = await observe(group, some)
        await eventually(lambda: "one" in observer.parts.announcer.live)
        group.cancel_scope.cancel()
    assert "other thresholds" not in caplog.text


async def test_it_does_not_take_a_led_fleet_for_leaderless_and_leaves_no_trace(url: str) -> None:
    async with replicas(url, "one") as some:
        async with anyio.create_task_group() as group:
            observer = await observe(group, some)
            await eventually(lambda: observer.parts.campaign.seen == "one")
            group.cancel_scope.cancel()
        assert await call(some.client, "EXISTS", some.keys.monitor("a-gate")) == 0
