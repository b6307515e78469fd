"""Alerts through a monitor object: until they are acknowledged."""

from __future__ import annotations

import anyio
import pytest

from healthmon import DistributedHealthMonitor, Refused
from healthmon.monitor_api.alerts import Alert
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


def monitor_at(url: str, name: str) -> DistributedHealthMonitor:
    return DistributedHealthMonitor(redis_url=url, replica_id=name)


async def first(monitor: DistributedHealthMonitor, *, ack: bool, again_after: float = 30.0) -> Alert:
    """The next alert of the group."""
    with anyio.fail_after(10):
        async for alert in monitor.alerts(group="pager", again_after=again_after):
            if ack:
                await alert.ack()
            return alert
    raise AssertionError("an iteration without an end ended")


async def test_an_alert_comes_again_until_it_is_acknowledged_also_to_another_consumer(url: str) -> None:
    keys, client = Keys(), open_raw(url, name="test")
    async with monitor_at(url, "one") as one, monitor_at(url, "two") as two:
        async with anyio.create_task_group() as group:
            found: list[Alert] = []

            async def wait() -> None:
                found.append(await first(one, ack=False))

            group.start_soon(wait)
            await eventually(lambda: has_group(url, keys))
            await one.heartbeat("api", status="failing")
        again = await first(two, ack=True, again_after=0.05)
        assert (again.id, again.stream_id) == (found[0].id, found[0].stream_id)
        assert (again.component_id, again.firing, again.severity) == ("api", True, "error")
        assert "api is unhealthy" in again.summary
        await one.heartbeat("api")
        after = await first(two, ack=True, again_after=0.05)
        assert (after.component_id, after.firing) == ("api", False)
        pending = await call(client, "XPENDING", keys.events, "pager")
        assert pending[0] == 0
    await client.aclose()


async def has_group(url: str, keys: Keys) -> bool:
    client = open_raw(url, name="test-groups")
    groups = await call(client, "XINFO", "GROUPS", keys.events)
    await client.aclose()
    return bool(groups)


async def test_the_group_that_delivers_to_sinks_and_names_that_are_none_are_refused(url: str) -> None:
    async with monitor_at(url, "one") as one:
        for name in ("alerts", "", "a b"):
            with pytest.raises(Refused, match="can't be the group of a program"):
                await anext(one.alerts(group=name))
