from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from healthmon.errors import HealthmonError, TimedOut
from healthmon.store.asking import ask, wait_for
from healthmon.store.calls import call, open_raw
from healthmon.store.cluster import ClusterReader
from healthmon.store.event_log import START, EventLog
from healthmon.store.keys import Keys
from healthmon.store.reading import CHUNK, Reader

pytestmark = pytest.mark.anyio


@pytest.fixture
async def reader(url: str, prefix: str) -> AsyncIterator[Reader]:
    client = open_raw(url, name="reader")
    yield Reader(client, Keys(prefix))
    await client.aclose()


async def test_nothing_stored_is_no_error(reader: Reader) -> None:
    cluster, log = ClusterReader(reader.client, reader.keys), EventLog(reader.client, reader.keys)
    watch = await cluster.watch()
    assert (watch.lease, watch.as_of_ms) == (None, 0)
    assert abs(watch.now_ms - await reader.now_ms()) < 5000
    assert await reader.record("x") == {}
    assert await reader.records([]) == []
    assert await reader.heard_ms([]) == []
    assert (await reader.counts(), await reader.refusals(), await reader.refusal_of("x")) == ({}, [], {})
    assert await reader.history("x", 5) == []
    assert (await reader.blindness()).stretches == []
    assert (await cluster.replicas(), await cluster.last_leader(), await cluster.meta()) == ([], None, {})
    assert (await cluster.heartbeats()).last_ms == 0
    assert (await log.last(), await log.after(START), await log.gap(START)) == (START, [], None)


async def test_records_come_in_the_order_that_was_asked_for_over_chunks(reader: Reader) -> None:
    ids = [f"c-{n}" for n in range(CHUNK + 3)]
    for one in (ids[0], ids[-1]):
        await call(reader.client, "HSET", reader.keys.component(one), "state", "healthy")
    records = await reader.records(ids)
    assert [record.get("id") for record in records] == [ids[0], *[None] * (CHUNK + 1), ids[-1]]


async def test_a_state_is_walked_in_chunks_the_longest_in_it_first(reader: Reader) -> None:
    for n in range(CHUNK + 3):
        await call(reader.client, "ZADD", reader.keys.state("dead"), 1000 + n, f"c-{n}")
    chunks = [chunk async for chunk in reader.every_in_state("dead")]
    assert [len(chunk) for chunk in chunks] == [CHUNK, 3]
    assert chunks[0][0] == ("c-0", 1000)
    assert await reader.in_state("dead", CHUNK, 1) == [(f"c-{CHUNK}", 1000 + CHUNK)]


async def test_a_key_of_a_wrong_type_does_not_hide_the_others(reader: Reader) -> None:
    await call(reader.client, "SET", reader.keys.component("bad"), "text")
    await call(reader.client, "HSET", reader.keys.component("good"), "state", "healthy")
    bad, good = await reader.records(["bad", "good"])
    assert "wrong type" in bad["reason"]
    assert good == {"id": "good", "state": "healthy"}
    with pytest.raises(HealthmonError, match="wrong type"):
        await reader.record("bad")


async def test_refusals_are_found_by_component_and_counted_by_reason(reader: Reader) -> None:
    for reason, component in (("bad_id", ""), ("too_large", "x"), ("not_a_map", "x"), ("no_id", "y")):
        await call(reader.client, "XADD", reader.keys.rejected, "*", "reason", reason, "id", component)
    await call(reader.client, "HSET", reader.keys.guard, "rejected:bad_id", 7, "events", 1)
    assert (await reader.refusal_of("x"))["reason"] == "not_a_map"
    assert [entry.fields["reason"] for entry in await reader.refusals(count=2)] == ["no_id", "not_a_map"]
    assert await reader.refused_totals() == {"bad_id": 7}
    assert await reader.refusals(since_ms=await reader.now_ms() + 60_000) == []


async def test_data_is_as_fresh_as_its_latest_sign(reader: Reader) -> None:
    k, cluster = reader.keys, ClusterReader(reader.client, reader.keys)

    async def as_of_ms() -> int:
        return (await cluster.watch()).as_of_ms

    await call(reader.client, "HSET", k.cursor, "heartbeats", "0:1000-5")
    assert await as_of_ms() == 1000
    await call(reader.client, "ZADD", k.components, 2000, "x")
    assert await as_of_ms() == 2000
    await call(reader.client, "XADD", k.events, "3000-1", "type", "leader")
    assert await as_of_ms() == 3000
    await call(reader.client, "ZADD", k.monitors, 4000, "mon-a")
    assert await as_of_ms() == 3000  # who does not lead keeps nothing fresh
    await call(reader.client, "SET", k.leader, "mon-a|1|17", "PX", 5000)
    watch = await cluster.watch()
    assert watch.as_of_ms == 4000
    assert watch.lease is not None
    assert (watch.lease.epoch, 0 < watch.left_ms <= 5000) == (17, True)


async def test_a_gap_is_found_where_events_after_the_id_are_gone(reader: Reader) -> None:
    log, key = EventLog(reader.client, reader.keys), reader.keys.events
    for n in range(1, 6):
        await call(reader.client, "XADD", key, f"{n}000-0", "type", "operator")
    assert await log.gap("0-0") is None
    await call(reader.client, "XTRIM", key, "MAXLEN", "=", 2)
    gap = await log.gap("2000-0")
    assert gap is not None
    assert (gap.missed_max, gap.first, gap.replaced) == (3, "4000-0", False)
    assert await log.gap("4000-0") is None
    ahead = await log.gap("9000-0")
    assert ahead is not None
    assert ahead.replaced


async def test_events_are_read_backwards_from_any_id(reader: Reader) -> None:
    log = EventLog(reader.client, reader.keys)
    for n in range(1, 4):
        await call(reader.client, "XADD", reader.keys.events, f"{n}-0", "type", "operator")
    assert [entry.id async for entry in log.backwards("2-0")] == ["2-0", "1-0"]
    assert [entry.id for entry in await log.after("1-0")] == ["2-0", "3-0"]


async def test_the_answer_to_a_command_is_found_among_others(reader: Reader) -> None:
    client, keys = reader.client, reader.keys
    await call(client, "XADD", keys.events, "*", "type", "forgotten", "id", "x")
    asked = await ask(client, keys, "forget", id="x", by="ann", reason="")
    (entry,) = await call(client, "XRANGE", keys.control, "-", "+")
    assert entry == [asked.entry.encode(), [b"cmd", b"forget", b"id", b"x", b"by", b"ann"]]

    def is_answer(event: object) -> bool:
        return getattr(event, "fields", {}).get("type") == "forgotten"

    with pytest.raises(TimedOut, match="waits for the next leader"):
        await wait_for(client, keys, asked, is_answer, within_s=0.05)
    for kind in ("transition", "forgotten"):
        await call(client, "XADD", keys.events, "*", "type", kind, "id", "x")
    assert (await wait_for(client, keys, asked, is_answer)).fields["id"] == "x"


async def test_a_refused_command_raises_its_reason(reader: Reader) -> None:
    client, keys = reader.client, reader.keys
    asked = await ask(client, keys, "forget", id="x")
    await call(client, "XADD", keys.rejected, "*", "entry", "1-1", "reason", "bad_id")
    await call(client, "XADD", keys.rejected, "*", "entry", asked.entry, "reason", "bad_command", "detail", "no x")
    with pytest.raises(HealthmonError, match="refused: no x"):
        await wait_for(client, keys, asked, lambda _: False)
