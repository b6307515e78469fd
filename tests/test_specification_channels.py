"""The specification's ways in: a file, a WebSocket and HTTP, into `healthmon gateway` as a program of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets

from healthmon.integration import ComponentHealth, DistributedHealthMonitor, HealthState, get_health_monitor
from tests.waiting import eventually


@dataclass
class Gateway:
    """Where it serves, and the home of its user with the legacy folder."""

    url: str
    folder: Path


@pytest.fixture
def gateway(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """The program on a free port, whose user's home has the specification's folder."""
    monkeypatch.setenv("HEALTH_REDIS_URL", url)
    folder = tmp_path / ".jarvis" / "trinity" / "heartbeats"
    folder.mkdir(parents=True)
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "HEALTH_REDIS_URL": url}
    words = [sys.executable, "-m", "healthmon", "gateway", "--port", "0"]
    said = tmp_path / "gateway.log"
    with said.open("wb") as log, subprocess.Popen(words, env=environment, stdout=log, stderr=log) as process:
        try:
            yield Gateway(_served_at(process, said), folder)
        finally:
            process.terminate()
            assert process.wait(10) == 0, said.read_text()


def _served_at(process: subprocess.Popen[bytes], said: Path) -> str:
    """The address that it says, within 20 s."""
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s and process.poll() is None:
        if found := re.search(r"serving (http://\S+)", said.read_text()):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"it serves nothing: {said.read_text()}")


async def heard(monitor: DistributedHealthMonitor, component_id: str) -> ComponentHealth:
    """The component, as soon as the monitor knows it to be healthy."""

    async def look() -> list[ComponentHealth]:
        everyone = await monitor.get_all_health()
        return [
            one for one in everyone.values() if (one.component_id, one.state) == (component_id, HealthState.HEALTHY)
        ]

    return (await eventually(look, 10))[0]


@pytest.mark.asyncio
async def test_multi_channel_heartbeat_reception(gateway: Gateway) -> None:
    """Methods 1 to 4; each component is heard by its own."""
    health_monitor = await get_health_monitor()
    try:
        # Method 1: Direct API (fastest, most reliable)
        await health_monitor.heartbeat(
            component_id="direct",
            metrics={
                "memory_mb": 456.2,
                "cpu_percent": 12.3,
                "active_connections": 5,
            },
        )

        # Method 2: File-based (legacy compatibility)
        # Component writes: ~/.jarvis/trinity/heartbeats/j_prime.json
        (gateway.folder / "j_prime.json").write_text(json.dumps({"component_id": "j_prime", "timestamp": time.time()}))

        # Method 3: WebSocket (real-time streaming)
        async with websockets.connect(f"{gateway.url.replace('http', 'ws', 1)}/health/ws") as websocket:
            await websocket.send(
                json.dumps(
                    {
                        "type": "heartbeat",
                        "component_id": "by_socket",
                        "timestamp": time.time(),
                    }
                )
            )
            answer = json.loads(await websocket.recv())

        # Method 4: HTTP POST (language-agnostic)
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            posted = await client.post(
                "/health/heartbeat",
                json={"component_id": "by_http", "metrics": {"memory_mb": 456.2, "websocket_connections": 12}},
            )

        assert posted.status_code == 200, posted.text
        assert "error" not in answer, answer
        for component_id in ("direct", "j_prime", "by_socket", "by_http"):
            await heard(health_monitor, component_id)
        metrics = (await heard(health_monitor, "by_http")).last_metrics
        assert metrics is not None
        assert (metrics.memory_mb, metrics.custom) == (456.2, {"websocket_connections": 12})
    finally:
        await health_monitor.stop()


@pytest.mark.asyncio
async def test_a_heartbeat_file_that_vanishes_or_is_half_written_is_no_death(gateway: Gateway) -> None:
    """Root cause 5: transient trouble with files causes no false positive."""
    monitor = await get_health_monitor()
    file = gateway.folder / "j_prime.json"
    try:
        file.write_text(json.dumps({"component_id": "j_prime", "timestamp": time.time()}))
        beats = (await heard(monitor, "j_prime")).total_heartbeats
        file.write_text('{"component_id": "j_pr')
        file.unlink()
        file.write_text(json.dumps({"component_id": "j_prime", "timestamp": time.time()}))

        async def is_heard_again() -> bool:
            return (await monitor.get_component_health("j_prime")).total_heartbeats > beats

        await eventually(is_heard_again, 10)
        health = await monitor.get_component_health("j_prime")
        assert health.state == HealthState.HEALTHY
    finally:
        await monitor.stop()
