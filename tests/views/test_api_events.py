from __future__ import annotations

import pytest

from tests.views.serving import served
from tests.views.streams import listening

pytestmark = pytest.mark.anyio


async def test_the_stream_begins_with_how_fresh_it_is_and_tells_what_happens(url: str) -> None:
    async with served(url) as here, listening(here.http) as stream:
        first = await stream.next()
        assert (first.kind, first.id) == ("freshness", "")
        assert first.data["freshness"]["word"] == "live"
        await here.fleet.send("id", "api-1", "role", "api")
        registered = await stream.next("registered")
        became = await stream.next("transition")
        assert registered.data["component_id"] == became.data["component_id"] == "api-1"
        assert (became.data["from"], became.data["to"], became.data["alert"]) == ("unknown", "healthy", False)
        assert became.id == became.data["id"]
        row = await here.get("/health/components/api-1")
        assert row["row"]["state"] == "healthy"


async def test_a_viewer_that_comes_back_is_told_what_it_missed(url: str) -> None:
    async with served(url) as here:
        async with listening(here.http) as stream:
            await stream.next("freshness")
            await here.fleet.send("id", "api-1")
            last = await stream.next("transition")
        await here.fleet.send("id", "api-2")
        await here.knows("api-2", state="healthy")
        async with listening(here.http, **{"Last-Event-ID": last.id}) as again:
            missed = await again.next("registered", lambda one: one.data["component_id"] == "api-2")
            assert all(
                one.data.get("component_id") != "api-1" or one.data["type"] != "registered" for one in again.told
            )
        async with listening(here.http, f"/health/events?since={last.id}") as since:
            assert (await since.next("registered", lambda one: one.data["component_id"] == "api-2")).id == missed.id


async def test_the_pulse_comes_every_two_seconds(url: str) -> None:
    async with served(url) as here, listening(here.http) as stream:
        pulses = [await stream.next("freshness") for _ in range(2)]
        assert pulses[1].data["at"] > pulses[0].data["at"]
