"""Components that speak no Redis are watched: by the real program, over a file and a WebSocket."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from healthmon.store.calls import call
from healthmon.store.keys import Keys
from tests.talking import ask, closed
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]


async def test_a_monitor_with_http_knows_who_writes_a_file_and_who_holds_a_socket_open(
    url: str, prefix: str, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / ".jarvis" / "trinity" / "heartbeats"
    folder.mkdir(parents=True)
    (folder / "j_prime.json").write_text('{"component_id": "j_prime", "timestamp": 1}')
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "HEALTH_REDIS_URL": url, "HEALTH_PREFIX": prefix}
    log, keys = tmp_path / "log", Keys(prefix)
    command = [sys.executable, "-m", "healthmon", "monitor", "--http", "127.0.0.1:0"]
    with log.open("wb") as output:
        monitor = await anyio.open_process(command, env=environment, stdout=None, stderr=output)
        try:
            await eventually(lambda: "serving http" in log.read_text(), 15)
            base = log.read_text().partition("serving http")[2].split()[0]
            async with Redis.from_url(url) as client, connect(f"ws{base}/health/ws") as socket:
                assert (await ask(socket, {"type": "heartbeat", "component_id": "reactor"}))["type"] == "ack"

                async def states() -> bool:
                    found = [await call(client, "HGET", keys.component(one), "state") for one in ("j_prime", "reactor")]
                    return found == [b"healthy", b"healthy"]

                await eventually(states, 10)
                monitor.send_signal(signal.SIGTERM)
                assert (await closed(socket))[0] == 1001
            with anyio.fail_after(10):
                assert await monitor.wait() == 0
        finally:
            with suppress(ProcessLookupError):
                monitor.kill()
            await monitor.aclose()
