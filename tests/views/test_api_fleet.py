from __future__ import annotations

import pytest

from tests.views.serving import served

pytestmark = pytest.mark.anyio


async def test_the_glance_counts_and_says_who_leads(url: str) -> None:
    async with served(url) as here:
        await here.fleet.send("id", "api-1", "role", "api")
        await here.knows("api-1", state="healthy", role="api")
        seen = await here.get("/health")
        assert seen["counts"]["healthy"] == 1
        assert seen["headline"] == "the one component is healthy"
        assert seen["leader"]["replica"] == "a"
        assert seen["freshness"]["word"] == "live"
        assert seen["grant"]["name"] == "local"
