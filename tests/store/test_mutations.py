"""Proof that each guard is needed: taken out, it lets something happen that the judge of histories names.

Each story is told twice: as the code is, when nothing may be found, and with one guard out, when it must be found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from healthmon.core import table as core_table
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.errors import Fenced
from healthmon.monitor.reading import Reading, Slice
from healthmon.store.calls import call
from healthmon.store.keys import Keys
from healthmon.store.scripts import Script
from healthmon.store.streams import LED, Read, Stream, Tail
from tests.beats import beating
from tests.history import History, read_history, violations
from tests.inprocess import QUICK, Replicas, replicas
from tests.store.shard import T0, Shard, blank, moved, said_by_the_shard
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
NAMES = ("a", "b", "c")
STAGES_MS = {
    "degraded": round(QUICK["heartbeat_timeout"] * 1000),
    "unhealthy": round(QUICK["degraded_threshold"] * 1000),
    "dead": round(QUICK["dead_threshold"] * 1000),
}
Scenario = Callable[[Shard], Awaitable[None]]


def without(verb: str, *lines: tuple[str, str]) -> dict[str, str]:
    """The text of a verb with these parts replaced; each must be there once."""
    text = Script(verb).text
    for part, instead in lines:
        assert text.count(part) == 1, f"{verb}.lua has {text.count(part)} times: {part}"
        text = text.replace(part, instead)
    return {verb: text}


async def history_of(url: str, keys: Keys) -> History:
    client = Redis.from_url(url, decode_responses=True, protocol=2, retry=Retry(NoBackoff(), 0))
    async with client:
        history = await read_history(client, keys)
    history.stages_ms = STAGES_MS
    return history


# -- the scripts -------------------------------------------------------------------------------------------------------

FENCE = "if held ~= m.lease then return {'FENCED', held or ''} end"
AS_LEFT = "local as_left = (now[1] or '') == c.born and (now[2] or '0') == c.rev and (now[3] or '') == c.from"
APPLIED = "if was[1] == m.commit then return {'OK', was[2]} end"
PENDING = "local was = redis.call('HMGET', KEYS[3], 'commit', 'outcome', 'pending', 'pending_from')"


async def a_deposed_leader_commits(shard: Shard) -> None:
    """What it writes to is a component that its successor never touched: there the revs are as it left them."""
    first = await shard.lead("one")
    mine, other = (moved(blank(name), "healthy", epoch=first.epoch, replica="one") for name in ("mine", "other"))
    await shard.commit(first, mine, other)
    second = await shard.depose("two")
    await shard.commit(second, moved(other.after, "degraded", epoch=second.epoch, replica="two"))
    with suppress(Fenced):
        await shard.commit(first, moved(mine.after, "degraded", epoch=first.epoch, replica="one"))


async def a_deposed_leader_commits_where_its_successor_wrote(shard: Shard) -> None:
    """With one component alone the check of the rev hides a missing fence."""
    first = await shard.lead("one")
    mine = moved(blank("mine"), "healthy", epoch=first.epoch, replica="one")
    await shard.commit(first, mine)
    second = await shard.depose("two")
    await shard.commit(second, moved(mine.after, "degraded", epoch=second.epoch, replica="two"))
    with suppress(Fenced):
        await shard.commit(first, moved(mine.after, "degraded", epoch=first.epoch, replica="one"))


async def a_leader_commits_from_an_old_table(shard: Shard) -> None:
    first = await shard.lead("one")
    change = moved(blank("a"), "healthy", epoch=first.epoch, replica="one")
    await shard.commit(first, change)
    await shard.commit(first, moved(change.after, "degraded", epoch=first.epoch, replica="one"))
    second = await shard.depose("two")
    await shard.commit(second, moved(change.after, "degraded", epoch=second.epoch, replica="two"))


async def an_answer_is_lost(shard: Shard) -> None:
    lease = await shard.lead("one")
    change = moved(blank("a"), "degraded", epoch=lease.epoch, replica="one")
    told = said_by_the_shard(1, epoch=lease.epoch)
    for _ in range(2):
        await shard.commit(lease, change, commit_id="the-same", shard_events=[told], rejected_counts={"no_id": 1})


async def the_epoch_is_lost(shard: Shard) -> None:
    """The server's clock was set back since the last epoch was given out, and a failover lost the key."""
    await call(shard.client, "SET", shard.keys.epoch, 4_000_000_000_000)
    first = await shard.lead("one")
    change = moved(blank("a"), "healthy", epoch=first.epoch, replica="one")
    await shard.commit(first, change)
    await call(shard.client, "DEL", shard.keys.leader, shard.keys.epoch)
    second = await shard.lead("two", floor=change.after.epoch)
    await shard.commit(second, moved(change.after, "degraded", epoch=second.epoch, replica="two"))


SCRIPTS: dict[str, tuple[Scenario, dict[str, str], str]] = {
    "the fence of commit": (a_deposed_leader_commits, without("commit", (FENCE, "")), "the_deposed_write_nothing"),
    "the expected rev": (
        a_leader_commits_from_an_old_table,
        without("commit", (AS_LEFT, "local as_left = true")),
        "revs_are_contiguous",
    ),
    "the commit id": (
        an_answer_is_lost,
        without("commit", (APPLIED, ""), (PENDING, "local was = {}")),
        "guard_events_are_counted",
    ),
    "the floor of epochs": (
        the_epoch_is_lost,
        without("acquire", (", tonumber(ARGV[4]) + 1)", ")")),
        "epochs_rise",
    ),
}


@pytest.mark.parametrize("guard", SCRIPTS)
async def test_without_this_guard_of_a_script_the_history_breaks_a_promise(shard: Shard, guard: str) -> None:
    scenario, changed, promise = SCRIPTS[guard]
    assert await broken_by(shard, scenario, {}) == {}
    await call(shard.client, "FLUSHALL")
    assert promise in await broken_by(shard, scenario, changed)


async def broken_by(shard: Shard, scenario: Scenario, changed: dict[str, str]) -> dict[str, list[str]]:
    told = Shard(shard.client, shard.keys, shard.url, changed)
    await scenario(told)
    history = await history_of(shard.url, shard.keys)
    history.sent = {one: [T0] for one in history.hashes}
    return violations(history)


async def test_with_one_component_alone_the_rev_hides_a_missing_fence(shard: Shard) -> None:
    scenario = a_deposed_leader_commits_where_its_successor_wrote
    assert await broken_by(shard, scenario, without("commit", (FENCE, ""))) == {}


async def test_without_the_fence_of_the_checkpoint_a_deposed_leader_lowers_totals(shard: Shard) -> None:
    for changed, total in (({}, "9"), (without("checkpoint", (FENCE, "")), "1")):
        await call(shard.client, "FLUSHALL")
        told = Shard(shard.client, shard.keys, shard.url, changed)
        first = await told.lead("one")
        change = moved(blank("a"), "healthy")
        await told.commit(first, change)
        second = await told.depose("two")
        for lease, total_then in ((second, 9), (first, 1)):
            change.after.total_heartbeats = total_then
            with suppress(Fenced):
                await told.commits.checkpoint(told.client, lease, told.generation, [change.after], whole=True)
        assert (await told.record("a"))["total_heartbeats"] == total


async def test_without_the_commit_id_refusals_are_counted_twice(shard: Shard) -> None:
    for changed, count in (({}, "1"), (without("commit", (APPLIED, "")), "2")):
        await call(shard.client, "FLUSHALL")
        await an_answer_is_lost(Shard(shard.client, shard.keys, shard.url, changed))
        assert (await shard.hash(shard.keys.guard))["rejected:no_id"] == count


async def test_without_what_is_noted_before_a_commit_broke_off_its_events_are_doubled(shard: Shard) -> None:
    breaks = (
        "      redis.call('HSET', hash, unpack(c.hash))",
        "      if redis.call('INCR', 'n') == 1 then error('x') end",
    )
    broken = (breaks[0], f"{breaks[1]}\n{breaks[0]}")
    for changed, revs in (
        (without("commit", broken), [1, 2]),
        (without("commit", broken, (PENDING, "local was = {}")), [1, 2, 1, 2]),
    ):
        await call(shard.client, "FLUSHALL")
        told = Shard(shard.client, shard.keys, shard.url, changed)
        lease = await told.lead("one")
        with pytest.raises(Exception, match="x"):
            await told.commit(lease, moved(blank("a"), "degraded"), commit_id="the-same")
        await told.commit(lease, moved(blank("a"), "degraded"), commit_id="the-same")
        assert await told.revs("a") == revs


# -- the replica -------------------------------------------------------------------------------------------------------


async def a_cold_start(url: str) -> dict[str, list[str]]:
    """Heartbeats whose total was stored by a commit, and which lie behind where a cold replica begins to read."""
    async with replicas(url, "m1", checkpoint_interval=60) as rs:
        sent = [await rs.send("id", "a") for _ in range(3)]
        sent.append(await rs.send("id", "a", "status", "degraded"))
        await rs.counted("a", 4)
        await rs.stop("m1")
        await call(rs.client, "HDEL", rs.keys.cursor, "heartbeats")  # as if it had not come to its first checkpoint
        await rs.start("m2", "m3")
        sent.append(await rs.send("id", "a"))

        async def seen() -> bool:
            return (await rs.record("a"))["status"] == "ok"

        await rs.ask("cmd", "sync", "id", "a", "upto", sent[-1])
        await eventually(seen)
        history = await history_of(url, rs.keys)
        history.sent = {"a": [int(entry.partition(b"-")[0]) for entry in sent]}
        return violations(history)


async def test_without_the_marks_of_each_component_heartbeats_count_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await a_cold_start(url) == {}
    await flush(url)
    monkeypatch.setattr(core_table, "mark_of", lambda _: (0, 0, 0))
    assert "every_heartbeat_counts_once" in await a_cold_start(url)


async def a_reader_stands_still(url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The leader's reader stands still for longer than dead_threshold after a read; the components go on sending."""
    async with replicas(url, "m1", lease_ttl=6.0) as rs, beating(url, rs.keys.heartbeats, *NAMES) as beats:
        await eventually(lambda: all_in(rs, "healthy"))
        reading, stalls, judging = (await rs.leader()).parts.reading, 1, False
        read, judge = reading.tail.read, reading._judge

        async def judging_now(look_ms: int) -> Slice:
            nonlocal judging
            judging = True
            found = await judge(look_ms)
            judging = False
            return found

        async def stalling(streams: tuple[Stream, ...], block_ms: int | None = None) -> Read:
            nonlocal stalls
            found = await read(streams, block_ms)
            if judging and stalls:
                stalls -= 1
                await anyio.sleep(QUICK["dead_threshold"] + 0.2)
            return found

        monkeypatch.setattr(reading, "_judge", judging_now)
        monkeypatch.setattr(reading.tail, "read", stalling)
        await eventually(lambda: not stalls)
        wanted = beats.accepted["a"] + 20
        await eventually(lambda: beats.accepted["a"] >= wanted)
        history = await history_of(url, rs.keys)
        history.sent = dict(beats.sent)
        return {name: lines for name, lines in violations(history).items() if name == "nobody_is_silenced_too_early"}


async def test_judged_by_the_clock_after_the_read_a_reader_that_stood_still_finds_false_silence(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await a_reader_stands_still(url, monkeypatch) == {}
    await flush(url)

    async def judge(self: Reading, look_ms: int) -> Slice:
        found = await self.tail.read(LED)
        return self._noted(found, await self.sample_time())

    monkeypatch.setattr(Reading, "_judge", judge)
    monkeypatch.setattr(Table, "moment", by_the_clock)
    assert await a_reader_stands_still(url, monkeypatch)


def by_the_clock(self: Table, now_ms: int) -> Moment:
    """A moment that may be later than the last entry that was read."""
    return Moment(now_ms, self.blindness, self.observing_ms, self.recovering_until_ms)


async def memory_is_full(url: str) -> set[str]:
    async with replicas(url, "m1") as rs, beating(url, rs.keys.heartbeats, *NAMES) as beats:
        await eventually(lambda: all_in(rs, "healthy"))
        await call(rs.client, "CONFIG", "SET", "maxmemory", "1")
        try:
            await eventually(lambda: beats.refused["a"] > 15)
        finally:
            await call(rs.client, "CONFIG", "SET", "maxmemory", "0")
        wanted = beats.accepted["a"] + 3
        await eventually(lambda: beats.accepted["a"] >= wanted)
        return {event["to"] for event in await rs.events(type="transition")}


async def test_judged_beyond_the_last_entry_a_stream_that_takes_none_makes_dead(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await memory_is_full(url) == {"healthy"}
    await flush(url)
    monkeypatch.setattr(Table, "moment", by_the_clock)
    assert "dead" in await memory_is_full(url)


async def the_only_one_dies(url: str) -> None:
    async with replicas(url, "m1", "m2") as rs:
        for _ in range(3):
            await rs.send("id", "a")
        await eventually(lambda: all_in(rs, "healthy", "a"))
        await eventually(lambda: all_in(rs, "dead", "a"), QUICK["dead_threshold"] + 0.7)


async def test_without_canaries_nobody_tells_a_death_from_a_stream_that_is_gone(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await the_only_one_dies(url)
    await flush(url)

    async def nothing(self: Tail, replica: str) -> str:
        return ""

    monkeypatch.setattr(Tail, "canary", nothing)
    with pytest.raises(BaseExceptionGroup) as failed:
        await the_only_one_dies(url)
    assert failed.group_contains(AssertionError, match="not within")


async def all_in(rs: Replicas, state: str, *names: str) -> bool:
    states = await rs.states()
    return states == dict.fromkeys(names or NAMES, state)


async def flush(url: str) -> None:
    client = Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0))
    async with client:
        await client.flushall()
