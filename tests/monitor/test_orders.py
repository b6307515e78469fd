"""Commands over records that somebody else has changed."""

from __future__ import annotations

from typing import Any

import pytest

from healthmon.errors import Fenced, StoreUnavailable
from healthmon.store.calls import call
from healthmon.store.streams import order
from tests.inprocess import replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_command_is_obeyed_on_the_record_as_somebody_else_left_it(url: str) -> None:
    async with replicas(url, "m1") as cluster:
        await cluster.send("id", "a")
        await cluster.counted("a", 1)
        before = await cluster.record("a")
        await call(cluster.client, "HSET", cluster.keys.component("a"), "rev", str(int(before["rev"]) + 7))
        await cluster.ask("cmd", "hold", "id", "a", "by", "alice", "reason", "upgrade")

        async def held() -> bool:
            return (await cluster.record("a")).get("held") == "by alice: upgrade"

        await eventually(held)
        assert int((await cluster.record("a"))["rev"]) >= int(before["rev"]) + 8


async def test_a_new_leader_tells_dependants_what_the_former_one_did_not_get_to(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient: dict[str, Any] = {"heartbeat_timeout": 30.0, "degraded_threshold": 60.0, "dead_threshold": 90.0}
    async with replicas(url, "m1", **patient) as cluster:
        for component_id, policy in (("prime", "{}"), ("reactor", '{"depends_on":["prime"]}')):
            await cluster.ask("cmd", "register", "id", component_id, "policy", policy)
        first = await cluster.leader()
        monkeypatch.setattr(first.parts.healing, "heal", _nothing)  # it decides, and is gone before it tells
        await cluster.send("id", "prime", "status", "failing")

        async def unhealthy() -> bool:
            return (await cluster.record("prime")).get("state") == "unhealthy"

        await eventually(unhealthy)
        assert not await cluster.events(type="dependency")
        await cluster.stop("m1")
        await cluster.start("m2")

        async def told() -> list[dict[str, str]]:
            return await cluster.events(type="dependency", id="reactor")

        assert (await eventually(told))[0]["reason"].startswith("prime is ")


async def test_who_comes_again_while_the_answer_to_a_forget_is_lost_is_heard(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next life's heartbeat is read before the event is learned, and so is folded into the record that goes."""
    patient: dict[str, Any] = {"heartbeat_timeout": 30.0, "degraded_threshold": 60.0, "dead_threshold": 90.0}
    async with replicas(url, "m1", **patient) as cluster:
        await cluster.send("id", "a", "incarnation", "one")
        await cluster.counted("a", 1)
        leader = await cluster.leader()
        forget = leader.parts.ledger.commits.forget

        async def forget_unheard(*given: Any) -> None:
            await forget(*given)
            monkeypatch.undo()
            await cluster.send("id", "a", "incarnation", "two", "status", "degraded")
            raise StoreUnavailable("the answer was lost")

        monkeypatch.setattr(leader.parts.ledger.commits, "forget", forget_unheard)
        await cluster.ask("cmd", "forget", "id", "a")

        async def is_back() -> bool:
            said = await cluster.record("a")
            return (said.get("state"), said.get("incarnation"), said.get("total_heartbeats")) == (
                "degraded",
                "two",
                "1",
            )

        await eventually(is_back, 8)
        assert len(await cluster.events(type="forgotten")) == 1


async def test_who_comes_again_after_a_forget_is_heard_by_a_leader_that_reads_its_own_term_over(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events of the life before lead to a hash that is not there: the next life has none yet, and is no less."""
    patient: dict[str, Any] = {"heartbeat_timeout": 30.0, "degraded_threshold": 60.0, "dead_threshold": 90.0}
    async with replicas(url, "m1", **patient) as cluster:
        await cluster.send("id", "a", "incarnation", "one")
        await cluster.counted("a", 1)
        leader = await cluster.leader()
        await cluster.ask("cmd", "forget", "id", "a")

        async def is_gone() -> bool:
            return not await cluster.record("a")

        await eventually(is_gone)
        commit = leader.parts.ledger.commits.commit

        async def commit_fenced(*given: Any) -> Any:
            if not given[-1].changes:
                return await commit(*given)
            monkeypatch.undo()
            raise Fenced("for a moment")

        monkeypatch.setattr(leader.parts.ledger.commits, "commit", commit_fenced)
        await cluster.send("id", "a", "incarnation", "two", "status", "degraded")

        async def is_back() -> bool:
            said = await cluster.record("a")
            return [said.get(one) for one in ("state", "incarnation", "total_heartbeats")] == ["degraded", "two", "1"]

        await eventually(is_back, 8)
        assert len(await cluster.events(type="leader")) == 2


async def _nothing(*_: object) -> None:
    return


async def test_who_came_again_after_a_forget_that_is_obeyed_late_is_counted_as_of_the_next_life(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient: dict[str, Any] = {"heartbeat_timeout": 30.0, "degraded_threshold": 60.0, "dead_threshold": 90.0}
    async with replicas(url, "m1", "m2", **patient) as cluster:
        await cluster.send("id", "a", "incarnation", "i1")
        await cluster.counted("a", 1)
        leader, follower = await cluster.leader(), await cluster.follower()
        monkeypatch.setattr(leader.parts.orders, "obey", _nothing)  # it is gone before it obeys
        monkeypatch.setattr(leader.parts.ledger, "finish", _nothing)
        asked = await cluster.ask("cmd", "forget", "id", "a", "by", "ann")
        await eventually(lambda: asked in follower.parts.orders.queue)
        last = [await cluster.send("id", "a", "incarnation", "i2") for _ in range(3)][-1]
        await eventually(lambda: order(follower.parts.tail.at["heartbeats"]) >= order(last))
        await cluster.stop(next(name for name, one in cluster.members.items() if one is leader))
        await cluster.counted("a", 3)
        assert len(await cluster.events(type="forgotten", id="a")) == 1
