from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from healthmon import clock
from healthmon.run.place import open_place
from healthmon.run.serving import serve_place
from healthmon.settings import load_serving_settings
from tests.inprocess import replicas
from tests.views.serving import CALM
from tests.views.streams import listening
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-this-test-alone"


@asynccontextmanager
async def _serving(url: str, token: str | None = None) -> AsyncIterator[tuple[httpx.AsyncClient, anyio.CancelScope]]:
    """A replica and all that is served beside it; the scope ends the serving."""
    place = open_place(load_serving_settings(http_port=0, token=token))
    async with replicas(url, "a", **CALM) as fleet, anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def serve() -> None:
            with scope:
                await serve_place(place, fleet.members["a"])

        group.start_soon(serve)
        async with httpx.AsyncClient(base_url=place.url, timeout=10) as http:
            await eventually(lambda: _answers(http))
            yield http, scope
        scope.cancel()


async def _answers(http: httpx.AsyncClient) -> bool:
    return (await http.get("/livez")).status_code == 200


async def test_a_heartbeat_that_comes_in_by_http_is_seen_by_http(url: str) -> None:
    async with _serving(url) as (http, _), listening(http) as stream:
        await stream.next("freshness")
        sent = await http.post("/health/heartbeat", json={"component_id": "j_prime", "metrics": {"latency_ms": 450}})
        assert sent.status_code == 200
        became = await stream.next("transition")
        assert (became.data["component_id"], became.data["to"]) == ("j_prime", "degraded")
        assert (await http.get("/health/components/j_prime/check")).status_code == 429
        described = (await http.get("/openapi.json")).json()["paths"]
        assert {"/health/heartbeat", "/beat/{id}", "/health/components"} <= set(described)


async def test_with_a_token_only_the_public_is_served_without_it(url: str) -> None:
    async with _serving(url, TOKEN) as (http, _):
        await http.get("/beat/api-1", headers={"Authorization": f"Bearer {TOKEN}"})
        for path in ("/health", "/health/components", "/health/events", "/health/cluster", "/health/alerts"):
            refused = await http.get(path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        http.headers["Authorization"] = f"Bearer {TOKEN}"
        seen = (await http.get("/health")).json()
        assert seen["grant"]["name"] == "HEALTH_TOKEN"
        held = await http.post("/health/components/api-1/hold")
        assert held.json()["event"]["by"] == "HEALTH_TOKEN"
        del http.headers["Authorization"]
        for path in ("/livez", "/readyz", "/status", "/badge/api-1.svg", "/openapi.json"):
            answer = await http.get(path)
            assert answer.status_code == 200, path
        badge = await http.get("/badge/api-1.svg")
        assert badge.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert (await http.get("/nowhere")).json()["error"]["code"] == "not_found"


async def test_viewers_do_not_keep_a_process_from_ending(url: str) -> None:
    async with _serving(url) as (http, scope), listening(http) as stream:
        await stream.next("freshness")
        began_s = clock.monotonic_s()
        scope.cancel()
        with pytest.raises((EOFError, httpx.RemoteProtocolError)):
            await stream.next("never")
        assert clock.monotonic_s() - began_s < 2


async def test_the_page_about_the_api_names_every_address(url: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    async with _serving(url) as (http, _):
        paths = (await http.get("/openapi.json")).json()["paths"]
    orders = "/health/components/{id}/"
    for path, operations in paths.items():
        named = f"`{path.removeprefix(orders)}`" if "post" in operations and path.startswith(orders) else path
        assert named in page, path
