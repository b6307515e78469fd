"""Alerts from events to a real web service, by replicas over a real server."""

from __future__ import annotations

import pytest

from healthmon.store.calls import call
from tests.alerts.conftest import Write
from tests.alerts.receiver import Receiver
from tests.inprocess import replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


def webhook(receiver: Receiver, more: str = "") -> str:
    return f'[sinks.pager]\nkind = "webhook"\nurl = "{receiver.url}"\ntimeout = 1\n{more}'


async def test_a_component_that_fails_and_recovers_is_told_as_firing_and_resolved_with_how_long_it_was(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    async with replicas(url, "one", alerts_file=alerts_file(webhook(receiver))) as here:
        await here.send("id", "api", "status", "failing")
        await eventually(lambda: receiver.told("api") == ["unhealthy"])
        await here.send("id", "api")
        await eventually(lambda: receiver.told("api") == ["unhealthy", "resolved"])
        firing, resolved = receiver.taken
        assert resolved["data"]["incident"] == firing["data"]["incident"]
        assert resolved["data"]["lasted_s"] > 0
        assert "it lasted" in resolved["data"]["summary"]

        async def nothing_is_left() -> bool:
            pending = await call(here.client, "XPENDING", here.keys.events, "alerts")
            firing = await call(here.client, "HGETALL", here.keys.alerts_firing)
            return pending[0] == 0 and not firing

        await eventually(nothing_is_left)
