"""An error inside `commit`, before and after every single call that it makes: Lua rolls nothing back.

The same commit is then sent again under its id, as the leader does when it got no answer. Nothing may be lost or there
twice, and hash, indexes, counts and events must say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pytest

from healthmon.core.heartbeat import Rejection
from healthmon.errors import HealthmonError
from healthmon.store.calls import call
from healthmon.store.scripts import Script
from tests.store.shard import Shard, blank, moved, said_by_the_shard, subscribed

pytestmark = pytest.mark.anyio
When = Literal["before", "after"]
FAULT = """
local fault_at, fault_when, calls = %d, '%s', 0
local function once()
  if redis.call('INCR', 'faults') == 1 then error('a fault ' .. fault_when .. ' call ' .. fault_at) end
end
local function counting(...)
  calls = calls + 1
  if calls == fault_at and fault_when == 'before' then once() end
  local reply = redis.call(...)
  if calls == fault_at and fault_when == 'after' then once() end
  redis.call('SET', 'calls', calls)
  return reply
end
"""


def breaking(at: int, when: When) -> dict[str, str]:
    """The text of `commit` with an error around its so-many-th call, the first time only."""
    shebang, body = Script("commit").text.split("\n", 1)
    return {"commit": shebang + FAULT % (at, when) + body.replace("redis.call(", "counting(")}


async def commit_everything(shard: Shard, at: int, when: When) -> None:
    """A commit of all that one can carry, broken at this call, and sent again."""
    await call(shard.client, "FLUSHALL")
    shard.generation = ""
    lease = await shard.lead()
    known, gone = moved(blank("known"), "healthy"), moved(blank("conflict"), "healthy")
    await shard.commit(lease, known, gone)
    await call(shard.client, "HSET", shard.keys.component("conflict"), "rev", 9)
    changes = [moved(blank("new"), "degraded", "unhealthy"), moved(known.after, "degraded"), moved(gone.after, "dead")]
    broken = shard.with_scripts(breaking(at, when))

    async def send() -> Mapping[str, str]:
        return await broken.commit(
            lease,
            *changes,
            commit_id="the-same",
            cursor={"rejected": "7-0"},
            rejections=[Rejection("7-0", "no_id", "")],
            rejected_counts={"no_id": 1},
            stretches=[(1, 2)],
            shard_events=[said_by_the_shard(1)],
            trims={shard.keys.heartbeats: "1"},
        )

    if at:
        with pytest.raises(HealthmonError, match=r"a fault (before|after) call"):
            await send()
    assert await send() == {"conflict": "CONFLICT"}


async def calls_of_a_commit(shard: Shard) -> int:
    await commit_everything(shard, 0, "before")
    return int(await call(shard.client, "GET", "calls"))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_that_broke_off_at_any_call_is_completed_by_sending_it_again(shard: Shard, when: When) -> None:
    calls = await calls_of_a_commit(shard)
    assert calls > 50
    for at in range(1, calls + 1):
        with subscribed(shard.url, shard.keys.alerts, plainly=True) as alerts:
            await commit_everything(shard, at, when)
            assert await call(shard.client, "GET", "faults"), f"call {at} was not reached"
            # After its last call a commit is complete: the repeat says so and publishes nothing. The events have it.
            told = [alerts.read_response() for _ in range(0 if (when, at) == ("after", calls) else 3)]
            assert not alerts.can_read(timeout=0), f"call {at}: an alert was published twice"
        assert all(b'"degraded"' in message[2] for message in told[:1])
        await call(shard.client, "HSET", shard.keys.component("conflict"), "rev", 2)
        await shard.assert_consistent(["new", "known", "conflict"])
        guard = [entry for entry in await shard.entries(shard.keys.events) if entry["type"] == "guard"]
        assert len(guard) == 1, f"call {at}"
        assert len(await shard.entries(shard.keys.history("new"))) == 2, f"call {at}"
        assert len(await shard.entries(shard.keys.history("known"))) == 1, f"call {at}"
        assert len(await shard.entries(shard.keys.rejected)) >= 1, f"call {at}"
