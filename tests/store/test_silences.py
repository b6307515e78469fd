"""The key of its own that a silence has: it moves with its event, ends by itself, and goes with its component."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Literal

import pytest

from healthmon.core.event import Event, EventType, apply, recovered
from healthmon.errors import HealthmonError
from healthmon.store.calls import call
from healthmon.store.commits import Change
from tests.store.shard import DEFAULTS, Shard, blank, moved
from tests.store.test_commit_breaks import breaking
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000


def now_ms() -> int:
    return round(time.time() * 1000)


def silenced(change: Change, until_ms: int, reason: str = "disk") -> Change:
    """The change that silences what an earlier one left; 0 ends it."""
    before, after = change.after, copy.copy(change.after)
    said = (until_ms, "ann", reason) if until_ms else (0, "", "")
    event = Event(
        EventType.OPERATOR,
        after.id,
        rev=after.rev + 1,
        born_ms=after.born_ms,
        at_ms=after.since_ms,
        rule="silence",
        epoch=1,
        set=dict(zip(("silenced_until_ms", "silenced_by", "silenced_reason"), said, strict=True)),
    )
    apply(after, event, DEFAULTS)
    return Change(before, after, (event,), ("",))


async def test_a_silence_has_a_key_with_its_end_that_goes_when_it_is_ended(shard: Shard) -> None:
    lease, key = await shard.lead(), shard.keys.silence("a")
    change = moved(blank("a"), "degraded")
    until_ms = now_ms() + HOUR_MS
    silence = silenced(change, until_ms)
    assert await shard.commit(lease, change) == {}
    assert await call(shard.client, "EXISTS", key) == 0
    assert await shard.commit(lease, silence) == {}
    record = await shard.record("a")
    assert await shard.hash(key) == {"until": record["silenced_until"], "by": "ann", "reason": "disk"}
    assert await call(shard.client, "PEXPIRETIME", key) == until_ms
    again = silenced(silence, until_ms + 5, "longer")
    assert await shard.commit(lease, again) == {}
    assert (await shard.hash(key))["reason"] == "longer"
    assert await call(shard.client, "PEXPIRETIME", key) == until_ms + 5
    await call(shard.client, "PERSIST", key)
    later = moved(again.after, "unhealthy")
    assert await shard.commit(lease, later) == {}
    assert await call(shard.client, "PTTL", key) == -1, "a change that is none of a silence leaves its key alone"
    assert await shard.commit(lease, silenced(later, 0)) == {}
    assert await call(shard.client, "EXISTS", key) == 0
    assert (await shard.record("a"))["silenced_until"] == ""
    await shard.assert_consistent(["a"])


async def test_a_silence_ends_by_itself_with_its_key(shard: Shard) -> None:
    lease, key = await shard.lead(), shard.keys.silence("a")
    change = moved(blank("a"), "degraded")
    await shard.commit(lease, change, silenced(moved(blank("b"), "degraded"), now_ms() + 50))
    await shard.commit(lease, silenced(change, now_ms() + 300))
    assert await call(shard.client, "EXISTS", key) == 1

    async def is_over() -> bool:
        return bool(await call(shard.client, "EXISTS", key) == 0)

    await eventually(is_over)


async def test_of_several_changes_each_silence_finds_its_own_key(shard: Shard) -> None:
    lease, until_ms = await shard.lead(), now_ms() + HOUR_MS
    plain = {one: moved(blank(one), "degraded") for one in ("a", "b", "c", "d")}
    await shard.commit(lease, *plain.values())
    await shard.commit(
        lease,
        moved(plain["a"].after, "unhealthy"),
        silenced(plain["b"], until_ms, "of b"),
        moved(plain["c"].after, "unhealthy"),
        silenced(plain["d"], until_ms, "of d"),
    )
    found = {one: (await shard.hash(shard.keys.silence(one))).get("reason") for one in plain}
    assert found == {"a": None, "b": "of b", "c": None, "d": "of d"}


async def test_a_refused_change_silences_nobody(shard: Shard) -> None:
    lease = await shard.lead()
    change = moved(blank("a"), "degraded")
    await shard.commit(lease, change)
    await call(shard.client, "HSET", shard.keys.component("a"), "rev", 9)
    assert await shard.commit(lease, silenced(change, now_ms() + HOUR_MS)) == {"a": "CONFLICT"}
    assert await call(shard.client, "EXISTS", shard.keys.silence("a")) == 0


async def test_forgetting_takes_the_silence_along(shard: Shard) -> None:
    lease, change = await shard.lead(), moved(blank("a"), "degraded")
    silence = silenced(change, now_ms() + HOUR_MS)
    await shard.commit(lease, change)
    await shard.commit(lease, silence)
    gone = Event(EventType.FORGOTTEN, "a", rev=9, born_ms=change.after.born_ms, at_ms=now_ms(), epoch=lease.epoch)
    assert await shard.commits.forget(shard.client, lease, shard.generation, gone, "")
    assert await call(shard.client, "EXISTS", shard.keys.silence("a"), shard.keys.component("a")) == 0


async def test_what_is_put_back_brings_its_silence_and_takes_away_one_that_was_ended(shard: Shard) -> None:
    until_ms = now_ms() + HOUR_MS
    silence = silenced(moved(blank("a"), "degraded"), until_ms)
    over = silenced(moved(blank("b"), "degraded"), now_ms() - 1000)
    ended = moved(blank("c"), "degraded").after
    await shard.lead()
    await call(shard.client, "HSET", shard.keys.silence("c"), "until", "of a commit that was lost")
    put_back = [(one, recovered(one, "mon-a")) for one in (silence.after, over.after, ended)]
    assert await shard.commits.merge(shard.client, shard.generation, put_back) == 3
    assert (await shard.hash(shard.keys.silence("a")))["reason"] == "disk"
    assert await call(shard.client, "PEXPIRETIME", shard.keys.silence("a")) == until_ms
    assert await call(shard.client, "EXISTS", shard.keys.silence("b"), shard.keys.silence("c")) == 0
    assert {await call(shard.client, "EXISTS", shard.keys.component(one)) for one in "abc"} == {1}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_of_a_silence_that_broke_off_at_any_call_is_completed_by_sending_it_again(
    shard: Shard, when: Literal["before", "after"]
) -> None:
    key = shard.keys.silence("a")

    async def silence_it(at: int) -> None:
        await call(shard.client, "FLUSHALL")
        shard.generation = ""
        lease, change = await shard.lead(), moved(blank("a"), "degraded")
        await shard.commit(lease, change)
        silence, broken = silenced(change, now_ms() + HOUR_MS), shard.with_scripts(breaking(at, when))

        async def send() -> Mapping[str, str]:
            return await broken.commit(lease, silence, commit_id="the-same")

        if at:
            with pytest.raises(HealthmonError, match="a fault"):
                await send()
            is_written = (await shard.record("a")).get("silenced_until")
            assert not is_written or await call(shard.client, "EXISTS", key), "the record is written after the key"
        assert await send() == {}

    await silence_it(0)
    calls = int(await call(shard.client, "GET", "calls"))
    for at in range(1, calls + 1):
        await silence_it(at)
        assert (await shard.hash(key))["reason"] == "disk", f"call {at}"
        assert await call(shard.client, "PTTL", key) > 0, f"call {at}"
        await shard.assert_consistent(["a"])
