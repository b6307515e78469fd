from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from healthmon.core.component import Component, HealthState
from healthmon.store.calls import call
from healthmon.store.codec import pack_batch
from healthmon.views.listing import Finder, Wanted, find
from healthmon.views.states import LOOKS
from tests.views.serving import CALM, Served, served
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def _send(here: Served, *said: Mapping[str, object]) -> None:
    """Heartbeats of these in one entry; returns when all are registered in the shown table."""
    await call(here.fleet.client, "XADD", here.fleet.keys.heartbeats, "*", "b", pack_batch(said))
    await eventually(lambda: all(here.desk.fleet.get(str(one["id"])) for one in said))


async def _ids(here: Served, **parameters: Any) -> list[str]:
    return [row["id"] for row in (await here.get("/health/components", **parameters))["components"]]


async def test_the_glance_counts_and_says_who_leads(url: str) -> None:
    async with served(url, **CALM) as here:
        await _send(here, {"id": "api-1", "role": "api"}, {"id": "web-1", "role": "web", "status": "degraded"})
        await here.knows("web-1", state="degraded")
        seen = await here.get("/health")
        assert (seen["counts"]["healthy"], seen["counts"]["degraded"], seen["problems"]) == (1, 1, 1)
        assert list(seen["counts"]) == list(LOOKS)
        assert seen["headline"] == "1 of 2 components needs attention"
        assert [(one["role"], one["counts"]) for one in seen["roles"]] == [
            ("api", {"healthy": 1}),
            ("web", {"degraded": 1}),
        ]
        assert (seen["leader"]["replica"], seen["freshness"]["word"], seen["freshness"]["remark"]) == (
            "a",
            "live",
            None,
        )
        assert seen["grant"] == {"name": "local", "scopes": ["operate", "read", "write"], "patterns": []}


async def test_a_list_has_the_worst_first_and_counts_what_its_filter_leaves_out(url: str) -> None:
    async with served(url, **CALM) as here:
        await _send(
            here,
            {"id": "a-1", "role": "api", "host": "web-03", "latency_ms": 450},
            {"id": "a-2", "role": "api", "host": "web-04"},
            {"id": "b-1", "role": "batch", "host": "web-03", "status": "failing", "msg": "disk full"},
            {"id": "b-2", "role": "batch", "host": "web-03"},
        )
        await here.knows("b-1", state="unhealthy")
        await here.knows("a-1", state="degraded", reason="latency_ms 450 above 200")
        assert await _ids(here) == ["b-1", "a-1", "a-2", "b-2"]
        assert await _ids(here, problems=1) == ["b-1", "a-1"]
        assert await _ids(here, q="role:api host:web-03") == ["a-1"]
        assert await _ids(here, q="score:<0.7") == ["a-1"]
        assert await _ids(here, q="DISK") == ["b-1"]
        assert await _ids(here, role="batch", state="healthy,degraded") == ["b-2"]
        assert await _ids(here, q="state:dead", state="degraded") == []
        assert await _ids(here, sort="id", per_page=2, page=2) == ["b-1", "b-2"]
        page = await here.get("/health/components", state="degraded", role="api", per_page=1)
        assert (page["total"], page["pages"], page["counts"]["healthy"], page["counts"]["degraded"]) == (1, 1, 1, 1)
        assert (await here.get("/health/components", page=9))["components"] == []
        await here.fleet.send("id", "a-2", "status", "degraded")
        await here.knows("a-2", state="degraded")
        assert (await _ids(here, sort="since"))[0] == (await _ids(here, sort="last_heartbeat"))[-1] == "a-2"


async def test_a_list_is_sorted_over_many_runs_of_components(url: str) -> None:
    async with served(url, **CALM) as here:
        for start in range(0, 2500, 250):
            await _send(here, *({"id": f"c-{n:04}"} for n in range(start, start + 250)))
        assert await _ids(here, sort="id", per_page=500, page=5) == [f"c-{n:04}" for n in range(2000, 2500)]
        by_time = await find(here.desk.fleet, Wanted(sort="last_heartbeat", per_page=2500))
        beats = [one.last_heartbeat_ms for one in by_time.components]
        assert beats == sorted(beats)
        assert len(beats) == 2500


async def test_who_is_heard_but_not_registered_yet_is_neither_listed_nor_counted(url: str) -> None:
    async with served(url, **CALM) as here:
        await _send(here, {"id": "api-1"})
        table = here.replica.parts.table
        known = table.components["api-1"]
        table.put(Component("new", 1, known.policy, known.limits))
        assert await _ids(here) == ["api-1"]
        assert (await here.get("/health"))["counts"]["unknown"] == 0
        await here.get("/health/components/new", 404)
        table.drop("new")
        assert table.census.unregistered == 0


async def test_a_page_is_found_once_for_all_who_ask_and_anew_after_an_event(url: str) -> None:
    async with served(url, **CALM) as here:
        await _send(here, {"id": "api-1"})
        await here.knows("api-1", state="healthy")
        finder, wanted = Finder(here.desk.fleet), Wanted()
        pages = []

        async def look() -> None:
            pages.append(await finder.find(wanted))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(look)
        assert all(page is pages[0] for page in pages)
        await here.fleet.send("id", "api-1", "status", "degraded")
        await here.knows("api-1", state="degraded")
        again = await finder.find(wanted)
        assert [one.state for one in again.components] == [HealthState.DEGRADED]


NONSENSE = {
    "/health/components?stat=dead": "has no parameter 'stat': it takes state, q, role, problems",
    "/health/components?state=deed": "state is 'deed': give one of permanently_failed, dead",
    "/health/components?page=0": "page is 0: give 1 to 1000000",
    "/health/components?per_page=501": "per_page is 501: give 1 to 500",
    "/health/components?page=1.5": "page is '1.5': give a whole number",
    "/health/components?problems=perhaps": "problems is 'perhaps': give 1 or 0",
    "/health/components?q=colour:red": "there is no search key 'colour'",
    "/health/components?q=%22open": "has a quote that does not end",
    "/health?x=1": "/health has no parameter 'x': it takes none",
    "/health/log?before=yesterday": "'yesterday' is no stream id",
    "/health/components/.hidden": "is no id",
}


async def test_a_request_that_makes_no_sense_is_told_why(url: str) -> None:
    async with served(url) as here:
        for path, says in NONSENSE.items():
            said = (await here.get(path, 400))["error"]
            assert said["code"] == "bad_parameter"
            assert says in said["message"]
