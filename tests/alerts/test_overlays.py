"""What people lay over a component, and what its sinks are told."""

from __future__ import annotations

import pytest

from tests.alerts.conftest import Write
from tests.alerts.receiver import Receiver
from tests.alerts.test_dispatch import CALM, incidents, nothing_waits, states_are, webhook
from tests.inprocess import replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_silence_holds_what_fires_until_it_ends_and_what_is_acknowledged_is_told_only_its_end(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    async with replicas(url, "one", alerts_file=alerts_file(webhook(receiver)), **CALM) as here:
        await here.send("id", "a")
        await eventually(lambda: states_are(here, a="healthy"))
        await here.ask("cmd", "silence", "id", "a", "for", "1.5", "by", "ann", "reason", "drill")
        await here.send("id", "a", "status", "degraded")
        await eventually(lambda: states_are(here, a="degraded"))
        await eventually(lambda: nothing_waits(here))
        assert receiver.taken == []
        [held] = (await incidents(here)).values()
        assert held["sinks"]["pager"]["held"] == "silenced"
        await eventually(lambda: receiver.told("a") == ["degraded"])
        await here.ask("cmd", "acknowledge", "id", "a", "by", "ann")
        await eventually(lambda: here.events(rule="acknowledge"))
        await here.send("id", "a", "status", "failing")
        await eventually(lambda: states_are(here, a="unhealthy"))
        await here.send("id", "a")
        await eventually(lambda: receiver.told("a") == ["degraded", "resolved"])
