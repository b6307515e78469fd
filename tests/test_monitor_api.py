"""The Python face: read your writes as leader and as follower, events, refusals, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from healthmon import (
    ConfigurationError,
    DistributedHealthMonitor,
    EventsMissed,
    HealthEvent,
    HealthmonError,
    HealthState,
    NoSuchComponent,
    Refused,
    RestartPolicy,
    StoreUnavailable,
    get_health_monitor,
)
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from tests.proxy import proxy_to
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(url: str) -> AsyncIterator[tuple[DistributedHealthMonitor, DistributedHealthMonitor]]:
    """A leading and a following monitor object in one process."""
    leader, follower = (DistributedHealthMonitor(redis_url=url, replica_id=name) for name in ("one", "two"))
    await leader.start()
    await follower.start()
    yield leader, follower
    await follower.stop()
    await leader.stop()


async def test_each_object_reads_what_it_wrote(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    for number, monitor in enumerate(pair):
        name = f"c{number}"
        await monitor.register_component(name, role="batch", restart_policy=RestartPolicy(max_retries=2))
        for _ in range(5):
            await monitor.heartbeat(name, {"latency_ms": 10, "queue": 3})
        health = await monitor.get_component_health(name)
        assert (health.state, health.total_heartbeats, health.role) == (HealthState.HEALTHY, 5, "batch")
        assert health.last_metrics is not None
        assert health.last_metrics.custom == {"queue": 3.0}


async def test_reads_at_the_same_time_all_wait_for_what_was_written(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    for number, monitor in enumerate(pair):
        name = f"c{number}"
        await monitor.heartbeat(name)
        several = await asyncio.gather(*(monitor.get_component_health(name) for _ in range(3)))
        assert [health.total_heartbeats for health in several] == [1, 1, 1]


async def test_a_lost_connection_is_no_refusal(url: str) -> None:
    async with proxy_to(url) as door, DistributedHealthMonitor(redis_url=door.url, replica_id="m") as monitor:
        door.gate("m-api").lose = lambda command: command[0] == b"XREAD"
        with pytest.raises(StoreUnavailable):
            await monitor.register_component("c")
        await monitor.register_component("c")


async def test_registering_again_replaces_the_given_parts_and_keeps_the_rest(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor], url: str
) -> None:
    _, monitor = pair
    await monitor.register_component("c", role="batch", heartbeat_timeout=30)
    await monitor.heartbeat("c")
    await monitor.register_component("c", degraded_threshold=70)
    health = await monitor.get_component_health("c")
    assert (health.state, health.total_heartbeats, health.role) == (HealthState.HEALTHY, 1, "batch")
    client = open_raw(url, name="test")
    policy = await call(client, "HGET", Keys().component("c"), "policy")
    await client.aclose()
    assert policy == b'{"degraded_threshold":70.0,"heartbeat_timeout":30.0,"role":"batch"}'


async def test_a_forgotten_component_is_gone_for_both(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    leader, follower = pair
    await leader.register_component("c")
    await follower.forget_component("c")
    with pytest.raises(NoSuchComponent, match="no component 'c'"):
        await follower.get_component_health("c")

    async def gone() -> bool:
        return "c" not in await leader.get_all_health()

    await eventually(gone)
    with pytest.raises(Refused, match="no component c"):
        await leader.forget_component("c")


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ({"heartbeat_timeout": 100}, "must rise"),
        ({"expected": "often"}, "'always' or 'sometimes'"),
        ({"colour": "red"}, "no part 'colour'"),
        ({"score": {"latency_ms": [3, 2, 9]}}, "rise or fall all the way"),
    ],
)
async def test_a_bad_policy_is_refused_with_its_reason(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor], policy: dict[str, Any], sentence: str
) -> None:
    leader, _ = pair
    with pytest.raises(Refused, match=sentence):
        await leader.register_component("c", **policy)
    assert await leader.get_all_health() == {}


async def test_a_bad_id_is_refused_before_anything_is_sent(url: str) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        for bad in ("", ".hidden", "a b", "x" * 129, "a\n"):
            with pytest.raises(Refused, match="is no id"):
                await monitor.heartbeat(bad)


async def test_events_resume_from_an_id_and_tell_what_was_trimmed(url: str) -> None:
    keys, client = Keys(), open_raw(url, name="test")
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        for name in ("a", "b", "c"):
            await monitor.register_component(name)
        seen = []
        async for event in monitor.events(since="0-0"):
            seen.append(event)
            if isinstance(event, HealthEvent) and event.component_id == "c":
                break
        named = [event.component_id for event in seen if isinstance(event, HealthEvent)]
        assert [name for name in named if name] == ["a", "b", "c"]
        await call(client, "XTRIM", keys.events, "MAXLEN", 1)
        async for event in monitor.events(since=seen[0].stream_id):
            assert isinstance(event, EventsMissed)
            assert event.missed_max >= len(seen) - 2
            assert event.stream_id == seen[-1].stream_id
            break
    await client.aclose()


async def test_a_subscriber_that_raises_hears_of_the_next_event_too(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    leader, follower = pair
    heard: list[str] = []
    both = asyncio.Event()

    def note(event: HealthEvent) -> None:
        heard.append(event.component_id)
        if len(heard) == 2:
            both.set()
        raise ValueError("a bug in the callback")

    await follower.subscribe("registered", note)
    await leader.register_component("a")
    await leader.register_component("b")
    async with asyncio.timeout(5):
        await both.wait()
    assert heard == ["a", "b"]


async def test_other_arguments_on_a_second_call_are_refused(url: str) -> None:
    monitor = await get_health_monitor(redis_url=url)
    try:
        with pytest.raises(ConfigurationError, match="without arguments"):
            await get_health_monitor(redis_url=url, lease_ttl=5.0)
    finally:
        await monitor.stop()


async def test_calls_before_start_and_after_stop_say_so(url: str) -> None:
    monitor = DistributedHealthMonitor(redis_url=url)
    with pytest.raises(HealthmonError, match="not started"):
        await monitor.get_all_health()
    await monitor.start()
    await monitor.stop()
    await monitor.stop()
    with pytest.raises(HealthmonError, match="not started"):
        await monitor.heartbeat("c")


async def test_an_unreachable_server_is_raised_by_start() -> None:
    monitor = DistributedHealthMonitor(redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        await monitor.start()


async def test_an_embedded_server_lives_as_long_as_its_monitor() -> None:
    async with DistributedHealthMonitor(redis_url="embedded://") as monitor:
        await monitor.heartbeat("c")
        assert (await monitor.get_component_health("c")).state == HealthState.HEALTHY
        assert asyncio.current_task() is not None
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("healthmon")] == []
