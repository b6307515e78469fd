"""Tailing: what is read in which order, how far, and how a read that blocks is ended."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthmon.core.marks import Entry
from healthmon.errors import StoreUnavailable
from healthmon.store.calls import call
from healthmon.store.client import open_client
from healthmon.store.streams import COUNT, FOLLOWED, LED, Read, Tail, in_order, order
from tests.store.shard import Shard
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tail(shard: Shard) -> AsyncIterator[Tail]:
    tail = Tail(shard.url, shard.keys, "test")
    await tail.connect()
    yield tail
    await tail.close()


async def append(shard: Shard, stream: str, *entries: str) -> None:
    for entry in entries:
        await call(shard.client, "XADD", getattr(shard.keys, stream), entry, "n", entry)


def names(entries: list[Entry]) -> list[str]:
    return [entry_id.decode() for entry_id, _ in entries]


async def test_a_read_gives_what_is_after_the_positions_and_moves_them(shard: Shard, tail: Tail) -> None:
    await append(shard, "heartbeats", "1-0", "2-0")
    await append(shard, "control", "1-5")
    await append(shard, "events", "9-0")
    read = await tail.read(FOLLOWED)
    assert (names(read.heartbeats), names(read.control), names(read.events)) == (["1-0", "2-0"], ["1-5"], ["9-0"])
    assert read
    assert not read.full
    assert tail.at == {"heartbeats": b"2-0", "control": b"1-5", "events": b"9-0"}
    assert not await tail.read(FOLLOWED)
    await append(shard, "events", "10-0")
    assert not await tail.read(LED), "a leader does not read what it wrote itself"
    assert names((await tail.read(FOLLOWED)).events) == ["10-0"]


async def fill(shard: Shard, stream: str, count: int, first_ms: int = 1) -> None:
    pipeline = shard.client.pipeline(transaction=False)
    for ms in range(first_ms, first_ms + count):
        pipeline.execute_command("XADD", getattr(shard.keys, stream), f"{ms}-0", "n", ms)
    await pipeline.execute()


async def test_while_one_stream_came_back_full_the_other_is_read_no_further_than_its_end(
    shard: Shard, tail: Tail
) -> None:
    await fill(shard, "heartbeats", COUNT + 500)
    await append(shard, "control", "10-0", f"{COUNT}-0", f"{COUNT}-1", f"{COUNT + 400}-0")
    read = await tail.read(FOLLOWED)
    assert read.full
    assert len(read.heartbeats) == COUNT
    assert names(read.control) == ["10-0", f"{COUNT}-0"]
    read = await tail.read(FOLLOWED)
    assert not read.full
    assert (len(read.heartbeats), names(read.control)) == (500, [f"{COUNT}-1", f"{COUNT + 400}-0"])


async def test_of_two_full_streams_the_lower_end_counts_and_nothing_is_skipped(shard: Shard, tail: Tail) -> None:
    await fill(shard, "heartbeats", 2 * COUNT, first_ms=1)
    await fill(shard, "control", 2 * COUNT, first_ms=700)
    heartbeats: list[Entry] = []
    control: list[Entry] = []
    while read := await tail.read(LED):
        ends = [order(entries[-1][0]) for entries in (read.heartbeats, read.control) if entries]
        assert not read.full or max(ends) <= min(order(tail.at["heartbeats"]), (COUNT * 3, 0))
        heartbeats += read.heartbeats
        control += read.control
    assert names(heartbeats) == [f"{ms}-0" for ms in range(1, 2 * COUNT + 1)]
    assert names(control) == [f"{ms}-0" for ms in range(700, 2 * COUNT + 700)]


async def test_full_events_hold_back_nothing_else(shard: Shard, tail: Tail) -> None:
    await fill(shard, "events", COUNT + 1)
    await append(shard, "heartbeats", "99999-0")
    read = await tail.read(FOLLOWED)
    assert read.full
    assert (len(read.events), names(read.heartbeats)) == (COUNT, ["99999-0"])


async def test_a_blocked_read_ends_with_the_first_entry(shard: Shard, tail: Tail) -> None:
    found: list[Read] = []

    async def read() -> None:
        found.append(await tail.read(FOLLOWED, block_ms=1000))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await eventually(lambda: tail.blocked)
        await append(shard, "control", "3-0")
    assert names(found[0].control) == ["3-0"]
    assert not tail.blocked


async def test_a_blocked_read_is_ended_at_once_and_its_connection_stays_whole(shard: Shard, tail: Tail) -> None:
    before = await call(tail._client, "CLIENT", "ID")
    async with anyio.create_task_group() as group:
        group.start_soon(tail.read, FOLLOWED, 1000)
        await eventually(lambda: tail.blocked)
        await eventually(tail.wake)
        await eventually(lambda: not tail.blocked, 0.5)
    assert await call(tail._client, "CLIENT", "ID") == before
    assert await tail.wake(), "where nobody sleeps there is nobody to be woken"


async def test_a_stream_that_takes_no_entries_says_why(shard: Shard, tail: Tail) -> None:
    assert await tail.canary("m1") == ""
    assert await shard.entries(shard.keys.heartbeats) == [{"canary": "m1"}]
    await call(shard.client, "XADD", shard.keys.heartbeats, f"{2**64 - 1}-{2**64 - 1}", "id", "a")
    assert "equal or smaller" in await tail.canary("m1") or "exhausted" in await tail.canary("m1")
    await call(shard.client, "DEL", shard.keys.heartbeats)
    await call(shard.client, "CONFIG", "SET", "maxmemory", "1")
    try:
        assert "out of memory" in await tail.canary("m1")
    finally:
        await call(shard.client, "CONFIG", "SET", "maxmemory", "0")


async def test_a_server_that_is_gone_is_no_refusal(shard: Shard) -> None:
    tail = Tail("redis://127.0.0.1:1/0", shard.keys, "test")
    with pytest.raises(StoreUnavailable):
        await tail.canary("m1")
    await tail.close()


async def test_the_end_of_a_stream_is_its_last_entry_and_of_none_the_beginning(shard: Shard, tail: Tail) -> None:
    assert await tail.last("events") == b"0-0"
    await append(shard, "events", "4-0", "4-7")
    assert await tail.last("events") == b"4-7"


async def test_a_range_is_read_whole_whatever_its_length(shard: Shard, tail: Tail) -> None:
    await fill(shard, "heartbeats", 2 * COUNT + 10)
    entries = await tail.range("heartbeats", b"5-0", b"2005-0")
    assert names(entries) == [f"{ms}-0" for ms in range(6, 2006)]
    assert await tail.range("heartbeats", b"5000-0", b"6000-0") == []


@pytest.mark.parametrize(
    ("at", "there", "found"),
    [
        ("0-0", ["5-0"], (None, "0-0")),  # never read: nothing is missing
        ("5-0", ["5-0", "6-0"], (None, "5-0")),
        ("5-0", ["6-0", "7-0"], ((5, 6), "5-0")),  # what was between may have been trimmed
        ("9-0", ["5-0"], (None, "5-0")),  # the data was lost: a position beyond the end would wait for ever
        ("9-0", [], (None, "0-0")),
    ],
)
async def test_what_was_trimmed_before_it_was_read_is_noticed(
    shard: Shard, tail: Tail, at: str, there: list[str], found: tuple[tuple[int, int] | None, str]
) -> None:
    await append(shard, "heartbeats", *there)
    tail.at["heartbeats"] = at.encode()
    assert (await tail.gap(), tail.at["heartbeats"].decode()) == found


async def test_the_clock_is_the_server_s(shard: Shard, tail: Tail) -> None:
    before_ms = await tail.time_ms()
    async with open_client(shard.url, name="clock") as client:
        seconds, micros = await client.time()
    assert before_ms <= int(seconds) * 1000 + int(micros) // 1000 <= await tail.time_ms()


# -- the order of two streams ------------------------------------------------------------------------------------------


def entries(*found: str) -> list[Entry]:
    return [(one.encode(), [b"n", one.encode()]) for one in found]


async def test_at_equal_milliseconds_the_command_comes_first() -> None:
    read = Read(heartbeats=entries("1-0", "2-0", "2-1", "3-0"), control=entries("2-9", "3-5"))
    found = [(names(stretch), command and command[0]) for stretch, command in in_order(read)]
    assert found == [(["1-0"], b"2-9"), (["2-0", "2-1"], b"3-5"), (["3-0"], None)]


id_lists = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3)), unique=True, max_size=20).map(sorted)


@settings(max_examples=100, deadline=None, database=None)
@given(id_lists, id_lists)
def test_every_entry_comes_once_and_none_before_its_time(
    heartbeats: list[tuple[int, int]], control: list[tuple[int, int]]
) -> None:
    read = Read(
        heartbeats=entries(*(f"{a}-{b}" for a, b in heartbeats)), control=entries(*(f"{a}-{b}" for a, b in control))
    )
    seen: list[tuple[int, int, int]] = []
    for stretch, command in in_order(read):
        seen += [(order(entry_id)[0], 1, order(entry_id)[1]) for entry_id, _ in stretch]
        seen += [(order(command[0])[0], 0, order(command[0])[1])] if command else []
    wanted = [(ms, 1, seq) for ms, seq in heartbeats] + [(ms, 0, seq) for ms, seq in control]
    assert seen == sorted(wanted)


async def test_how_far_behind_it_is_comes_from_the_share_of_time_that_is_not_read(shard: Shard, tail: Tail) -> None:
    await fill(shard, "heartbeats", 200)
    assert await tail.behind() == 200
    tail.at["heartbeats"] = b"150-0"
    assert 45 <= await tail.behind() <= 55
    tail.at["heartbeats"] = b"200-0"
    assert await tail.behind() == 0
