"""The examples of the user's specification, run as written but for the package's name."""

from __future__ import annotations

import asyncio
import logging

import pytest

from healthmon.integration import (
    ComponentRole,
    DistributedHealthMonitor,
    HealthState,
    RestartPolicy,
    get_health_monitor,
)

logger = logging.getLogger("healthmon.tests")


@pytest.fixture(autouse=True)
def _server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", url)


@pytest.mark.story
@pytest.mark.asyncio
async def test_health_degradation() -> None:
    """Test graceful degradation state transitions."""

    monitor = DistributedHealthMonitor(
        check_interval=1.0,
        heartbeat_timeout=5.0,
        degraded_threshold=10.0,
        dead_threshold=20.0,
    )

    await monitor.start()

    # Register component
    await monitor.register_component(
        component_id="test_component",
        role=ComponentRole.CUSTOM,
    )

    # Send heartbeat - should be HEALTHY
    await monitor.heartbeat("test_component")
    health = await monitor.get_component_health("test_component")
    assert health.state == HealthState.HEALTHY

    # Wait for heartbeat timeout - should become DEGRADED
    await asyncio.sleep(6)
    health = await monitor.get_component_health("test_component")
    assert health.state == HealthState.DEGRADED

    # Wait longer - should become UNHEALTHY
    await asyncio.sleep(5)
    health = await monitor.get_component_health("test_component")
    assert health.state == HealthState.UNHEALTHY

    # Wait even longer - should become DEAD
    await asyncio.sleep(10)
    health = await monitor.get_component_health("test_component")
    assert health.state == HealthState.DEAD

    await monitor.stop()


@pytest.mark.timing
@pytest.mark.asyncio
async def test_health_degradation_at_fifty_times_the_speed() -> None:
    """The same stages at 0.1, 0.2 and 0.4 s, each committed within 25 ms of its deadline by the Redis clock."""
    monitor = DistributedHealthMonitor(
        check_interval=0.02, heartbeat_timeout=0.1, degraded_threshold=0.2, dead_threshold=0.4
    )
    await monitor.start()
    stages: list[tuple[str, float]] = []
    died = asyncio.Event()

    async def note(event: object) -> None:
        committed_ms = int(event.stream_id.split("-")[0])  # type: ignore[attr-defined]  # an event
        stages.append((event.new_state, committed_ms))  # type: ignore[attr-defined]  # an event
        if event.new_state == HealthState.DEAD:  # type: ignore[attr-defined]  # an event
            died.set()

    await monitor.subscribe("transition", note)
    await monitor.register_component(component_id="test_component", role=ComponentRole.CUSTOM)
    beaten_ms = int((await monitor.heartbeat("test_component")).split("-")[0])
    async with asyncio.timeout(5):
        await died.wait()
    stretches = monitor._membership.replica.parts.table.blindness.stretches
    blind_ms = sum(stretch.to_ms - stretch.from_ms for stretch in stretches if stretch.to_ms > beaten_ms)
    await monitor.stop()

    assert [state for state, _ in stages] == ["healthy", "degraded", "unhealthy", "dead"]
    for (state, committed_ms), after_ms in zip(stages[1:], (100, 200, 400), strict=True):
        late_ms = committed_ms - beaten_ms - after_ms
        assert 0 <= late_ms <= 25 + blind_ms, f"{state} {late_ms} ms late, {blind_ms} ms blind"


@pytest.mark.asyncio
async def test_setup_health_monitoring() -> None:
    """The basic setup of the specification, by get_health_monitor."""

    async def setup_health_monitoring() -> DistributedHealthMonitor:
        monitor = await get_health_monitor(
            check_interval=15.0,  # Check every 15 seconds
            heartbeat_timeout=45.0,  # 45 seconds without heartbeat = warning
            degraded_threshold=90.0,  # 90 seconds = degraded
            dead_threshold=180.0,  # 3 minutes = dead
        )
        await monitor.register_component(
            component_id="jarvis_body",
            role=ComponentRole.JARVIS_BODY,
            restart_policy=RestartPolicy(max_retries=5, base_delay=5.0, max_delay=300.0, exponential_base=2.0),
        )
        await monitor.register_component(
            component_id="j_prime",
            role=ComponentRole.JARVIS_PRIME,
            restart_policy=RestartPolicy(
                max_retries=3,  # Prime is critical, fail fast
                base_delay=10.0,
                max_delay=120.0,
            ),
        )
        await monitor.register_component(
            component_id="reactor_core",
            role=ComponentRole.REACTOR_CORE,
            restart_policy=RestartPolicy(
                max_retries=10,  # Training can retry more
                base_delay=2.0,
                max_delay=600.0,
            ),
        )
        await monitor.start()
        return monitor

    monitor = await setup_health_monitoring()
    try:
        assert await get_health_monitor() is monitor
        everyone = await monitor.get_all_health()
        assert {name: health.role for name, health in everyone.items()} == {
            "jarvis_body": "jarvis_body",
            "j_prime": "jarvis_prime",
            "reactor_core": "reactor_core",
        }
        assert all(health.state == HealthState.UNKNOWN for health in everyone.values())
    finally:
        await monitor.stop()


@pytest.mark.asyncio
async def test_monitor_system_health(capsys: pytest.CaptureFixture[str]) -> None:
    """The health state monitoring example, with a component that sends the specification's metrics."""
    monitor = await get_health_monitor()
    await monitor.heartbeat(
        component_id="j_prime",
        metrics={
            "memory_mb": 456.2,
            "cpu_percent": 12.3,
            "active_connections": 5,
        },
    )

    health = await monitor.get_component_health("j_prime")
    print(f"Component: {health.component_id}")
    print(f"State: {health.state}")
    print(f"Uptime: {health.uptime_seconds}s")
    print(f"Last heartbeat: {health.last_heartbeat}")
    print(f"Restart count: {health.restart_count}")
    if health.last_metrics:
        print(f"  - Latency: {health.last_metrics.latency_ms}ms")
        print(f"  - Memory: {health.last_metrics.memory_mb}MB")
        print(f"  - CPU: {health.last_metrics.cpu_percent}%")
    all_health = await monitor.get_all_health()
    healthy_count = sum(1 for h in all_health.values() if h.state == HealthState.HEALTHY)
    print(f"  Healthy: {healthy_count}")
    await monitor.stop()

    said = capsys.readouterr().out
    assert "State: healthy" in said
    assert "  - Memory: 456.2MB" in said
    assert "  Healthy: 1" in said


@pytest.mark.asyncio
async def test_the_metrics_of_the_specification_make_degraded_and_not_dead() -> None:
    monitor = await get_health_monitor()
    await monitor.heartbeat("j_prime", {"latency_ms": 450, "memory_mb": 512, "cpu_percent": 45})
    health = await monitor.get_component_health("j_prime")
    await monitor.stop()
    assert health.state == HealthState.DEGRADED
    assert health.reason == "latency_ms 450 above 200"
    shape = health.to_dict()
    assert shape["metrics"] == {"latency_ms": 450.0, "memory_mb": 512.0, "cpu_percent": 45.0}
    assert {
        "component_id",
        "state",
        "uptime_seconds",
        "total_heartbeats",
        "missed_heartbeats",
        "restart_count",
        "last_heartbeat",
        "last_state_change",
        "health_score",
    } <= shape.keys()
