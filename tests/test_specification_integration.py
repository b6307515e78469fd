"""The specification's examples of how other systems take part, run as written but for the package's name."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from healthmon.integration import (
    ComponentRole,
    EventType,
    HealthEvent,
    HealthMetrics,
    HealthState,
    HeartbeatHelper,
    RestartPolicy,
    TrinityEventType,
    create_event_bridge,
    create_trinity_bridge,
    get_health_monitor,
)
from tests.waiting import eventually

logger = logging.getLogger("healthmon.tests")
alerts: list[str] = []
heard: list[str] = []


@pytest.fixture(autouse=True)
def _server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", url)


@pytest.fixture(autouse=True)
def _nothing_heard_yet() -> None:
    alerts.clear()
    heard.clear()


# -- 1. the state machine ----------------------------------------------------------------------------------------------


def test_the_states_of_the_specification_have_its_names_and_values() -> None:
    stated = {
        "UNKNOWN": "unknown",  # Just registered, no data yet
        "INITIALIZING": "initializing",  # Starting up, not ready
        "HEALTHY": "healthy",  # All systems nominal
        "DEGRADED": "degraded",  # Minor issues, still functional
        "UNHEALTHY": "unhealthy",  # Major issues, barely functional
        "DEAD": "dead",  # Not responding, needs restart
        "RESTARTING": "restarting",  # In restart process
    }
    assert stated.items() <= {state.name: state.value for state in HealthState}.items()
    assert HealthState.PERMANENTLY_FAILED.value == "permanently_failed"
    assert all(isinstance(state, str) for state in HealthState)


@pytest.mark.asyncio
async def test_a_slow_component_is_degraded_and_recovers_on_its_own() -> None:
    """HEALTHY (latency: 12ms), DEGRADED (latency: 450ms), HEALTHY (latency: 15ms), and no restart."""
    monitor = await get_health_monitor()
    bridge = await create_event_bridge()
    events: list[HealthEvent] = []
    await bridge.subscribe(None, events.append)
    await monitor.register_component("j_prime", restart_policy=RestartPolicy(), restart_method="agent")
    try:
        for latency_ms, state in ((12, HealthState.HEALTHY), (450, HealthState.DEGRADED)):
            await monitor.heartbeat("j_prime", {"latency_ms": latency_ms})
            assert (await monitor.get_component_health("j_prime")).state == state

        async def is_healthy() -> bool:
            await monitor.heartbeat("j_prime", {"latency_ms": 15})
            return (await monitor.get_component_health("j_prime")).state == HealthState.HEALTHY

        await eventually(is_healthy)
        await eventually(lambda: len([one for one in events if one.event_type is EventType.TRANSITION]) == 3)
        assert not [one for one in events if one.event_type is EventType.RESTART]
    finally:
        await bridge.stop()
        await monitor.stop()


# -- 4., 5. heartbeats and metrics -------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_metrics_of_a_slow_component_that_still_responds() -> None:
    """The smart health scoring: DEGRADED, not DEAD."""
    metrics = HealthMetrics(
        timestamp=time.time(),
        latency_ms=450,  # High latency
        memory_mb=512,
        cpu_percent=45,
    )
    assert (metrics.error_rate, metrics.request_rate, metrics.active_connections) == (None, None, None)
    assert metrics.custom == {}

    monitor = await get_health_monitor()
    await monitor.heartbeat("j_prime", metrics.to_dict())
    health = await monitor.get_component_health("j_prime")
    await monitor.stop()
    assert health.state == HealthState.DEGRADED
    assert health.last_metrics is not None
    assert (health.last_metrics.latency_ms, health.last_metrics.memory_mb) == (450, 512)


# What the example's main loop asks its application for.
command_count = 1
sessions: dict[str, str] = {"alice": "1"}


async def process_commands() -> None:
    await asyncio.sleep(0)


def get_memory_usage() -> float:
    return 456.2


async def start_jarvis_body() -> None:
    """Start JARVIS Body with health monitoring."""

    # Initialize heartbeat helper
    heartbeat = HeartbeatHelper(
        component_id="jarvis_body",
        role=ComponentRole.JARVIS_BODY,
        heartbeat_interval=10.0,  # Send every 10 seconds
    )

    # Start background heartbeat
    await heartbeat.start()

    try:
        # Main application loop
        while True:
            # Your application logic
            await process_commands()

            # Optionally send custom metrics
            await heartbeat.send_heartbeat(
                {
                    "commands_processed": command_count,
                    "active_sessions": len(sessions),
                    "memory_mb": get_memory_usage(),
                }
            )

            await asyncio.sleep(1)

    finally:
        # Cleanup
        await heartbeat.stop()


@pytest.mark.asyncio
async def test_component_integration() -> None:
    """JARVIS Body, until it is cancelled."""
    monitor = await get_health_monitor()
    body = asyncio.create_task(start_jarvis_body())
    said: dict[str, Any] = {}

    async def has_said() -> bool:
        nonlocal said
        health = (await monitor.get_all_health()).get("jarvis_body")
        said = health.last_metrics.to_dict() if health is not None and health.last_metrics is not None else {}
        return "commands_processed" in said

    async def has_left() -> bool:
        return (await monitor.get_component_health("jarvis_body")).state == HealthState.UNKNOWN

    try:
        await eventually(has_said)
        assert (said["active_sessions"], said["memory_mb"]) == (1, 456.2)
        body.cancel()
        await eventually(has_left)
    finally:
        await monitor.stop()
        await asyncio.gather(body, return_exceptions=True)


# -- 6. events ---------------------------------------------------------------------------------------------------------


async def send_slack_alert(text: str) -> None:
    alerts.append(text)


async def on_health_changed(event: HealthEvent) -> None:
    component_id = event.component_id
    old_state = event.old_state
    new_state = event.new_state
    heard.append(f"{old_state} -> {new_state}")

    if new_state == HealthState.DEAD:
        logger.critical(f"{component_id} has died!")  # noqa: G004  # the specification's own line
        await send_slack_alert(f"🚨 {component_id} is DOWN")


@pytest.mark.asyncio
async def test_event_driven_architecture() -> None:
    """Other systems subscribe to health events."""
    event_bridge = await create_event_bridge()

    # Health changes automatically broadcast to all coordinators
    monitor = await get_health_monitor(
        heartbeat_timeout=0.2, degraded_threshold=0.4, dead_threshold=0.6, mass_failure=False
    )

    # Other systems can subscribe to health events
    await event_bridge.subscribe(
        event_type=EventType.HEALTH_CHANGED,
        callback=on_health_changed,
    )

    try:
        await monitor.heartbeat("j_prime")
        await eventually(lambda: alerts)
    finally:
        await event_bridge.stop()
        await monitor.stop()
    assert alerts == ["🚨 j_prime is DOWN"]
    assert heard == [
        "unknown -> healthy",
        "healthy -> degraded",
        "degraded -> unhealthy",
        "unhealthy -> dead",
    ]


async def on_health_changed_of_trinity(event: HealthEvent) -> None:
    logger.info(f"Health changed: {event.component_id} -> {event.new_state}")  # noqa: G004  # the specification's own line


@pytest.mark.asyncio
async def test_trinity_bridge_integration(caplog: pytest.LogCaptureFixture) -> None:
    """The Trinity Bridge's integration."""
    # Health monitor automatically publishes to Trinity Bridge
    monitor = await get_health_monitor(broadcast_events=True)
    bridge = await create_trinity_bridge()

    # Subscribe to health events
    await bridge.subscribe(
        event_type=TrinityEventType.HEALTH_CHANGED,
        callback=on_health_changed_of_trinity,
    )

    try:
        with caplog.at_level(logging.INFO, "healthmon.tests"):
            await monitor.heartbeat("j_prime")
            await eventually(lambda: "Health changed: j_prime -> healthy" in caplog.text)
    finally:
        await bridge.stop()
        await monitor.stop()


# -- integration with a database coordinator of one's own --------------------------------------------------------------


@dataclass
class Pool:
    active_connections: int = 7
    size: int = 10


@dataclass
class DatabaseCoordinator:
    """Stands for the user's own, of which only numbers are asked."""

    pool: Pool = field(default_factory=Pool)

    async def measure_latency(self) -> float:
        return 3.5


async def get_db_coordinator() -> DatabaseCoordinator:
    return DatabaseCoordinator()


@pytest.mark.asyncio
async def test_database_coordinator_integration() -> None:
    """Database health rides along as custom metrics, in a heartbeat that is sent without a start."""
    # Send database health metrics
    db_coordinator = await get_db_coordinator()

    heartbeat = HeartbeatHelper(
        component_id="reactor_core",
        role=ComponentRole.REACTOR_CORE,
    )

    # Include database stats in heartbeat
    await heartbeat.send_heartbeat(
        {
            "db_connections": db_coordinator.pool.active_connections,
            "db_pool_size": db_coordinator.pool.size,
            "db_latency_ms": await db_coordinator.measure_latency(),
        }
    )

    monitor = await get_health_monitor()
    custom: dict[str, Any] = {}

    async def has_said() -> bool:
        health = (await monitor.get_all_health()).get("reactor_core")
        if health is not None and health.last_metrics is not None:
            custom.update(health.last_metrics.custom)
        return bool(custom)

    try:
        await eventually(has_said)
    finally:
        await heartbeat.stop()
        await monitor.stop()
    assert {name: custom.get(name) for name in ("db_connections", "db_pool_size", "db_latency_ms")} == {
        "db_connections": 7,
        "db_pool_size": 10,
        "db_latency_ms": 3.5,
    }
