"""The verb `commit` against a real server: what moves together, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from healthmon.core.event import Event, EventType
from healthmon.core.heartbeat import Rejection
from healthmon.core.lease import Lease
from healthmon.errors import Fenced, GenerationChanged, StoreUnavailable
from healthmon.store.calls import call, open_raw
from healthmon.store.commits import CHANGES_MAX
from healthmon.store.keys import HISTORY_MAX, STATES
from tests.store.shard import T0, Shard, blank, moved, said_by_the_shard, subscribed

pytestmark = pytest.mark.anyio


# -- commit: what moves together ---------------------------------------------------------------------------------------


async def test_a_commit_moves_hash_indexes_counts_events_and_alerts_together(shard: Shard) -> None:
    lease = await shard.lead()
    changes = [moved(blank("a"), "healthy"), moved(blank("b"), "degraded"), moved(blank("c"), "degraded", "unhealthy")]
    with subscribed(shard.url, shard.keys.alerts, plainly=True) as alerts:
        assert await shard.commit(lease, *changes) == {}
        published = [json.loads(alerts.read_response()[2]) for _ in range(3)]
    await shard.assert_consistent(["a", "b", "c"])
    assert await shard.states() == {"a": "healthy", "b": "degraded", "c": "unhealthy"}
    assert await shard.hash(shard.keys.counts) == dict.fromkeys(STATES, "0") | {
        "healthy": "1",
        "degraded": "1",
        "unhealthy": "1",
    }
    since = int(await call(shard.client, "ZSCORE", shard.keys.state("unhealthy"), "c"))
    assert since == changes[2].after.since_ms
    assert int(await call(shard.client, "ZSCORE", shard.keys.components, "c")) == T0
    stored = await call(shard.client, "XRANGE", shard.keys.events, "-", "+")
    assert [one["data"]["stream_id"] for one in published] == [
        entry_id.decode() for entry_id, fields in stored if b"json" in fields
    ]
    assert [one["subject"] for one in published] == ["b", "c", "c"]
    kept = [json.loads(entry["json"]) for entry in await shard.entries(shard.keys.events) if "json" in entry]
    for one in published:
        del one["data"]["stream_id"]
    assert kept == published, "stored, the stream id is the entry's own"


async def test_an_alert_that_an_acl_forbids_to_publish_loses_no_event(shard: Shard) -> None:
    lease = await shard.lead()
    deny = ["ACL", "SETUSER", "mute", "on", "nopass", "~*", "+@all", "resetchannels"]
    await call(shard.client, *deny)
    mute = open_raw(shard.url.replace("redis://", "redis://mute:any@"), name="mute")
    shard_as_mute = Shard(mute, shard.keys, shard.url, generation=shard.generation)
    assert await shard_as_mute.commit(lease, moved(blank("a"), "degraded")) == {}
    await mute.aclose()
    await call(shard.client, "ACL", "DELUSER", "mute")
    await shard.assert_consistent(["a"])


async def test_a_full_commit_of_200_changes_is_one_call(shard: Shard) -> None:
    lease = await shard.lead()
    names = [f"c{n}" for n in range(CHANGES_MAX)]
    assert await shard.commit(lease, *(moved(blank(name), "degraded") for name in names)) == {}
    await shard.assert_consistent(names)


async def test_history_begins_at_the_first_change_after_healthy_and_keeps_the_latest(shard: Shard) -> None:
    lease = await shard.lead()
    change = moved(blank("a"), "healthy")
    await shard.commit(lease, change)
    assert await shard.entries(shard.keys.history("a")) == []
    for _ in range(250):
        change = moved(change.after, "degraded", "healthy")
        await shard.commit(lease, change)
    kept = await shard.entries(shard.keys.history("a"))
    assert HISTORY_MAX <= len(kept) < 500
    assert kept[-1]["rev"] == str(change.after.rev)
    assert (kept[-1]["from"], kept[-1]["to"], kept[-1]["type"]) == ("degraded", "healthy", "transition")


async def test_refusals_blind_time_shard_events_and_trims_are_stored_with_a_commit(shard: Shard) -> None:
    lease = await shard.lead()
    for ms in range(1, 300):
        await call(shard.client, "XADD", shard.keys.heartbeats, f"{ms}-0", "id", "a")
    refused = [Rejection(f"{n}-0", "no_id", "the field id is missing", payload=b"\xff\x00 bytes") for n in range(3)]
    await shard.commit(
        lease,
        rejections=[*refused, Rejection("9-0", "bad_id", "x" * 2000, "", b"y" * 5000, "control")],
        rejected_counts={"no_id": 3, "bad_id": 1},
        stretches=[(T0, T0 + 5000)],
        shard_events=[said_by_the_shard(1), said_by_the_shard(2, "other")],
        trims={shard.keys.heartbeats: "200"},
    )
    stored = await call(shard.client, "XRANGE", shard.keys.rejected, "-", "+")
    first, last = (dict(zip(fields[::2], fields[1::2], strict=True)) for fields in (stored[0][1], stored[-1][1]))
    assert first[b"payload"] == b"\xff\x00 bytes"
    assert (first[b"entry"], first[b"reason"], first[b"channel"]) == (b"0-0", b"no_id", b"heartbeats")
    assert (len(last[b"payload"]), len(last[b"detail"]), last[b"channel"]) == (1024, 512, b"control")
    guard = await shard.hash(shard.keys.guard)
    assert (guard["rejected:no_id"], guard["rejected:bad_id"]) == ("3", "1")
    assert (guard["note"], guard["events"]) == ("other", "2")
    assert await shard.entries(shard.keys.blind) == [{"from_ms": str(T0), "to_ms": str(T0 + 5000)}]
    told = [entry for entry in await shard.entries(shard.keys.events) if entry["type"] == "guard"]
    assert [(entry["rule"], entry["guard"]) for entry in told] == [("test", "1"), ("other", "2")]
    assert await call(shard.client, "XLEN", shard.keys.heartbeats) <= 200


# -- commit: what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["replica", "incarnation", "epoch"])
async def test_a_commit_is_fenced_by_the_whole_lease_value(shard: Shard, part: str) -> None:
    lease = await shard.lead()
    other = {
        "replica": replace(lease, replica="other"),
        "incarnation": replace(lease, incarnation="other"),
        "epoch": replace(lease, epoch=lease.epoch - 1),
    }[part]
    for attempt in (shard.commit(other, moved(blank("a"), "healthy")), checkpoint(shard, other)):
        with pytest.raises(Fenced, match=lease.replica):
            await attempt
    assert await shard.record("a") == {}


async def checkpoint(shard: Shard, lease: Lease) -> None:
    await shard.commits.checkpoint(shard.client, lease, shard.generation, [blank("a")], whole=True)


async def test_a_deposed_leader_writes_nothing_also_where_its_successor_never_wrote(shard: Shard) -> None:
    first = await shard.lead("one")
    mine, untouched = moved(blank("mine"), "healthy"), moved(blank("untouched"), "healthy")
    await shard.commit(first, mine, untouched)
    await shard.depose("two")
    before = await shard.record("untouched")
    event = Event(EventType.FORGOTTEN, "untouched", rev=3, born_ms=T0, at_ms=T0)
    for late in (
        shard.commit(first, moved(untouched.after, "degraded")),
        shard.commits.checkpoint(shard.client, first, shard.generation, [untouched.after], whole=True),
        shard.commits.forget(shard.client, first, shard.generation, event, ""),
        shard.commits.repair(shard.client, first, shard.generation, said_by_the_shard(1).event, era=1, read=""),
    ):
        with pytest.raises(Fenced, match="two"):
            await late
    assert await shard.record("untouched") == before


async def test_a_commit_to_another_data_set_is_refused_and_names_the_stored_one(shard: Shard) -> None:
    lease = await shard.lead()
    await call(shard.client, "SET", shard.keys.generation, "other")
    for attempt in (
        shard.commit(lease, moved(blank("a"), "healthy")),
        checkpoint(shard, lease),
        shard.commits.merge(shard.client, shard.generation, []),
    ):
        with pytest.raises(GenerationChanged, match="other"):
            await attempt


async def test_a_repeat_of_an_answered_commit_adds_nothing_and_gives_the_same_answer(shard: Shard) -> None:
    lease = await shard.lead()
    await shard.commit(lease, moved(blank("b"), "healthy"))
    taken, refused = moved(blank("a"), "degraded"), moved(blank("b"), "degraded")
    everything = {"rejections": [Rejection("1-0", "no_id", "")], "rejected_counts": {"no_id": 1}}
    for _ in range(3):
        assert await shard.commit(lease, taken, refused, commit_id="x", **everything) == {"b": "CONFLICT"}
    await shard.assert_consistent(["a", "b"])
    assert len(await shard.entries(shard.keys.rejected)) == 1
    await shard.depose("two")
    assert await shard.commit(lease, taken, refused, commit_id="x", **everything) == {"b": "CONFLICT"}, (
        "what was applied is said to have been, also when the lease is lost meanwhile"
    )


@pytest.mark.parametrize("field", ["rev", "born", "state"])
async def test_a_record_that_is_not_as_expected_is_refused_alone(shard: Shard, field: str) -> None:
    lease = await shard.lead()
    first, other = moved(blank("a"), "healthy"), moved(blank("b"), "healthy")
    await shard.commit(lease, first, other)
    await call(shard.client, "HSET", shard.keys.component("a"), field, "dead" if field == "state" else "77")
    before = await shard.record("a")
    outcome = await shard.commit(lease, moved(first.after, "degraded"), moved(other.after, "degraded"))
    assert outcome == {"a": "CONFLICT"}
    assert await shard.record("a") == before
    assert (await shard.record("b"))["state"] == "degraded"


async def test_one_that_was_forgotten_or_is_there_already_is_refused(shard: Shard) -> None:
    lease = await shard.lead()
    first = moved(blank("a"), "healthy")
    await shard.commit(lease, first)
    assert await shard.commit(lease, moved(blank("a"), "healthy")) == {"a": "CONFLICT"}
    await call(shard.client, "DEL", shard.keys.component("a"))
    assert await shard.commit(lease, moved(first.after, "degraded")) == {"a": "CONFLICT"}


@pytest.mark.parametrize("which", ["component", "history"])
async def test_a_key_of_a_wrong_type_refuses_only_its_component(shard: Shard, which: str) -> None:
    lease = await shard.lead()
    await call(shard.client, "SET", getattr(shard.keys, which)("a"), "not ours")
    outcome = await shard.commit(lease, moved(blank("a"), "degraded"), moved(blank("b"), "degraded"))
    assert outcome == {"a": "WRONGTYPE"}
    await shard.assert_consistent(["b"])


@pytest.mark.parametrize(
    "which", ["cursor", "guard", "events", "rejected", "control", "heartbeats", "restarts", "blind", "components"]
)
async def test_a_shard_key_of_a_wrong_type_refuses_the_commit_by_its_name(shard: Shard, which: str) -> None:
    lease = await shard.lead()
    key = getattr(shard.keys, which)
    await call(shard.client, "DEL", key)
    await call(shard.client, "SET", key, "not ours")
    with pytest.raises(StoreUnavailable, match=re.escape(f"{key} has a wrong type")):
        await shard.commit(lease, moved(blank("a"), "degraded"))
    assert await shard.record("a") == {}
    assert await call(shard.client, "GET", key) == b"not ours"


@pytest.mark.parametrize("which", ["counts", "dead"])
async def test_an_index_of_a_wrong_type_refuses_the_commit_by_its_name(shard: Shard, which: str) -> None:
    lease = await shard.lead()
    key = shard.keys.counts if which == "counts" else shard.keys.state(which)
    await call(shard.client, "SET", key, "not ours")
    with pytest.raises(StoreUnavailable, match="has a wrong type"):
        await shard.commit(lease, moved(blank("a"), "degraded"))
    assert await shard.record("a") == {}


async def test_the_cursor_moves_only_when_nothing_was_refused(shard: Shard) -> None:
    lease = await shard.lead()
    await shard.commit(lease, moved(blank("a"), "healthy"), cursor={"control": "5-0"})
    assert (await shard.hash(shard.keys.cursor))["control"] == "5-0"
    await shard.commit(lease, moved(blank("a"), "healthy"), cursor={"control": "6-0"})
    assert (await shard.hash(shard.keys.cursor))["control"] == "5-0"


async def test_a_commit_is_taken_when_memory_is_full(shard: Shard) -> None:
    lease = await shard.lead()
    await call(shard.client, "CONFIG", "SET", "maxmemory", "1")
    try:
        await shard.commit(lease, moved(blank("a"), "degraded"))
        assert await shard.leases.renew(shard.client, lease) == 0
    finally:
        await call(shard.client, "CONFIG", "SET", "maxmemory", "0")
    await shard.assert_consistent(["a"])
