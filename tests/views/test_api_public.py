from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from healthmon.core.access import NOTHING
from healthmon.run import make_replica
from healthmon.run.viewing import desk_of
from healthmon.settings import load_settings
from healthmon.views.api import api_routes
from tests.servers import FreshServer
from tests.views.serving import CALM, Granting, served
from tests.views.streams import listening
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

Start = Callable[..., FreshServer]


async def test_before_its_table_is_loaded_a_process_lives_and_is_not_ready(url: str) -> None:
    replica = make_replica(load_settings(redis_url=url, prefix="hm-test", replica_id="a"))
    app = Granting(Starlette(routes=api_routes(desk_of(replica))), NOTHING)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as http:
        assert (await http.get("/livez")).status_code == 200
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"ready": False})
        checks = {one["name"]: one for one in (await http.get("/readyz?verbose")).json()["checks"]}
        assert checks["table"] == {"name": "table", "ok": False, "detail": "not loaded yet"}
        assert not checks["redis"]["ok"]
    await replica.parts.close()


async def test_a_follower_is_ready_and_says_what_it_looks_at(url: str) -> None:
    async with served(url, "a", "b", show="b", **CALM) as here:
        here.app.grant = NOTHING
        follower = await here.get("/readyz", verbose="")
        assert follower["ready"]
        assert {one["name"]: one["ok"] for one in follower["checks"]} == {
            "table": True,
            "redis": True,
            "leader": True,
            "reading": True,
        }


async def test_the_public_status_names_nobody(url: str) -> None:
    page = Route("/status", _page)
    async with served(url, routes=[page], **CALM) as here:
        await here.fleet.send("id", "secret-1", "role", "api", "host", "secret-host", "status", "failing")
        await here.knows("secret-1", state="unhealthy")
        here.app.grant = NOTHING
        answer = await here.http.get("/status", headers={"Accept": "application/json"})
        assert "secret" not in answer.text
        assert answer.json()["roles"] == [{"role": "api", "total": 1, "counts": {"unhealthy": 1}}]
        browser = await here.http.get("/status", headers={"Accept": "text/html,application/json;q=0.9"})
        assert browser.text == "the page"


async def _page(_: Request) -> PlainTextResponse:
    return PlainTextResponse("the page")


async def test_a_badge_shows_a_state_and_never_a_stale_one_as_good(fresh_server: Start) -> None:
    server = fresh_server(keep=True)
    async with served(await server.start(), **CALM) as here:
        await here.fleet.send("id", "api-1")
        await here.knows("api-1", state="healthy")
        here.app.grant = NOTHING
        answer = await here.http.get("/badge/api-1.svg")
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert ET.fromstring(answer.text).attrib["aria-label"] == "api-1: ✔ Healthy"  # noqa: S314  # our own
        assert (await here.http.get("/badge/api-2.svg")).status_code == 404
        assert (await here.http.get("/badge/%3Cscript%3E.svg")).status_code == 400
        server.freeze()
        try:
            await eventually(lambda: not here.desk.lookout.facts.reachable, 10)
            stale = await here.http.get("/badge/api-1.svg")
            assert "✔" not in stale.text
        finally:
            server.thaw()


async def test_while_redis_is_away_what_is_known_is_shown_with_its_age(
    fresh_server: Callable[..., FreshServer],
) -> None:
    server = fresh_server(keep=True)
    async with served(await server.start(), **CALM) as here, listening(here.http) as stream:
        await here.fleet.send("id", "api-1", "role", "api")
        await here.knows("api-1", state="healthy")
        server.freeze()
        try:
            lost = await stream.next("freshness", lambda one: one.data["freshness"]["word"] == "redis_unreachable")
            assert lost.data["counts"]["healthy"] == 1
            assert lost.data["freshness"]["remark"].startswith("Redis unreachable: the data is ")
            older = await stream.next("freshness")
            assert older.data["freshness"]["age_ms"] > lost.data["freshness"]["age_ms"] > 0
            assert (await here.get("/readyz"))["ready"]
            shown = await here.get("/health/components/api-1")
            assert (shown["row"]["state"], shown["past_known"]) == ("healthy", False)
            assert (await here.get("/health/log", 503))["error"]["code"] == "redis_unreachable"
        finally:
            server.thaw()
        back = await stream.next("freshness", lambda one: one.data["freshness"]["word"] == "live", 20)
        assert back.data["freshness"]["remark"] is None
