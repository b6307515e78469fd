"""The specification's examples of self-healing, run as written but for the package's name."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time

import pytest

from healthmon.integration import (
    ComponentRole,
    ComponentType,
    DistributedHealthMonitor,
    EntryPoint,
    HealthState,
    HeartbeatHelper,
    RestartPolicy,
    get_health_monitor,
    get_unified_coordinator,
)
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from tests.waiting import eventually

logger = logging.getLogger("healthmon.tests")


@pytest.fixture(autouse=True)
def _server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", url)


@pytest.mark.asyncio
async def test_circuit_breaker() -> None:
    """Test circuit breaker prevents excessive health checks."""

    monitor = DistributedHealthMonitor()
    await monitor.start()

    await monitor.register_component(
        component_id="failing_component",
        role=ComponentRole.CUSTOM,
    )

    # Simulate 5 consecutive failures
    for _ in range(5):
        await monitor._record_failure("failing_component")

    # Circuit breaker should be OPEN
    health = await monitor.get_component_health("failing_component")
    assert health.circuit_breaker_state == "OPEN"

    await monitor.stop()


@pytest.mark.asyncio
async def test_a_breaker_that_is_stuck_open_is_reset_or_configured_otherwise() -> None:
    """The fix of "Circuit breaker stuck OPEN"."""
    monitor = await get_health_monitor()
    try:
        await monitor.register_component("j_prime")
        for _ in range(5):
            await monitor.record_failure("j_prime")
        assert (await monitor.get_component_health("j_prime")).circuit_breaker_state == "OPEN"

        # Manually reset circuit breaker
        await monitor.reset_circuit_breaker("j_prime")

        # Or adjust circuit breaker thresholds
        monitor.circuit_breaker_config = {
            "failure_threshold": 10,  # More failures before opening
            "recovery_timeout": 30.0,  # Retry sooner
            "success_threshold": 1,  # Only 1 success needed to close
        }

        for failures in range(1, 11):
            assert (await monitor.get_component_health("j_prime")).circuit_breaker_state == "CLOSED", failures
            await monitor.record_failure("j_prime")
        assert (await monitor.get_component_health("j_prime")).circuit_breaker_state == "OPEN"
    finally:
        await monitor.stop()


@pytest.mark.asyncio
async def test_programmatic_configuration(url: str) -> None:
    """The programmatic configuration and its per-component policy."""
    monitor = await get_health_monitor(
        check_interval=20.0,
        heartbeat_timeout=60.0,
        degraded_threshold=120.0,
        dead_threshold=300.0,
        enable_auto_restart=True,
        enable_circuit_breakers=True,
        broadcast_events=True,
    )

    # Per-component policies
    await monitor.register_component(
        component_id="critical_service",
        role=ComponentRole.JARVIS_PRIME,
        restart_policy=RestartPolicy(
            max_retries=3,
            base_delay=10.0,
            max_delay=60.0,
            exponential_base=1.5,  # Slower backoff
            jitter=True,
        ),
    )

    async with open_raw(url, name="test") as client:
        policy = json.loads(await call(client, "HGET", Keys().component("critical_service"), "policy"))
    await monitor.stop()
    assert policy == {
        "role": "jarvis_prime",
        "heartbeat_timeout": 60.0,
        "degraded_threshold": 120.0,
        "dead_threshold": 300.0,
        "restart": {"max_retries": 3, "base_delay": 10.0, "max_delay": 60.0, "exponential_base": 1.5, "jitter": True},
    }


# What the example's handler calls: the body of the test that runs, and what was done to it.
bodies: list[HeartbeatHelper] = []
steps: list[str] = []


async def stop_jarvis_body() -> None:
    steps.append("stop")
    await bodies[0].stop()


async def start_jarvis_body() -> bool:
    steps.append("start")
    await bodies[0].start()
    return True


async def restart_prime_server() -> bool:
    return False


async def custom_restart_handler(component_id: str) -> bool:
    """
    Custom restart logic for components.

    Returns:
        True if restart successful, False otherwise
    """
    logger.info(f"Restarting {component_id}...")  # noqa: G004  # the specification's own line

    if component_id == "jarvis_body":
        # Stop existing process
        await stop_jarvis_body()

        # Wait for cleanup
        await asyncio.sleep(2)

        # Start new process
        success = await start_jarvis_body()

        if success:
            logger.info(f"✅ {component_id} restarted successfully")  # noqa: G004  # the specification's own line
            return True
        else:  # noqa: RET505  # the specification's own line
            logger.error(f"❌ {component_id} restart failed")  # noqa: G004  # the specification's own line
            return False

    elif component_id == "j_prime":
        # Prime has different restart logic
        success = await restart_prime_server()
        return success  # noqa: RET504  # the specification's own line

    else:
        logger.warning(f"Unknown component: {component_id}")  # noqa: G004  # the specification's own line
        return False


@pytest.mark.story
@pytest.mark.asyncio
async def test_custom_restart_handler() -> None:
    """The custom restart handler, for a body that dies and is started by it, and one that it does not know."""
    steps.clear()
    bodies.append(HeartbeatHelper("jarvis_body", role=ComponentRole.JARVIS_BODY, heartbeat_interval=0.1))
    await get_health_monitor(heartbeat_timeout=0.5, degraded_threshold=0.8, dead_threshold=1.2, mass_failure=False)

    # Register custom restart handler
    monitor = await get_health_monitor()
    monitor.set_restart_handler(custom_restart_handler)

    at_once = RestartPolicy(max_retries=1, base_delay=0.1)
    for component_id in ("jarvis_body", "j_prime", "mailer"):
        await monitor.register_component(component_id, restart_policy=at_once)
        await monitor.heartbeat(component_id)

    async def settled() -> bool:
        health = await monitor.get_all_health()
        states = {name: one.state.value for name, one in health.items()}
        assert states == {
            "jarvis_body": "healthy",
            "j_prime": "permanently_failed",
            "mailer": "permanently_failed",
        }, states
        return health["jarvis_body"].restart_attempt == 1

    try:
        await eventually(settled, 15)
        assert steps == ["stop", "start"]
    finally:
        await bodies.pop().stop()
        await monitor.stop()


async def print_health_dashboard() -> None:
    """Print a live health dashboard."""

    monitor = await get_health_monitor()

    while True:
        os.system("clear")  # noqa: ASYNC221, S605  # the specification's own line

        print("═" * 80)
        print("  JARVIS TRINITY - DISTRIBUTED HEALTH DASHBOARD")
        print("═" * 80)
        print()

        all_health = await monitor.get_all_health()

        for comp_id, health in all_health.items():
            # Color code by state
            if health.state == HealthState.HEALTHY:
                status = "✅ HEALTHY"
            elif health.state == HealthState.DEGRADED:
                status = "⚠️  DEGRADED"
            elif health.state == HealthState.UNHEALTHY:
                status = "🔴 UNHEALTHY"
            elif health.state == HealthState.DEAD:
                status = "💀 DEAD"
            else:
                status = f"❓ {health.state.upper()}"

            print(f"{comp_id:20} {status:20}")

            if health.last_heartbeat:
                elapsed = time.time() - health.last_heartbeat
                print(f"  └─ Last heartbeat: {elapsed:.1f}s ago")

            if health.last_metrics:
                metrics = health.last_metrics
                if metrics.latency_ms:
                    print(f"  └─ Latency: {metrics.latency_ms:.1f}ms")
                if metrics.memory_mb:
                    print(f"  └─ Memory: {metrics.memory_mb:.1f}MB")

            print()

        await asyncio.sleep(5)  # Refresh every 5 seconds


@pytest.mark.asyncio
async def test_health_dashboard(capsys: pytest.CaptureFixture[str]) -> None:
    """The health dashboard, until it has been printed once."""

    monitor = await get_health_monitor()
    await monitor.heartbeat("j_prime", {"latency_ms": 12.0, "memory_mb": 456.2})
    await monitor.heartbeat("reactor_core", {"latency_ms": 450.0})
    await monitor.register_component("jarvis_body")
    dashboard = asyncio.create_task(print_health_dashboard())
    said = ""

    def printed() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return said.count("\n\n") == 4

    await eventually(printed)
    dashboard.cancel()
    await monitor.stop()

    lines = [line.rstrip() for line in said.splitlines()]
    assert "j_prime              ✅ HEALTHY" in lines
    assert "reactor_core         ⚠️  DEGRADED" in lines
    assert "jarvis_body          ❓ UNKNOWN" in lines
    assert "  └─ Latency: 450.0ms" in lines
    assert "  └─ Memory: 456.2MB" in lines


@pytest.mark.asyncio
async def test_unified_state_coordinator_integration(url: str) -> None:
    """The Unified State Coordinator's integration."""
    monitor = await get_health_monitor()
    coordinator = await get_unified_coordinator()

    # Register component with both systems
    component_id = "jarvis_body"

    await monitor.register_component(
        component_id=component_id,
        role=ComponentRole.JARVIS_BODY,
    )

    await coordinator.acquire_ownership(
        component=ComponentType.JARVIS_BODY,
        entry_point=EntryPoint.RUN_SUPERVISOR,
    )

    # Health monitor will coordinate with UnifiedStateCoordinator
    # for ownership verification before restarting components

    owner = await coordinator.verify(component_id)
    await coordinator.stop()
    await monitor.stop()
    assert owner
    assert (owner.component_id, owner.entry_point) == ("jarvis_body", "run_supervisor")


@pytest.mark.asyncio
async def test_built_in_metrics() -> None:
    """The shape under "Built-in Metrics"."""
    monitor = await get_health_monitor()
    await monitor.heartbeat("j_prime", {"latency_ms": 12.3, "error_rate": 0.001, "request_rate": 125.3})
    shape = (await monitor.get_component_health("j_prime")).to_dict()
    await monitor.stop()
    assert shape.keys() >= {
        *("component_id", "state", "uptime_seconds", "total_heartbeats", "missed_heartbeats", "restart_count"),
        *("last_heartbeat", "last_state_change", "circuit_breaker_state", "health_score", "metrics"),
    }
    assert (shape["state"], shape["circuit_breaker_state"]) == ("healthy", "closed")
    assert shape["metrics"] == {"latency_ms": 12.3, "error_rate": 0.001, "request_rate": 125.3}
    assert json.loads(json.dumps(shape)) == shape
