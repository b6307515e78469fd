"""Commands over records that somebody else has changed."""

from __future__ import annotations

import pytest

from healthmon.store.calls import call
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
            return (await cluster.record("a"))["held"] == "by alice: upgrade"

        await eventually(held)
        assert int((await cluster.record("a"))["rev"]) >= int(before["rev"]) + 8
