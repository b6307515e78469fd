"""The specification's examples of observing and of helping oneself, run as written but for the package's name."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY, Counter, Gauge

from healthmon.integration import (
    ComponentRole,
    DistributedHealthMonitor,
    HealthState,
    HeartbeatHelper,
    RestartPolicy,
    get_health_monitor,
)
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def _server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", url)


@contextmanager
def prometheus() -> Iterator[tuple[Gauge, Counter]]:
    """The metrics of the example, for as long as it runs."""
    # Create metrics
    health_state_gauge = Gauge(
        "jarvis_component_health_state",
        "Current health state (0=dead, 1=unhealthy, 2=degraded, 3=healthy)",
        ["component_id"],
    )

    restart_counter = Counter(
        "jarvis_component_restarts_total",
        "Total number of component restarts",
        ["component_id"],
    )
    yield health_state_gauge, restart_counter
    REGISTRY.unregister(health_state_gauge)
    REGISTRY.unregister(restart_counter)


async def export_metrics(health_state_gauge: Gauge, restart_counter: Counter) -> None:
    """Export health metrics to Prometheus."""
    monitor = await get_health_monitor()
    all_health = await monitor.get_all_health()

    for comp_id, health in all_health.items():
        # Map state to numeric value
        state_value = {
            HealthState.DEAD: 0,
            HealthState.UNHEALTHY: 1,
            HealthState.DEGRADED: 2,
            HealthState.HEALTHY: 3,
        }.get(health.state, -1)

        health_state_gauge.labels(component_id=comp_id).set(state_value)
        restart_counter.labels(component_id=comp_id).inc(health.restart_count)


@pytest.mark.asyncio
async def test_export_to_prometheus(url: str) -> None:
    monitor = await get_health_monitor()
    await monitor.heartbeat("j_prime")
    await monitor.heartbeat("reactor_core", {"latency_ms": 450})
    await monitor.heartbeat("mailer", status="failing")
    await monitor.register_component("jarvis_body")
    async with open_raw(url, name="test") as client:  # it starts anew: another incarnation
        for incarnation in ("one", "two"):
            await call(client, "XADD", Keys().heartbeats, "*", "id", "j_prime", "incarnation", incarnation)

    async def is_counted() -> bool:
        return (await monitor.get_component_health("j_prime")).restart_count == 1

    try:
        await eventually(is_counted)
        with prometheus() as metrics:
            await export_metrics(*metrics)
            named = ("j_prime", "reactor_core", "mailer", "jarvis_body")
            states = [
                REGISTRY.get_sample_value("jarvis_component_health_state", {"component_id": one}) for one in named
            ]
            restarts = REGISTRY.get_sample_value("jarvis_component_restarts_total", {"component_id": "j_prime"})
    finally:
        await monitor.stop()
    assert states == [3, 2, 1, -1]
    assert restarts == 1


@pytest.mark.asyncio
async def test_debug_logging(caplog: pytest.LogCaptureFixture) -> None:
    """What is seen of a check: the component, its last heartbeat, its state with its score, its breaker."""
    monitor = await get_health_monitor()
    try:
        with caplog.at_level(logging.DEBUG):
            await monitor.heartbeat("j_prime")
            assert (await monitor.get_component_health("j_prime")).state == HealthState.HEALTHY
    finally:
        await monitor.stop()
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert "Checking health for component: j_prime" in lines
    assert any(re.fullmatch(r"Last heartbeat: \d+\.\d seconds ago", line) for line in lines)
    assert "Health state: HEALTHY (score: 1.00)" in lines
    assert "Circuit breaker: CLOSED" in lines


# -- common issues -----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_fixes_of_the_common_issues() -> None:
    """1: thresholds. 2: longer delays between restarts. 3: a helper in the component. (4 is a test of the breaker.)"""
    monitor = await get_health_monitor(
        heartbeat_timeout=45.0,  # Warning threshold
        degraded_threshold=90.0,  # Degraded state
        dead_threshold=180.0,  # Dead after 3 minutes
    )
    # Increase delays between restarts
    restart_policy = RestartPolicy(
        max_retries=5,
        base_delay=30.0,  # Wait 30 seconds before first retry
        max_delay=600.0,  # Max 10 minutes
        exponential_base=2.0,
        jitter=True,
    )
    await monitor.register_component("j_prime", restart_policy=restart_policy)
    # Add this to your component
    helper = HeartbeatHelper(
        component_id="j_prime",
        role=ComponentRole.JARVIS_PRIME,
        heartbeat_interval=10.0,
    )
    await helper.start()

    async def is_healthy() -> bool:
        return (await monitor.get_component_health("j_prime")).state == HealthState.HEALTHY

    try:
        await eventually(is_healthy)
        restart = monitor._membership.replica.parts.table.components["j_prime"].limits.restart
        assert (restart.max_retries, restart.base_ms, restart.most_ms) == (5, 30_000, 600_000)
    finally:
        await helper.stop()
        await monitor.stop()


@pytest.mark.asyncio
async def test_the_built_in_metrics_of_a_long_life_can_be_read_by_any_program(url: str) -> None:
    """The shape under "Built-in Metrics" is JSON, with Unix seconds."""
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        await monitor.heartbeat("j_prime", {"cpu_percent": 23.1})
        shape = json.loads(json.dumps((await monitor.get_component_health("j_prime")).to_dict()))
    assert isinstance(shape["last_heartbeat"], float)
    assert abs(time.time() - shape["last_heartbeat"]) < 60
    assert shape["metrics"] == {"cpu_percent": 23.1}
