"""From evidence to events: their order and revs, incidents, ageing, and when to look again."""

from __future__ import annotations

import pytest

from healthmon.core.component import HealthState
from healthmon.core.decide import decide, look_at_ms, make_room, shown_score
from healthmon.core.event import Event, EventType
from healthmon.core.policy import NEVER_MS, Defaults
from healthmon.core.rules import Moment
from healthmon.core.score import SILENT_SCORES
from tests.core.shard import START_MS, Shard, flat, lead

HOUR_MS, WEEK_MS = 3_600_000, 604_800_000


def kinds(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.type.value, event.rev) for event in events]


def test_the_first_heartbeat_registers_and_moves_in_one_round() -> None:
    shard = Shard()
    events = shard.say(role="worker")
    assert kinds(events) == [("registered", 1), ("transition", 2)]
    registered, moved = events
    assert (registered.reason, registered.at_ms, registered.born_ms) == (
        "registered by its first heartbeat",
        shard.now_ms,
        shard.now_ms,
    )
    assert (moved.source, moved.target, moved.rule, moved.reason) == (
        *("unknown", "healthy", "heartbeat"),
        "first heartbeat",
    )
    assert shard["a"].role == "worker"


def test_a_restart_of_its_own_is_told_before_what_follows_from_it() -> None:
    shard = Shard()
    shard.say(incarnation="i1")
    events = shard.say(incarnation="i2", status="failing")
    assert kinds(events) == [("restart", 3), ("transition", 4)]
    assert (events[0].reason, events[0].rule) == ("it restarted by itself", "incarnation")
    assert shard.say(incarnation="i2", status="failing") == [], "it is told once"


def test_restarts_that_were_read_together_are_told_together_and_counted_each() -> None:
    shard = Shard()
    shard.say(incarnation="i1")
    beats = [flat(shard.now_ms, seq=100 + n, incarnation=f"i{n}") for n in range(2, 5)]
    assert kinds(shard.hear(*beats)) == [("restart", 3)]
    assert (shard["a"].restart_count, shard["a"].respawns_told) == (3, 3)


def test_an_incident_runs_from_the_first_bad_state_to_the_first_good_one() -> None:
    shard = Shard()
    shard.say()
    shard.say(status="degraded")
    incident = f"a@{shard.now_ms}"
    assert shard["a"].incident == incident
    shard.say(after_s=1, status="failing")
    assert shard["a"].incident == incident
    shard.say(after_s=1)
    assert shard["a"].incident == ""
    shard.say(after_s=1, status="degraded")
    assert shard["a"].incident == f"a@{shard.now_ms}" != incident


@pytest.mark.parametrize(("status", "kept"), [("starting", True), ("stopping", False), ("ok", False)])
def test_starting_again_keeps_the_incident_and_a_goodbye_ends_it(status: str, kept: bool) -> None:
    shard = Shard()
    shard.say(status="failing")
    incident = shard["a"].incident
    shard.say(status=status)
    assert shard["a"].incident == (incident if kept else "")


def test_a_reason_is_at_most_120_characters() -> None:
    shard = Shard()
    (_, moved) = shard.say(status="failing", msg="x" * 300)
    assert len(moved.reason) == 120
    assert moved.reason.endswith("x…")


def test_what_was_heard_after_the_moment_is_judged_at_its_own_moment() -> None:
    shard = Shard()
    shard.say()
    shard.watch(1)
    table = shard.table
    table.fold([flat(shard.now_ms + 5, seq=500, latency_ms=450)])
    assert lead(table, shard.now_ms) == []
    assert table.next_look_ms() == shard.now_ms + 5
    assert [event.target for event in lead(table, shard.now_ms + 5)] == ["degraded"]


def test_a_component_heard_of_after_the_moment_is_registered_all_the_same() -> None:
    shard = Shard()
    shard.table.fold([flat(shard.now_ms + 5, status="stopping")])
    assert kinds(lead(shard.table, shard.now_ms)) == [("registered", 1)]
    assert lead(shard.table, shard.now_ms + 5) == [], "a goodbye leaves it unknown"
    assert shard.state() == "unknown"


def test_each_is_decided_once_a_round_however_many_ways_it_is_due() -> None:
    shard = Shard()
    late_ms = shard.now_ms + 200_000
    shard.table.fold([flat(shard.now_ms, interval=1), flat(late_ms, "b")])
    moment = shard.table.moment(late_ms)
    assert [component.id for component in shard.table.due(moment)] == ["a", "b"]


def test_no_other_edge_than_a_legal_one_is_decided() -> None:
    shard = Shard()
    shard.say()
    component = shard["a"]
    component.state = HealthState.PERMANENTLY_FAILED
    assert decide(component, Moment(shard.now_ms + 200_000, shard.table.blindness), shard.defaults) == ()


# -- ageing ----------------------------------------------------------------------------------------------------------


def test_one_that_said_goodbye_is_forgotten_after_an_hour() -> None:
    shard = Shard()
    shard.say(status="stopping")
    shard.watch(3_599.999)
    assert "a" in shard.table.components
    (event,) = shard.watch(0.001)
    assert (event.type, event.rule, event.at_ms) == (EventType.FORGOTTEN, "ageing", START_MS + HOUR_MS)
    assert event.reason == "unknown for 3600 s, and it had registered itself"
    assert "a" not in shard.table.components


def test_a_dead_one_is_forgotten_after_seven_days() -> None:
    shard = Shard(Defaults(forget_after_ms=300_000))
    assert Defaults().forget_after_ms == WEEK_MS
    shard.say()
    shard.watch(180 + 299)
    assert shard.state() == "dead"
    (event,) = shard.watch(1)
    assert (event.type, event.rule) == (EventType.FORGOTTEN, "ageing")


def test_a_declared_one_does_not_age() -> None:
    shard = Shard(Defaults(forget_after_ms=10_000, forget_after_unknown_ms=10_000))
    shard.declare()
    shard.declare("b")
    shard.say("b")
    shard.watch(400)
    assert [shard[one].state for one in ("a", "b")] == [HealthState.DEAD, HealthState.DEAD]


def test_the_longest_gone_makes_room_with_an_event_of_its_own() -> None:
    shard = Shard()
    shard.say(status="stopping")
    shard.watch(60)
    event = make_room(shard["a"], shard.moment)
    assert (event.type, event.rev, event.rule) == (EventType.FORGOTTEN, 2, "room")
    assert event.reason == "unknown for 60 s, and its place was needed (max_components)"


# -- looking again ---------------------------------------------------------------------------------------------------


def look_ms(shard: Shard) -> int:
    return look_at_ms(shard["a"], shard.moment, shard.defaults) - shard.now_ms


def test_the_next_look_is_at_the_next_stage_of_silence() -> None:
    shard = Shard()
    shard.say()
    assert look_ms(shard) == 45_000
    shard.watch(45)
    assert look_ms(shard) == 45_000
    shard.watch(45)
    assert look_ms(shard) == 90_000


def test_the_next_look_waits_for_as_long_as_nobody_may_die() -> None:
    shard = Shard()
    shard.say()
    shard.watch(90)
    shard.table.observing_ms = shard.now_ms + 60_000
    assert look_ms(shard) == 105_000
    shard.table.recovering_until_ms = shard.now_ms + 120_000
    assert look_ms(shard) == 120_000


def test_nobody_looks_at_the_dead_but_to_forget_them() -> None:
    shard = Shard()
    shard.say()
    shard.watch(180)
    assert look_ms(shard) == WEEK_MS
    declared = Shard()
    declared.declare()
    declared.say()
    declared.watch(180)
    assert look_at_ms(declared["a"], declared.moment, declared.defaults) == NEVER_MS


def test_a_starting_one_is_looked_at_when_its_time_is_over() -> None:
    shard = Shard(Defaults(startup_timeout_ms=20_000))
    shard.say(status="starting")
    assert look_ms(shard) == 20_000


def test_a_deadline_that_has_passed_is_looked_at_in_the_next_millisecond() -> None:
    shard = Shard()
    shard.say()
    late = Moment(shard.now_ms + 200_000, shard.table.blindness)
    assert look_at_ms(shard["a"], late, shard.defaults) == late.now_ms + 1
    assert [event.target for event in decide(shard["a"], late, shard.defaults)] == ["degraded"]


# -- the score that is shown -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("silent_s", "score"), [(0, 1.0), (45, 0.69), (90, 0.39), (180, 0.0)])
def test_a_silent_component_may_not_look_well(silent_s: float, score: float) -> None:
    shard = Shard()
    shard.say(latency_ms=5)
    shard.watch(silent_s)
    assert shown_score(shard["a"], SILENT_SCORES) == score


def test_a_bad_score_is_shown_as_it_is_and_rounded_to_two_places() -> None:
    shard = Shard()
    shard.say(latency_ms=450)
    assert shown_score(shard["a"], SILENT_SCORES) == 0.61
    shard.watch(45)
    assert shown_score(shard["a"], SILENT_SCORES) == 0.61, "silence did not move it: it was degraded already"
