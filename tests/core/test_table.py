"""The table of a shard: counting, refusing, forgetting, applying, eras, and what is left to store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from healthmon.core.event import Event, EventType
from healthmon.core.marks import mark, mark_of
from healthmon.core.policy import Defaults
from healthmon.core.table import REJECTIONS_KEPT, Table
from healthmon.store.codec import Wire, hash_fields, read_component
from tests.core.shard import START_MS, Shard, batch, canary, entry, evidence, flat, lead, packed

# -- counting --------------------------------------------------------------------------------------------------------


def test_every_heartbeat_of_every_form_is_counted_once() -> None:
    shard = Shard()
    now_ms = shard.now_ms
    shard.hear(
        flat(now_ms, seq=1),
        packed(now_ms, seq=2),
        batch(now_ms, {"id": "a"}, {"id": "b"}, {"id": "a"}, seq=3),
        canary(now_ms, seq=4),
        entry(now_ms, "msg", "x", "id", "a", seq=5),
    )
    assert (shard["a"].total_heartbeats, shard["b"].total_heartbeats) == (5, 1)
    assert sorted(shard.table.components) == ["a", "b"], "a canary is nobody's heartbeat"


def test_a_canary_with_more_to_say_is_no_canary() -> None:
    shard = Shard()
    shard.hear(entry(shard.now_ms, "canary", "mon-a", "id", "a", seq=1))
    assert shard["a"].total_heartbeats == 1


def test_entries_that_come_again_are_skipped_by_each_components_own_mark() -> None:
    shard = Shard()
    early = [flat(shard.now_ms, "a", seq=1), flat(shard.now_ms, "b", seq=2)]
    late = [flat(shard.now_ms, "a", seq=3), flat(shard.now_ms, "b", seq=4)]
    shard.hear(*early, *late)
    table = Table(shard.defaults, Wire())
    said = hash_fields(shard["a"])
    table.put(read_component(said, shard.defaults))
    table.fold([*early, *late])
    assert evidence(table.components["a"]) == evidence(shard["a"])
    assert table.components["b"].total_heartbeats == 2


def test_a_pass_that_broke_off_may_be_folded_again() -> None:
    shard = Shard()
    shard.say()
    again = [flat(shard.now_ms, seq=10 + n) for n in range(3)]
    shard.hear(*again)
    shard.table.expect_known(again[-1][0])
    shard.hear(*again, flat(shard.now_ms, seq=13))
    assert shard["a"].total_heartbeats == 5


def test_refolding_touches_only_those_that_were_read_back_and_refuses_nothing() -> None:
    shard = Shard()
    shard.say("a")
    shard.say("b")
    more = [flat(shard.now_ms, one, seq=20 + n) for n, one in enumerate(("a", "b", "c", "."))]
    shard.table.refold(more, {"a"})
    assert (shard["a"].total_heartbeats, shard["b"].total_heartbeats) == (2, 1)
    assert "c" not in shard.table.components
    assert not shard.table.rejections


def test_heartbeats_of_a_former_life_are_not_counted_for_the_next_one() -> None:
    """Whoever reads the second life's record back before any heartbeat of it: the stream still has the first one's."""
    shard = Shard()
    old = [flat(shard.now_ms + n, "a", seq=n) for n in range(3)]
    shard.hear(*old)
    born_ms = shard.now_ms + 10
    reborn = replace(shard["a"], born_ms=born_ms, last_id=b"", total_heartbeats=0)
    shard.table.put(reborn)
    shard.table.refold([*old, flat(born_ms, "a")], {"a"})
    assert shard["a"].total_heartbeats == 1


def test_a_heartbeat_of_the_millisecond_in_which_its_id_was_forgotten_is_of_the_former_life() -> None:
    shard = Shard()
    shard.say()
    born_ms = shard.now_ms + 11
    shard.table.admission.forget("a", born_ms - 1, "")
    shard.table.put(replace(shard["a"], born_ms=born_ms, last_id=b"", total_heartbeats=0))
    shard.hear(flat(born_ms - 1, "a"), flat(born_ms, "a"))
    assert shard["a"].total_heartbeats == 1


def test_blind_time_is_taken_out_of_what_was_missed() -> None:
    shard = Shard()
    shard.say(interval=1)
    shard.watch(5)
    shard.say(interval=1)
    assert shard["a"].missed_heartbeats == 4
    shard.go_blind(60)
    shard.watch(5)
    shard.say(interval=1)
    assert shard["a"].missed_heartbeats == 8


def test_the_first_entry_that_is_read_ends_no_blind_time() -> None:
    table = Table(Defaults(), Wire())
    table.fold([flat(START_MS)])
    table.fold([flat(START_MS + 3_000)])
    assert not table.blindness.stretches
    table.fold([flat(START_MS + 6_001)])
    assert table.blindness.stretches == [(START_MS + 3_000, START_MS + 6_001)] == table.new_stretches


def test_the_pace_of_canaries_follows_the_shortest_timeout_of_those_who_are_there() -> None:
    shard = Shard()
    assert shard.table.canary_ms == 1_000
    shard.declare("quick", heartbeat_timeout=0.6)
    assert shard.table.canary_ms == 100
    assert shard.table.longest_timeout_ms == 600
    shard.table.drop("quick")
    assert shard.table.canary_ms == 1_000
    shard.say(interval=60)
    assert shard.table.longest_timeout_ms == 120_000


def test_what_was_counted_in_bulk_is_counted_whenever_somebody_asks() -> None:
    shard = Shard()
    shard.say(interval=1, latency_ms=5)
    for _ in range(5):
        shard.say(after_s=1, interval=1, latency_ms=5)
    assert (shard["a"].total_heartbeats, shard["a"].last_heartbeat_ms) == (6, shard.now_ms)
    assert shard["a"].metrics_ms == shard.now_ms


# -- refusing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (("msg", "x"), "no_id"),
        (("id", "../a"), "bad_id"),
        (("id", "a", "p", b"\xc1"), "not_a_map"),
        (("id", "a", "p", b"\x93\x01\x02\x03"), "not_a_map"),
        (("id", "a", "msg", "x" * 17_000), "too_large"),
    ],
)
def test_a_bad_frame_is_refused_with_its_reason_and_the_round_goes_on(fields: tuple[str, ...], reason: str) -> None:
    shard = Shard()
    shard.hear(entry(shard.now_ms, *fields, seq=1), flat(shard.now_ms, "b", seq=2))
    (refused,) = shard.table.rejections
    assert (refused.reason, refused.entry, refused.channel) == (reason, f"{shard.now_ms}-1", "heartbeats")
    assert len(refused.payload) <= 1_024
    assert shard.state("b") == "healthy"


def test_a_known_one_whose_entries_are_refused_counts_them_and_is_not_heard() -> None:
    shard = Shard()
    shard.say(interval=1, latency_ms=5)
    heard_ms, folded = shard["a"].last_heartbeat_ms, shard["a"].total_heartbeats
    shard.watch(5)
    bad = entry(shard.now_ms, "id", "a", "p", b"\xc1", seq=99)
    shard.hear(bad)
    shard.table.expect_known(bad[0])
    shard.hear(bad)
    assert shard["a"].refused_heartbeats == 1
    assert (shard["a"].last_heartbeat_ms, shard["a"].total_heartbeats) == (heard_ms, folded)
    assert shard.table.rejections[0].id == "a"


def test_a_refused_entry_is_no_proof_of_life_for_repetitions_before_it() -> None:
    shard = Shard()
    shard.say(interval=60, latency_ms=5)
    shard.say(interval=60, latency_ms=5)
    beat = flat(shard.now_ms, seq=500, interval=60, latency_ms=5)
    refused = entry(shard.now_ms + 2_000, "id", "a", "p", b"\xc1")
    shard.table.fold([beat])
    shard.table.fold([refused])
    assert shard["a"].last_heartbeat_ms == shard.now_ms


def test_bad_metrics_are_noted_and_the_heartbeat_counts() -> None:
    shard = Shard()
    shard.say(error_rate="nan", latency_ms=5)
    (noted,) = shard.table.rejections
    assert (noted.reason, noted.id) == ("dropped_metrics", "a")
    assert "error_rate" in noted.detail
    assert (shard["a"].metrics, shard["a"].refused_heartbeats) == ({"latency_ms": 5.0}, 0)
    assert shard.state() == "healthy"


def test_the_good_ones_of_a_batch_count_beside_a_bad_one() -> None:
    shard = Shard()
    shard.hear(batch(shard.now_ms, {"id": "a"}, {"id": "."}, {"id": "b"}, seq=1))
    assert sorted(shard.table.components) == ["a", "b"]
    assert [one.reason for one in shard.table.rejections] == ["bad_id"]


def test_of_a_flood_of_refusals_the_latest_are_kept_and_the_others_counted() -> None:
    shard = Shard()
    shard.hear(*(entry(shard.now_ms, "id", ".", seq=n) for n in range(1, REJECTIONS_KEPT + 8)))
    assert (len(shard.table.rejections), shard.table.rejections_lost) == (REJECTIONS_KEPT, 7)


# -- bytes that are known --------------------------------------------------------------------------------------------


def test_after_another_form_the_known_bytes_are_read_anew() -> None:
    for other in (
        batch(START_MS + 2_000, {"id": "a", "status": "failing"}),
        entry(START_MS + 2_000, "status", "failing", "id", "a"),
        flat(START_MS + 2_000, status="failing", error_rate="nan"),
    ):
        shard = Shard()
        shard.say(interval=1, latency_ms=5)
        shard.say(after_s=1, interval=1, latency_ms=5)
        shard.table.fold([other])
        shard.hear(flat(START_MS + 3_000, seq=9, interval=1, latency_ms=5))
        assert shard["a"].status == "ok"


@pytest.mark.parametrize(("gap_ms", "missed"), [(1_499, 0), (1_500, 1), (2_000, 1), (2_600, 2)])
def test_a_gap_in_which_a_heartbeat_may_be_missing_is_counted_among_known_bytes_too(gap_ms: int, missed: int) -> None:
    shard = Shard()
    for _ in range(3):
        shard.say(after_s=1, interval=1, latency_ms=5)
    last_ms = shard.now_ms
    known = [flat(last_ms + after_ms, interval=1, latency_ms=5) for after_ms in (1_000, 1_000 + gap_ms, 2_000 + gap_ms)]
    shard.table.fold(known)
    assert (shard["a"].missed_heartbeats, shard["a"].total_heartbeats) == (missed, 6)


def test_a_record_that_is_loaded_with_something_to_decide_is_judged_in_the_first_round() -> None:
    shard = Shard()
    shard.say()
    shard.table.fold([flat(shard.now_ms + 5, seq=7, status="failing")])
    cold = Table(shard.defaults, Wire())
    cold.put(read_component(hash_fields(shard["a"]), shard.defaults))
    cold.fold([canary(shard.now_ms + 5)])
    assert [event.target for event in lead(cold, cold.seen_ms)] == ["unhealthy"]


def test_packed_bytes_under_another_name_are_not_its_heartbeat() -> None:
    shard = Shard()
    for _ in range(3):
        shard.hear(packed(shard.now_ms + 1_000, interval=1, latency_ms=5.0))
    known = packed(shard.now_ms + 1_000, interval=1, latency_ms=6.0)[1]
    shard.hear(entry(shard.now_ms + 1_000, "role", *known[1:]))
    assert shard["a"].total_heartbeats == 3
    assert [one.reason for one in shard.table.rejections] == ["no_id"]


@pytest.mark.parametrize("first_ms", [5, 10**12 - 1, 10**13 - 1])
def test_ids_that_a_sender_made_up_are_folded_like_any_other(first_ms: int) -> None:
    shard = Shard(now_ms=first_ms)
    for _ in range(4):
        shard.say(after_s=0.4, interval=1, latency_ms=5)
    shard.table.fold([flat(shard.now_ms + 400 * n, interval=1, latency_ms=5) for n in range(1, 5)])
    assert shard["a"].total_heartbeats == 8


# -- a stream ahead of its time --------------------------------------------------------------------------------------


def test_while_ids_run_ahead_the_time_of_the_read_is_the_arrival() -> None:
    shard = Shard()
    shard.table.fold([flat(START_MS + 10**9)], pinned_ms=START_MS + 500)
    assert shard["a"].last_heartbeat_ms == START_MS + 500 == shard.table.seen_ms
    shard.table.fold([flat(START_MS + 10**9, seq=1)], pinned_ms=START_MS + 900)
    assert shard["a"].last_heartbeat_ms == START_MS + 900


def test_after_a_repair_lower_ids_come_after_the_higher_ones_of_before() -> None:
    shard = Shard()
    shard.table.fold([flat(START_MS + 10**9)], pinned_ms=START_MS + 500)
    shard.table.fold([flat(START_MS + 600)])
    assert shard["a"].total_heartbeats == 1, "it is not beyond the component's mark"
    shard.table.begin_era(1)
    shard.table.fold([flat(START_MS + 700)])
    assert (shard["a"].total_heartbeats, shard["a"].era) == (2, 1)
    assert mark_of(shard["a"]) == mark(1, f"{START_MS + 700}-0".encode())


def test_a_refusal_after_a_repair_is_counted_once() -> None:
    shard = Shard()
    shard.say()
    shard.table.begin_era(1)
    bad = entry(shard.now_ms, "id", "a", "p", b"\xc1", seq=50)
    for _ in range(2):
        shard.table.fold([bad])
    assert shard["a"].refused_heartbeats == 1


# -- applying --------------------------------------------------------------------------------------------------------


def test_an_event_that_does_not_follow_is_refused_and_one_that_is_known_is_not_applied_again() -> None:
    shard = Shard()
    events = shard.say(status="degraded")
    follower = Table(shard.defaults, Wire())
    moment = follower.moment(shard.now_ms)
    assert not follower.apply(events[0], moment), "it has no such component yet"
    follower.fold([flat(shard.now_ms, seq=1, status="degraded")])
    assert not follower.apply(events[1], moment), "the one before is missing"
    assert follower.apply(events[0], moment)
    assert follower.apply(events[1], moment)
    assert follower.apply(events[1], moment)
    assert follower.components["a"].rev == 2
    assert not follower.apply(replace(events[1], born_ms=5, rev=3), moment), "it is of another one of that name"


def forgotten(shard: Shard, **said: object) -> Event:
    return Event(EventType.FORGOTTEN, "a", rev=3, born_ms=START_MS, at_ms=shard.now_ms, set=said)


def test_a_forgotten_one_leaves_nothing_but_a_tombstone() -> None:
    shard = Shard()
    shard.say(incarnation="i1")
    assert shard.table.apply(forgotten(shard), shard.moment)
    assert not shard.table.components
    assert shard.table.next_look_ms() is None
    assert shard.table.touched() == []
    assert shard.table.gone == {"a": (shard.now_ms, "i1")}
    assert shard.table.longest_timeout_ms == shard.defaults.heartbeat_timeout_ms


def test_one_that_came_back_under_its_name_is_not_forgotten_by_the_old_event() -> None:
    shard = Shard()
    shard.say()
    assert shard.table.apply(replace(forgotten(shard), born_ms=5), shard.moment)
    assert "a" in shard.table.components


def test_a_follower_keeps_the_tombstone_of_one_it_had_not_met() -> None:
    shard = Shard()
    assert shard.table.apply(forgotten(shard, incarnation="i1"), shard.moment)
    shard.say(incarnation="i1", after_s=1)
    assert not shard.table.components


def test_a_record_that_is_put_takes_the_place_of_the_one_before() -> None:
    shard = Shard()
    shard.say(interval=60)
    stored = hash_fields(shard["a"])
    shard.say(interval=600)
    shard.table.put(read_component(stored, shard.defaults))
    assert shard["a"].total_heartbeats == 1
    assert shard.table.longest_timeout_ms == 120_000


# -- what is left to store -------------------------------------------------------------------------------------------


def test_whoever_was_heard_or_changed_is_touched_until_somebody_asks() -> None:
    shard = Shard()
    shard.say("a", interval=1)
    shard.say("b", interval=1)
    assert sorted(one.id for one in shard.table.touched()) == ["a", "b"]
    assert shard.table.touched() == []
    shard.say("a", after_s=1, interval=1)
    assert shard.table.is_touched
    assert [one.id for one in shard.table.touched()] == ["a"]


def test_one_that_goes_down_hides_nobody_behind_it() -> None:
    shard = Shard(Defaults(heartbeat_timeout_ms=600, degraded_threshold_ms=1_200, dead_threshold_ms=1_800))
    shard.say("first")
    shard.watch(1)
    shard.say("second")
    shard.say("third", after_s=0.1)
    shard.watch(4)
    assert shard.path("first") == [(0, "healthy"), (0.6, "degraded"), (1.2, "unhealthy"), (1.8, "dead")]
    assert shard.path("second") == [(1, "healthy"), (1.6, "degraded"), (2.2, "unhealthy"), (2.8, "dead")]
    assert shard.path("third") == [(1.1, "healthy"), (1.7, "degraded"), (2.3, "unhealthy"), (2.9, "dead")]


def test_while_everybody_beats_nobody_is_judged() -> None:
    shard = Shard()
    shard.say("a", interval=10)
    for _ in range(20):
        shard.say("a", after_s=10, interval=10)
    moment = shard.moment
    assert list(shard.table.due(moment)) == []
    assert shard.table.next_look_ms() is not None
