"""A control stream whose ids run ahead of the server's clock: what comes by it came when it was read."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from healthmon.store.calls import call
from healthmon.store.codec import read_time_ms
from tests.inprocess import Replicas, replicas
from tests.probes.listeners import listening, silent
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
PATIENT: dict[str, Any] = {"heartbeat_timeout": 30.0, "degraded_threshold": 60.0, "dead_threshold": 90.0}


async def run_ahead(rs: Replicas) -> None:
    """Somebody made up an id: every later one is beyond it."""
    made_up = f"{await rs.now_ms() + HOUR_MS}-0"
    await call(rs.client, "XADD", rs.keys.control, made_up, "cmd", "resume")


async def is_in(rs: Replicas, state: str, name: str = "a") -> bool:
    return (await rs.record(name)).get("state") == state


async def test_a_probed_component_is_probed_on_and_dies_of_its_closed_port(url: str) -> None:
    policy: dict[str, Any] = {"probe": {"interval": 0.2, "timeout": 0.4}, "breaker": {"failure_threshold": 99}}
    policy |= {"heartbeat_timeout": 1, "degraded_threshold": 1.5, "dead_threshold": 2}
    async with replicas(url, "m1", "m2") as rs:
        await run_ahead(rs)
        async with listening(silent) as port:
            policy["probe"]["url"] = f"tcp://127.0.0.1:{port}"
            await rs.ask("cmd", "register", "id", "a", "policy", json.dumps(policy))
            await eventually(partial(is_in, rs, "healthy"))
        await eventually(partial(is_in, rs, "dead"), 15)
        for one in rs.members.values():
            component = one.parts.table.get("a")
            assert component is not None
            assert component.probes.at_ms <= await rs.now_ms() + 1000


async def test_commands_take_effect_now_and_who_was_forgotten_may_come_again(url: str) -> None:
    async with replicas(url, "m1", **PATIENT) as rs:
        await run_ahead(rs)
        await rs.send("id", "a", "incarnation", "i1")
        await eventually(partial(is_in, rs, "healthy"))
        await rs.ask("cmd", "silence", "id", "a", "for", "60", "by", "ann", "reason", "disk")

        async def until_ms() -> int:
            return read_time_ms((await rs.record("a")).get("silenced_until", ""))

        assert await eventually(until_ms) <= await rs.now_ms() + 61_000
        await rs.ask("cmd", "forget", "id", "a", "by", "ann")

        async def is_gone() -> bool:
            return not await rs.record("a")

        await eventually(is_gone)

        async def comes_again() -> bool:
            await rs.send("id", "a", "incarnation", "i2")
            return await is_in(rs, "healthy")

        await eventually(comes_again)
