from __future__ import annotations

import json
from typing import Any

import pytest

from healthmon.core.access import Grant, Scope
from tests.views.serving import CALM, Served, served
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

READ, OPERATE = frozenset({Scope.READ}), frozenset({Scope.READ, Scope.OPERATE})


async def test_an_order_is_done_when_the_leader_says_so_and_seen_at_once(url: str) -> None:
    async with served(url, "a", "b", show="b", **CALM) as here:
        here.app.grant = Grant("ann", OPERATE)
        await here.fleet.send("id", "api-1", "status", "failing")
        await here.knows("api-1", state="unhealthy")
        held = await here.post("/health/components/api-1/hold", reason="disk")
        assert (held["done"], held["event"]["rule"], held["event"]["by"]) == (True, "hold", "ann")
        assert held["entry"] == held["event"]["cause"]
        assert (await here.get("/health/components/api-1"))["row"]["held"] == "by ann: disk"
        again = await here.post("/health/components/api-1/hold", 409)
        assert again["error"] == {"code": "refused", "message": "api-1 is held already, by ann: disk"}
        await here.post("/health/components/api-1/resume")
        assert (await here.get("/health/components/api-1"))["row"]["held"] is None
        await here.post("/health/components/api-1/reset-breaker")
        refused = await here.post("/health/components/api-1/restart", 409)
        assert "no restart method" in refused["error"]["message"]
        await here.post("/health/components/api-1/revive", 409)


async def test_silences_and_acknowledgements_are_given_and_taken_back(url: str) -> None:
    async with served(url, **CALM) as here:
        await here.fleet.send("id", "api-1", "status", "failing")
        await here.knows("api-1", state="unhealthy")
        await here.post("/health/components/api-1/silence", reason="moving", **{"for": 600})
        row = await here.knows("api-1", state="unhealthy")
        assert row["silenced_until"] is not None
        hidden = await here.get("/health/components", silenced="hide")
        assert (hidden["components"], hidden["silenced"]) == ([], 1)
        alerts = await here.get("/health/alerts")
        assert [(one["id"], one["by"], one["reason"]) for one in alerts["silences"]] == [("api-1", "local", "moving")]
        assert alerts["firing"][0]["silenced_until"] == row["silenced_until"]
        await here.post("/health/components/api-1/unsilence")
        await here.knows("api-1", silenced_until=None)
        await here.post("/health/components/api-1/acknowledge", reason="on it")
        await here.knows("api-1", acknowledged_by="local")
        await here.post("/health/components/api-1/unacknowledge")
        await here.knows("api-1", acknowledged_by=None)


async def test_a_forgotten_one_is_gone(url: str) -> None:
    async with served(url, **CALM) as here:
        await here.fleet.send("id", "api-1")
        await here.knows("api-1", state="healthy")
        await here.post("/health/components/api-1/forget")
        await here.get("/health/components/api-1", 404)
        missing = await here.post("/health/components/api-1/forget", 404)
        assert missing["error"]["code"] == "no_such_component"


async def test_a_body_that_makes_no_sense_is_told_why(url: str) -> None:
    async with served(url, **CALM) as here:
        await here.fleet.send("id", "a")
        await here.knows("a", state="healthy")
        for body, says in (
            ({"for": 60}, "hold takes no `for`"),
            ({"reason": 3}, "reason must be text"),
            ({"reason": "x" * 121}, "at most 120"),
            ({"why": "x"}, "it takes reason and for"),
        ):
            assert says in (await here.post("/health/components/a/hold", 400, **body))["error"]["message"]
        assert "seconds" in (await here.post("/health/components/a/silence", 400, reason="x"))["error"]["message"]
        path = "/health/components/a/hold"
        assert (await here.http.post(path, content=b"{", headers=JSON)).status_code == 400
        assert (await here.http.post(path, content=b"[1]", headers=JSON)).status_code == 400
        assert (await here.http.post(path, content=b"reason=x")).status_code == 415
        assert (await here.http.post(path, content=b'"' + b"x" * 20_000, headers=JSON)).status_code == 413
        assert (await here.http.get(path)).status_code == 405


JSON = {"Content-Type": "application/json"}


async def test_orders_need_a_token_that_may_operate_and_for_this_component(url: str) -> None:
    async with served(url, **CALM) as here:
        for name in ("a-1", "b-1"):
            await here.fleet.send("id", name)
            await here.knows(name, state="healthy")
        here.app.grant = Grant("", frozenset())
        answer = await here.http.post("/health/components/a-1/hold")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="healthmon"')
        await here.get("/health", 401)
        here.app.grant = Grant("viewer", READ)
        assert (await here.post("/health/components/a-1/hold", 403))["error"]["code"] == "forbidden"
        here.app.grant = Grant("team-a", OPERATE, ("a-*",))
        await here.post("/health/components/a-1/hold")
        await here.post("/health/components/b-1/hold", 403)
        await here.post("/health/cluster/step-down", 403)
        await here.get("/health/components/a-1")
        await here.get("/health/components/b-1", 403)
        await here.get("/health/components", 403)
        assert json.loads((await here.http.get("/livez")).text) == {"alive": True}


async def test_without_a_leader_an_order_waits_for_the_next_one(url: str) -> None:
    async with served(url, "a", "b", show="b", **CALM) as here:
        await here.fleet.send("id", "api-1")
        await here.knows("api-1", state="healthy")
        for member in here.fleet.members.values():
            member.parts.campaign.rest(8)
        leader = await here.fleet.leader()
        assert leader.leadership is not None
        leader.leadership.end("resting, by a test")
        await eventually(lambda: not any(one.leadership for one in here.fleet.members.values()))
        asked = await here.post("/health/components/api-1/hold", 202)
        assert (asked["done"], asked["event"]) == (False, None)
        assert asked["entry"] in asked["message"]
        assert (await eventually(lambda: _leaderless(here)))["freshness"]["remark"].startswith("no leader")
        await here.post("/health/cluster/step-down", 409)
        await here.fleet.leader(within_s=15)
        await here.knows("api-1", held="by local")


async def _leaderless(here: Served) -> dict[str, Any] | None:
    seen: dict[str, Any] = await here.get("/health")
    return seen if seen["freshness"]["word"] == "leaderless" else None


async def test_each_replica_tells_how_it_does(url: str) -> None:
    async with served(url, "a", "b", **CALM) as here:

        async def told() -> bool:
            for one in (await here.get("/health/cluster"))["replicas"]:
                assert one["round_p99_ms"] > 0
                assert abs(one["skew_ms"]) < 1000  # one machine, one clock
                assert (one["lag_entries"], one["fenced_writes"]) == (0, 0)
            return True

        await eventually(told)


async def test_the_leader_steps_down_when_asked(url: str) -> None:
    async with served(url, "a", "b", **CALM) as here:
        epoch = (await here.get("/health/cluster"))["epoch"]
        done = await here.post("/health/cluster/step-down", reason="upgrade")
        assert done["event"]["type"] == "leader"
        after = await here.get("/health/cluster")
        assert after["epoch"] > epoch
        assert {one["id"] for one in after["replicas"]} == {"a", "b"}
        assert after["last_election"]["replica"] == after["leader"]["replica"]
        refused = await here.post("/health/mass-failure/resume", 409)
        assert refused["error"]["message"]
