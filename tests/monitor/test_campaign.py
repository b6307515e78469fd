"""Keeping the lease: while nothing happens, and not when rounds are no longer completed."""

from __future__ import annotations

from itertools import pairwise

import pytest

from healthmon import DistributedHealthMonitor
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_leader_of_an_idle_shard_keeps_a_lease_shorter_than_its_blocked_read(url: str) -> None:
    keys, client = Keys(), open_raw(url, name="test")
    async with DistributedHealthMonitor(redis_url=url, lease_ttl=0.5):
        epoch = await call(client, "GET", keys.epoch)
        lefts: list[int] = []

        async def renewed_six_times() -> bool:
            lefts.append(await call(client, "PTTL", keys.leader))
            return sum(later > earlier + 50 for earlier, later in pairwise(lefts)) >= 6

        await eventually(renewed_six_times)
        assert min(lefts) > 0
        assert await call(client, "GET", keys.epoch) == epoch
    await client.aclose()
