"""The prober beside the rounds of real replicas: what it sees becomes what is stored."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from healthmon.monitor.replica import Replica
from healthmon.probes.prober import Prober
from tests.inprocess import Replicas, replicas
from tests.probes.listeners import listening, silent
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
PACE = {"interval": 0.2, "timeout": 0.5}
STAGES = {"heartbeat_timeout": 2.5, "degraded_threshold": 3.5, "dead_threshold": 4.5}
LATE = {"heartbeat_timeout": 40, "degraded_threshold": 50, "dead_threshold": 60}


async def register(made: Replicas, component_id: str, probe: dict[str, Any], **policy: Any) -> None:
    policy = {**STAGES, "probe": {**PACE, **probe}, **policy}
    await made.ask("cmd", "register", "id", component_id, "policy", json.dumps(policy))


async def becomes(made: Replicas, component_id: str, within_s: float = 15.0, **wanted: str) -> dict[str, str]:
    async def seen() -> dict[str, str]:
        record = await made.record(component_id)
        got = {name: record.get(name) for name in wanted}
        assert got == wanted, record
        return record

    return await eventually(seen, within_s)


async def test_a_component_lives_by_probes_alone_and_dies_of_a_closed_port(url: str) -> None:
    async with replicas(url, "a") as made:
        async with listening(silent) as port:
            await register(made, "db", {"url": f"tcp://127.0.0.1:{port}"}, breaker={"failure_threshold": 99})
            await becomes(made, "db", state="healthy", probe_detail="connected")
        record = await becomes(made, "db", state="degraded")
        assert "connection refused" in record["reason"]
        await becomes(made, "db", state="dead", within_s=20)


async def test_a_breaker_opens_and_the_probes_that_it_permits_close_it(url: str) -> None:
    breaker = {"failure_threshold": 3, "recovery_timeout": 0.5, "success_threshold": 2}
    async with replicas(url, "a") as made:
        async with listening(silent) as port:
            await register(made, "web", {"url": f"tcp://127.0.0.1:{port}"}, breaker=breaker, **LATE)
            await becomes(made, "web", state="healthy", circuit_breaker_state="closed")
        await becomes(made, "web", state="unhealthy", circuit_breaker_state="open")
        async with listening(silent, port=port):
            await becomes(made, "web", state="healthy", circuit_breaker_state="closed")


async def test_a_function_is_called_in_the_process_that_has_it_though_another_leads(url: str) -> None:
    well = threading.Event()
    well.set()
    async with replicas(url, "a", "b") as made:
        prober_of(await made.follower()).callables["job"] = well.is_set
        await register(made, "job", {"callable": True}, **LATE)
        await becomes(made, "job", state="healthy", probe_detail="returned true")
        well.clear()
        await becomes(made, "job", state="unhealthy", probe_detail="returned False", circuit_breaker_state="open")
        assert prober_of(await made.leader()).callables == {}


def prober_of(replica: Replica) -> Prober:
    owners = [getattr(task, "__self__", None) for task in replica.parts.beside]
    return next(one for one in owners if isinstance(one, Prober))
