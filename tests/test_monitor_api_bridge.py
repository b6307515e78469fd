"""The event bridge: every transition, in another process than the leader's, from the stream and not from pub/sub."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from healthmon import (
    DistributedHealthMonitor,
    EventBridge,
    EventsMissed,
    EventType,
    HealthEvent,
    HealthmonError,
    Refused,
    StoreUnavailable,
    create_event_bridge,
)
from healthmon.monitor_api import bridge as bridge_module
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from tests.cluster import cluster
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
Told = list[tuple[str, str, str]]
Fresh = Callable[..., FreshServer]
# So long that nobody falls silent in a story of other things.
UNHURRIED = {"heartbeat_timeout": 20.0, "degraded_threshold": 40.0, "dead_threshold": 60.0}


def told(events: list[HealthEvent]) -> Told:
    return [(one.component_id, one.old_state or "", one.new_state or "") for one in events]


async def test_every_transition_is_told_in_order_also_those_that_make_no_alert(url: str) -> None:
    heard: list[HealthEvent] = []
    everything: list[EventType] = []

    async def note(event: HealthEvent) -> None:
        heard.append(event)

    async with EventBridge(url) as bridge, DistributedHealthMonitor(redis_url=url, broadcast_events=False) as monitor:
        await bridge.subscribe(EventType.HEALTH_CHANGED, note)
        await bridge.subscribe(None, lambda event: everything.append(event.event_type))
        for status in ("ok", "degraded", "failing", "ok"):
            await monitor.heartbeat("a", status=status)
            await monitor.get_component_health("a")
        await monitor.hold("a")
        await eventually(lambda: EventType.OPERATOR in everything)
        await eventually(lambda: len(heard) == 4)
    assert told(heard) == [
        ("a", "unknown", "healthy"),
        ("a", "healthy", "degraded"),
        ("a", "degraded", "unhealthy"),
        ("a", "unhealthy", "healthy"),
    ]
    assert {one.event_type for one in heard} == {EventType.TRANSITION}
    assert EventType.REGISTERED in everything


async def test_a_later_run_of_a_program_goes_on_behind_the_event_that_it_saw_last(url: str) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        first: list[HealthEvent] = []
        async with EventBridge(url) as bridge:
            await bridge.subscribe("registered", first.append)
            await monitor.register_component("a")
            await eventually(lambda: first)
        await monitor.register_component("b")
        later: list[HealthEvent] = []
        async with EventBridge(url) as bridge:
            await bridge.subscribe("registered", later.append, since=first[-1].stream_id)
            await monitor.register_component("c")
            await eventually(lambda: len(later) == 2)
            whole = [event.component_id async for event in _until(bridge, "c")]
    assert [one.component_id for one in later] == ["b", "c"]
    assert [one for one in whole if one] == ["a", "b", "c"]


async def _until(bridge: EventBridge, component_id: str) -> AsyncIterator[HealthEvent]:
    async for event in bridge.events(since="0-0"):
        if isinstance(event, HealthEvent):
            yield event
            if event.component_id == component_id:
                return


async def test_while_redis_is_away_nothing_is_lost_and_nothing_is_told_twice(fresh_server: Fresh) -> None:
    server = fresh_server(keep=True)
    await server.start()
    heard: list[HealthEvent] = []
    async with EventBridge(server.url) as bridge:
        await bridge.subscribe(EventType.HEALTH_CHANGED, heard.append)
        async with DistributedHealthMonitor(redis_url=server.url) as monitor:
            await monitor.heartbeat("a")
            await eventually(lambda: len(heard) == 1)
        await server.stop()
        await server.start()
        async with DistributedHealthMonitor(redis_url=server.url) as monitor:
            await monitor.heartbeat("a", status="degraded")
            await eventually(lambda: len(heard) == 2, 10)
    assert told(heard) == [("a", "unknown", "healthy"), ("a", "healthy", "degraded")]


async def test_a_subscriber_goes_on_when_the_data_was_lost(
    fresh_server: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    server = fresh_server(keep=False)
    await server.start()
    heard: list[HealthEvent] = []
    async with EventBridge(server.url) as bridge:
        await bridge.subscribe(EventType.HEALTH_CHANGED, heard.append)
        async with DistributedHealthMonitor(redis_url=server.url) as monitor:
            await monitor.heartbeat("a")
            await eventually(lambda: len(heard) == 1)
        for _ in range(2):  # it comes back empty, and goes again before anything was said
            await server.stop()
            await server.start()
            await eventually(lambda: "the data was lost or is another" in caplog.text, 10)
            caplog.clear()
        async with DistributedHealthMonitor(redis_url=server.url) as monitor:
            await monitor.heartbeat("b")
            await eventually(lambda: len(heard) == 2, 10)
    assert told(heard) == [("a", "unknown", "healthy"), ("b", "unknown", "healthy")]


async def test_what_was_trimmed_unread_is_logged_with_its_number(url: str, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[HealthEvent] = []
    async with (
        open_raw(url, name="test") as client,
        DistributedHealthMonitor(redis_url=url) as monitor,
        EventBridge(url) as bridge,
    ):
        for name in ("a", "b", "c"):
            await monitor.register_component(name)
        await call(client, "XTRIM", Keys().events, "MAXLEN", 1)
        with caplog.at_level(logging.WARNING, "healthmon"):
            await bridge.subscribe("registered", heard.append, since="1-0")
            await eventually(lambda: heard)
        async for event in bridge.events(since="1-0"):
            assert isinstance(event, EventsMissed)
            break
    assert [one.component_id for one in heard] == ["c"]
    assert "a subscriber missed up to 4 events: they were trimmed" in caplog.text, "three, and that a leader began"


async def test_a_subscriber_that_is_slow_or_raises_delays_nobody_else(url: str) -> None:
    heard: list[HealthEvent] = []
    slow: list[HealthEvent] = []

    async def never_returns(event: HealthEvent) -> None:
        slow.append(event)
        await anyio.sleep_forever()

    def raises(event: HealthEvent) -> None:
        heard.append(event)
        raise ValueError("a bug in the callback")

    async with EventBridge(url) as bridge, DistributedHealthMonitor(redis_url=url) as monitor:
        await bridge.subscribe("registered", never_returns)
        await bridge.subscribe("registered", raises)
        for name in ("a", "b", "c"):
            await monitor.register_component(name)
        await eventually(lambda: len(heard) == 3)
    assert len(slow) == 1


async def test_a_bridge_says_what_is_wrong_with_a_subscription(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = EventBridge(url)
    with pytest.raises(HealthmonError, match="this bridge is not started: await start"):
        await bridge.subscribe(None, print)
    async with bridge:
        with pytest.raises(Refused, match="there is no event type 'sick': registered, transition,"):
            await bridge.subscribe("sick", print)
        for bad in ("yesterday", "1-2-3", "-"):
            with pytest.raises(Refused, match="no stream id"):
                await bridge.subscribe(None, print, since=bad)
        monkeypatch.setattr(bridge_module, "SUBSCRIPTIONS_MAX", 1)
        await bridge.subscribe(None, print)
        with pytest.raises(Refused, match="has 1 subscriptions"):
            await bridge.subscribe(None, print)
    await bridge.stop()
    bridge = await create_event_bridge("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable):
        await bridge.subscribe(None, print)
    await bridge.stop()


async def test_a_server_in_a_directory_is_found_by_its_directory(tmp_path: Path) -> None:
    directory = f"embedded://{tmp_path}/data"
    with pytest.raises(StoreUnavailable, match="no server runs in"):
        await create_event_bridge(directory)
    heard: list[HealthEvent] = []
    async with DistributedHealthMonitor(redis_url=directory) as monitor, EventBridge(directory) as bridge:
        await bridge.subscribe("registered", heard.append)
        await monitor.register_component("a")
        await eventually(lambda: heard)


@pytest.mark.story
async def test_every_transition_is_told_across_processes_also_while_leaders_are_killed(
    url: str, tmp_path: Path
) -> None:
    heard: list[HealthEvent] = []
    async with EventBridge(url, prefix="hm-test") as bridge:
        await bridge.subscribe(EventType.HEALTH_CHANGED, heard.append)
        async with cluster(url, tmp_path, settings=UNHURRIED) as cl:
            for number in range(2):
                killed, last = await cl.leader(), await cl.last_event()
                await cl.may_steal_again()
                for status in ("degraded", "failing", "ok"):
                    await cl.load.send(["a", f"b-{number}"], status=status)
                await cl.kill(killed)
                await cl.next_leader(last)
                await cl.load.send([f"c-{number}"], status="failing")
                await eventually(partial(cl.is_in, f"c-{number}", "unhealthy"))
            events = await cl.events(type="transition")
            await eventually(lambda: len(heard) >= len(events))
    stored = [(said["id"], said["from"], said["to"], at) for at, said in events]
    assert [(*one, event.stream_id) for one, event in zip(told(heard), heard, strict=True)][: len(stored)] == stored
    assert len({event.replica for event in heard}) >= 2
