"""The Lua verbs but `commit`, one by one against a real server."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from healthmon.core.component import Component
from healthmon.core.event import Event, EventType
from healthmon.errors import GenerationChanged
from healthmon.store.calls import call
from healthmon.store.commits import CHANGES_MAX, ITEMS_MAX
from healthmon.store.leases import Acquired, Held
from tests.store.shard import T0, TTL_MS, Shard, blank, counted, moved, said_by_the_shard, subscribed

pytestmark = pytest.mark.anyio
LAST_ID = "18446744073709551615-18446744073709551615"


async def now_ms(shard: Shard) -> int:
    seconds, micros = await call(shard.client, "TIME")
    return int(seconds) * 1000 + int(micros) // 1000


# -- acquire -----------------------------------------------------------------------------------------------------------


async def test_the_first_to_ask_founds_the_data_set_and_leads_with_the_server_s_time_as_epoch(shard: Shard) -> None:
    before_ms = await now_ms(shard)
    answer = await shard.claim("one", new_generation="g1", reason="nobody led")
    assert isinstance(answer, Acquired)
    assert (answer.founded, answer.generation, answer.era) == (True, "g1", 0)
    assert before_ms <= answer.lease.epoch <= await now_ms(shard)
    assert await call(shard.client, "GET", shard.keys.leader) == str(answer.lease).encode()
    assert await call(shard.client, "GET", shard.keys.epoch) == str(answer.lease.epoch).encode()
    assert TTL_MS - 1000 < await call(shard.client, "PTTL", shard.keys.leader) <= TTL_MS
    (event,) = await shard.entries(shard.keys.events)
    assert (event["type"], event["replica"], event["reason"]) == ("leader", "one", "nobody led")
    assert json.loads(event["set"]) == {"generation": "g1", "incarnation": "eno"}


async def test_a_held_lease_is_told_with_the_time_that_it_has_left(shard: Shard) -> None:
    lease = await shard.lead("one")
    answer = await shard.claim("two")
    assert isinstance(answer, Held)
    assert answer.value == str(lease)
    assert 0 < answer.left_ms <= TTL_MS


async def test_a_missing_lease_may_be_taken_also_by_one_whom_nobody_sees_alive(shard: Shard) -> None:
    await shard.lead("one")
    await call(shard.client, "DEL", shard.keys.leader)
    assert isinstance(await shard.claim("two"), Acquired)


@pytest.mark.parametrize("dead", ["", "one|eno|1"])
async def test_a_dead_holder_is_not_robbed_by_one_who_did_not_see_this_very_lease_dead(shard: Shard, dead: str) -> None:
    await shard.lead("one")
    with shard.alive("two"):
        assert isinstance(await shard.claim("two", dead=dead), Held)


async def test_a_living_holder_is_never_robbed_whatever_a_follower_saw(shard: Shard) -> None:
    lease = await shard.lead("one")
    with shard.alive("one"), shard.alive("two"):
        assert isinstance(await shard.claim("two", dead=str(lease)), Held)


async def test_one_who_is_not_seen_alive_itself_may_not_rob_a_dead_holder(shard: Shard) -> None:
    lease = await shard.lead("one")
    assert isinstance(await shard.claim("two", dead=str(lease)), Held)
    with shard.alive("two"):
        assert isinstance(await shard.claim("two", dead=str(lease)), Acquired)


async def test_the_lease_of_a_dead_holder_is_taken_at_once_and_only_once_a_ttl(shard: Shard) -> None:
    first = await shard.lead("one")
    with shard.alive("two"), shard.alive("three"):
        second = await shard.claim("two", dead=str(first))
        assert isinstance(second, Acquired)
    with shard.alive("three"):
        assert isinstance(await shard.claim("three", dead=str(second.lease)), Held), "two thefts within a ttl"
        stolen_ms = int(await call(shard.client, "HGET", shard.keys.cursor, "stolen_ms"))
        await call(shard.client, "HSET", shard.keys.cursor, "stolen_ms", stolen_ms - TTL_MS)
        assert isinstance(await shard.claim("three", dead=str(second.lease)), Acquired)


async def test_the_epoch_is_beyond_the_stored_one_and_the_floor_and_never_written_as_a_fraction(shard: Shard) -> None:
    first = await shard.lead("one")
    ahead = first.epoch + 3_600_000
    await call(shard.client, "SET", shard.keys.epoch, ahead)
    assert (await shard.depose("two")).epoch == ahead + 1
    await call(shard.client, "DEL", shard.keys.leader, shard.keys.epoch)
    lost = await shard.lead("three", floor=ahead + 10)
    assert lost.epoch == ahead + 11, "a key that was lost must not give out an epoch again"
    assert await call(shard.client, "GET", shard.keys.epoch) == str(ahead + 11).encode()


async def test_an_empty_replica_founds_only_when_nobody_holds_a_table(shard: Shard) -> None:
    with subscribed(shard.url, shard.keys.hot):
        assert await shard.claim("cold", may_found=False) == Held("", TTL_MS)
        assert await call(shard.client, "EXISTS", shard.keys.generation, shard.keys.leader) == 0
        assert isinstance(await shard.claim("hot", generation="lost", new_generation="g2"), Acquired)
    assert await call(shard.client, "GET", shard.keys.generation) == b"g2"


async def test_an_empty_replica_founds_at_once_where_nobody_holds_a_table(shard: Shard) -> None:
    answer = await shard.claim("cold", may_found=False)
    assert isinstance(answer, Acquired)
    assert answer.founded


async def test_a_replica_that_knows_another_data_set_is_told_the_stored_one_and_gets_no_lease(shard: Shard) -> None:
    await shard.lead("one", new_generation="g1")
    await call(shard.client, "DEL", shard.keys.leader)
    with pytest.raises(GenerationChanged, match="g1"):
        await shard.claim("two", generation="g0")
    assert await call(shard.client, "EXISTS", shard.keys.leader) == 0


# -- renew and release -------------------------------------------------------------------------------------------------


async def test_only_the_holder_of_exactly_this_lease_prolongs_it_and_hears_who_sees_it_alive(shard: Shard) -> None:
    lease = await shard.lead("one")
    await call(shard.client, "PEXPIRE", shard.keys.leader, 500)
    assert await shard.leases.renew(shard.client, lease) == 0
    with shard.alive("one"):
        assert await shard.leases.renew(shard.client, lease) == 1
    assert await call(shard.client, "PTTL", shard.keys.leader) > 1000
    for other in (replace(lease, epoch=lease.epoch - 1), replace(lease, incarnation="again")):
        assert await shard.leases.renew(shard.client, other) is None
    await shard.depose("two")
    assert await shard.leases.renew(shard.client, lease) is None


async def test_a_clean_stop_leaves_no_lease_behind_tells_the_others_and_takes_nobody_else_s(shard: Shard) -> None:
    lease = await shard.lead("one")
    with subscribed(shard.url, shard.keys.hint) as others:
        assert not await shard.leases.release(shard.client, replace(lease, epoch=lease.epoch - 1))
        assert await shard.leases.release(shard.client, lease)
        assert others.read_response() == [b"smessage", shard.keys.hint.encode(), b"released"]
    assert await call(shard.client, "EXISTS", shard.keys.leader) == 0
    assert not await shard.leases.release(shard.client, lease)


# -- checkpoint --------------------------------------------------------------------------------------------------------


async def test_a_checkpoint_stores_totals_with_their_marks_and_where_reading_starts(shard: Shard) -> None:
    lease = await shard.lead()
    change = moved(blank("a"), "healthy")
    await shard.commit(lease, change)
    component = copy.copy(change.after)
    component.total_heartbeats, component.last_id, component.last_heartbeat_ms = 9, b"1795460000009-4", T0 + 9
    for whole, total in ((False, "1"), (True, "9")):
        await shard.commits.checkpoint(
            shard.client, lease, shard.generation, [component], whole=whole, cursor={"heartbeats": f"0:{T0}-0"}
        )
        assert (await shard.record("a"))["total_heartbeats"] == total
    record = await shard.record("a")
    assert (record["folded"], record["state"]) == ("0:1795460000009-4", "healthy")
    assert int(await call(shard.client, "ZSCORE", shard.keys.components, "a")) == T0 + 9
    assert (await shard.hash(shard.keys.cursor))["heartbeats"] == f"0:{T0}-0"


async def test_a_checkpoint_writes_nobody_who_was_forgotten_or_is_another_one_by_now(shard: Shard) -> None:
    lease = await shard.lead()
    change = moved(blank("back", born_ms=T0 + 7), "healthy")
    await shard.commit(lease, change)
    await call(shard.client, "SET", shard.keys.component("wrong"), "not ours")
    old = [counted(blank("back"), 99), counted(blank("gone"), 99), counted(blank("wrong"), 99)]
    await shard.commits.checkpoint(shard.client, lease, shard.generation, old, whole=True)
    assert (await shard.record("back"))["total_heartbeats"] == "1"
    assert await call(shard.client, "ZRANGE", shard.keys.components, 0, -1) == [b"back"]


async def test_a_checkpoint_of_500_is_one_call(shard: Shard) -> None:
    lease = await shard.lead()
    many = [moved(blank(f"c{n}"), "healthy") for n in range(ITEMS_MAX)]
    for start in range(0, ITEMS_MAX, CHANGES_MAX):
        await shard.commit(lease, *many[start : start + CHANGES_MAX])
    records = [counted(change.after, 7) for change in many]
    await shard.commits.checkpoint(shard.client, lease, shard.generation, records, whole=True)
    assert {(await shard.record(f"c{n}"))["total_heartbeats"] for n in (0, 250, 499)} == {"7"}


# -- forget ------------------------------------------------------------------------------------------------------------


async def test_of_a_forgotten_component_only_its_tombstone_and_its_events_are_left(shard: Shard) -> None:
    lease = await shard.lead()
    changes = [moved(blank("a"), "degraded"), moved(blank("b"), "healthy")]
    await shard.commit(lease, *changes)
    await call(shard.client, "ZADD", shard.keys.gone, T0 - 86_400_001, "long-ago", T0 - 1000, "lately")
    event = Event(EventType.FORGOTTEN, "a", rev=3, born_ms=T0, at_ms=T0 + 500, reason="by a test", epoch=1)
    first = await shard.commits.forget(shard.client, lease, shard.generation, event, "")
    assert first
    assert await shard.commits.forget(shard.client, lease, shard.generation, event, "") == "", "a repeat adds nothing"
    await shard.assert_consistent(["b"])
    assert await shard.revs("a") == [1, 2, 3]
    assert await call(shard.client, "EXISTS", shard.keys.component("a"), shard.keys.history("a")) == 0
    gone = await call(shard.client, "ZRANGE", shard.keys.gone, 0, -1, "WITHSCORES")
    assert gone == [b"lately", str(T0 - 1000).encode(), b"a", str(T0 + 500).encode()]
    assert await shard.commit(lease, moved(changes[0].after, "healthy")) == {"a": "CONFLICT"}


async def test_a_component_that_came_back_under_the_same_id_is_not_forgotten_by_an_old_order(shard: Shard) -> None:
    lease = await shard.lead()
    await shard.commit(lease, moved(blank("a", born_ms=T0 + 99), "healthy"))
    event = Event(EventType.FORGOTTEN, "a", rev=3, born_ms=T0, at_ms=T0 + 500)
    assert await shard.commits.forget(shard.client, lease, shard.generation, event, "") == ""
    await shard.assert_consistent(["a"])


async def test_a_key_of_a_wrong_type_can_be_forgotten(shard: Shard) -> None:
    lease = await shard.lead()
    await shard.commit(lease, moved(blank("a"), "healthy"))
    await call(shard.client, "DEL", shard.keys.component("a"))
    await call(shard.client, "SET", shard.keys.component("a"), "not ours")
    event = Event(EventType.FORGOTTEN, "a", rev=3, born_ms=T0, at_ms=T0 + 500)
    assert await shard.commits.forget(shard.client, lease, shard.generation, event, "")
    await shard.assert_consistent([])


# -- merge -------------------------------------------------------------------------------------------------------------


def recovered(component: Component) -> tuple[Component, Event]:
    event = Event(
        EventType.RECOVERED,
        component.id,
        rev=component.rev,
        born_ms=component.born_ms,
        at_ms=T0,
        target=component.state.value,
        epoch=component.epoch,
    )
    return component, event


async def test_what_the_stored_data_lacks_is_put_back_and_said(shard: Shard) -> None:
    held = [moved(blank("a"), "degraded").after, moved(blank("b"), "healthy").after]
    await shard.lead()
    assert await shard.commits.merge(shard.client, shard.generation, [recovered(one) for one in held]) == 2
    assert await shard.states() == {"a": "degraded", "b": "healthy"}
    assert (await shard.hash(shard.keys.counts))["degraded"] == "1"
    told = [entry for entry in await shard.entries(shard.keys.events) if entry["type"] == "recovered"]
    assert [(entry["id"], entry["rev"]) for entry in told] == [("a", "2"), ("b", "2")]
    assert await shard.commits.merge(shard.client, shard.generation, [recovered(one) for one in held]) == 0, (
        "a second replica that holds the same adds nothing"
    )


@pytest.mark.parametrize(
    ("epoch", "rev", "total", "taken"),
    [
        (1, 3, 5, True),  # a later rev of the same epoch
        (2, 1, 5, True),  # a higher epoch beats a higher rev
        (1, 2, 5, False),
        (0, 9, 5, False),
    ],
)
async def test_the_higher_epoch_and_rev_win_and_totals_never_fall(
    shard: Shard, epoch: int, rev: int, total: int, taken: bool
) -> None:
    lease = await shard.lead()
    stored = moved(blank("a"), "healthy")
    stored.after.total_heartbeats = 10
    await shard.commit(lease, stored)
    mine = copy.copy(moved(blank("a"), "degraded").after)
    mine.epoch, mine.rev, mine.total_heartbeats, mine.last_id = epoch, rev, total, b"5-0"
    assert await shard.commits.merge(shard.client, shard.generation, [recovered(mine)]) == int(taken)
    record = await shard.record("a")
    assert (record["state"], record["total_heartbeats"]) == ("degraded" if taken else "healthy", "10")
    assert record["folded"] == f"0:{T0}-0", "else what the greater total counted is counted again"
    assert await shard.states() == {"a": record["state"]}


async def test_what_was_forgotten_is_not_put_back_unless_it_is_younger(shard: Shard) -> None:
    lease = await shard.lead()
    await shard.commit(lease, moved(blank("a"), "healthy"))
    event = Event(EventType.FORGOTTEN, "a", rev=3, born_ms=T0, at_ms=T0 + 500, epoch=1)
    await shard.commits.forget(shard.client, lease, shard.generation, event, "")
    old, young = moved(blank("a"), "healthy").after, moved(blank("a", born_ms=T0 + 501), "healthy").after
    assert await shard.commits.merge(shard.client, shard.generation, [recovered(old)]) == 0
    assert await shard.commits.merge(shard.client, shard.generation, [recovered(young)]) == 1


async def test_totals_of_one_who_was_forgotten_do_not_come_back_with_another_of_its_id(shard: Shard) -> None:
    lease = await shard.lead()
    await shard.commit(lease, moved(blank("a", born_ms=T0 + 99), "healthy"))
    old = copy.copy(moved(blank("a"), "healthy", epoch=0).after)
    old.total_heartbeats = 1000
    assert await shard.commits.merge(shard.client, shard.generation, [recovered(old)]) == 0
    assert (await shard.record("a"))["total_heartbeats"] == "1"


async def test_a_wrong_type_does_not_keep_the_others_from_being_put_back(shard: Shard) -> None:
    await shard.lead()
    await call(shard.client, "SET", shard.keys.component("a"), "not ours")
    await call(shard.client, "SET", shard.keys.history("b"), "not ours")
    held = [recovered(moved(blank(name), "healthy").after) for name in ("a", "b", "c")]
    assert await shard.commits.merge(shard.client, shard.generation, held) == 1
    assert await shard.states() == {"c": "healthy"}


# -- repair ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pinned", ["hour", "last"])
async def test_a_stream_that_ran_ahead_takes_entries_at_the_right_time_again(shard: Shard, pinned: str) -> None:
    lease = await shard.lead()
    ahead = f"{await now_ms(shard) + 3_600_000}-5" if pinned == "hour" else LAST_ID
    await call(shard.client, "XADD", shard.keys.heartbeats, ahead, "id", "a")
    before_ms = await now_ms(shard)
    told = said_by_the_shard(1, "repaired").event
    assert await shard.commits.repair(shard.client, lease, shard.generation, told, era=1, read=f"{ahead}-other") is None
    assert await call(shard.client, "XLEN", shard.keys.heartbeats) == 1, "what the leader has not read is kept"
    repaired = await shard.commits.repair(shard.client, lease, shard.generation, told, era=1, read=ahead)
    assert repaired is not None
    position, event = repaired
    assert await call(shard.client, "XLEN", shard.keys.heartbeats) == 0
    entry = await call(shard.client, "XADD", shard.keys.heartbeats, "*", "id", "a")
    assert before_ms <= int(position.partition("-")[0]) <= int(entry.partition(b"-")[0]) <= await now_ms(shard)
    cursor = await shard.hash(shard.keys.cursor)
    assert (cursor["era"], cursor["heartbeats"]) == ("1", f"1:{position}")
    assert event == (await call(shard.client, "XREVRANGE", shard.keys.events, "+", "-", "COUNT", 1))[0][0].decode()
    await call(shard.client, "DEL", shard.keys.leader)
    answer = await shard.claim("two")
    assert isinstance(answer, Acquired)
    assert answer.era == 1, "whoever leads next knows of the repair"


# -- all ---------------------------------------------------------------------------------------------------------------


async def test_a_server_that_lost_its_scripts_is_sent_them_whole(shard: Shard) -> None:
    lease = await shard.lead()
    await call(shard.client, "SCRIPT", "FLUSH")
    assert await shard.commit(lease, moved(blank("a"), "healthy")) == {}
    assert await shard.leases.renew(shard.client, lease) == 0


async def test_every_verb_runs_when_memory_is_full(shard: Shard) -> None:
    for script in vars(shard.scripts).values():
        assert script.text.startswith("#!lua flags=allow-oom"), script.verb
