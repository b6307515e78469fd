"""Leaders as processes, killed while they deliver: nothing is lost, and what comes twice has the same id."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.alerts.conftest import Write
from tests.alerts.receiver import Receiver
from tests.alerts.test_dispatch import CALM, webhook
from tests.cluster import cluster
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_every_alert_arrives_though_the_sink_is_down_and_each_leader_is_killed_while_it_delivers(
    url: str, tmp_path: Path, receiver: Receiver, alerts_file: Write
) -> None:
    receiver.status = 503
    text = f"cap = 100\n{webhook(receiver)}"
    settings = {"alerts_file": alerts_file(text), **CALM}
    names = [f"c{number}" for number in range(12)]
    async with cluster(url, tmp_path, settings=settings, keeps_promises=False) as here:
        leader = await here.leader()
        for name in names:
            await here.client.xadd(here.keys.heartbeats, {"id": name, "status": "failing"})
        await eventually(lambda: receiver.refused)
        await here.kill(leader)
        second = await here.leader(other_than=leader)
        refused = receiver.refused
        await eventually(lambda: receiver.refused > refused, 15)
        receiver.status = 200
        await eventually(lambda: len(receiver.taken) > 1, 15)
        await here.kill(second)
        await eventually(lambda: {one["subject"] for one in receiver.taken} == set(names), 20)

        async def nothing_waits() -> bool:
            return bool((await here.client.xpending(here.keys.events, "alerts"))["pending"] == 0)

        await eventually(nothing_waits)
        counts = Counter(receiver.ids())
        told = {(one["subject"], one["id"]) for one in receiver.taken}
        assert len(told) == len(names)
        assert sum(count > 1 for count in counts.values()) <= 1
