"""Flapping: told once, then a digest; slowed down, and the last real change is never swallowed."""

from __future__ import annotations

import copy
from itertools import pairwise

from healthmon.core.event import EventType
from healthmon.core.flapping import change_in
from tests.core.shard import START_MS, Shard, alerts_of
from tests.core.supervised import QUICK, RESTART


def turn(shard: Shard, times: int, apart_s: float = 1) -> None:
    """It is well, and then says that it is not and that it is, so many times."""
    shard.say()
    for _ in range(times):
        shard.say(after_s=apart_s, status="degraded")
        shard.say(after_s=apart_s)


def told(shard: Shard) -> list[tuple[str, float]]:
    return [
        (one.rule, (one.at_ms - START_MS) / 1000) for one in shard.events if one.type is EventType.FLAPPING
    ]  # fmt: skip


def keep_beating(shard: Shard, seconds: float) -> None:
    """Heartbeats that change nothing, every ten seconds."""
    for _ in range(round(seconds / 10)):
        shard.say(after_s=10)


def test_more_than_four_changes_in_ten_minutes_are_flapping() -> None:
    shard = Shard()
    turn(shard, 2)
    assert told(shard) == []
    events = shard.say(after_s=1, status="degraded")
    assert [(one.type, one.rule) for one in events] == [
        (EventType.TRANSITION, "own_words"),
        (EventType.FLAPPING, "starts"),
    ]
    assert events[-1].reason == "flapping: 3 times no longer healthy in 10 minutes"
    assert shard["a"].flapping == shard.now_ms


def test_changes_that_are_far_apart_are_none() -> None:
    shard = Shard()
    for _ in range(12):
        shard.say(after_s=1, status="degraded")
        shard.say(after_s=1)
        keep_beating(shard, 300)
    assert told(shard) == []


def test_a_death_with_its_restart_is_one_change_however_many_states_it_runs_through() -> None:
    shard = Shard(QUICK)
    shard.declare(restart=RESTART)
    shard.say(incarnation="i0")
    for number in (1, 2):
        shard.watch(5 + 5 * number)
        shard.finish()
        shard.say(after_s=0.1, incarnation=f"i{number}")
    assert len(shard.path()) > 12
    assert told(shard) == []


def test_while_flapping_states_are_committed_every_ten_seconds_at_most_and_the_last_change_is_not_lost() -> None:
    shard = Shard()
    turn(shard, 2)
    shard.say(after_s=1, status="degraded")
    began = len(shard.path())
    for number in range(30):
        shard.say(after_s=1, status="degraded" if number % 2 else "ok")
    times = [at for at, _ in shard.path()[began - 1 :]]
    assert all(later - earlier >= 10 for earlier, later in pairwise(times))
    shard.say(after_s=1, status="failing", msg="the last word")
    shard.watch(20)
    assert (shard.state(), shard["a"].reason) == ("unhealthy", "it says failing: the last word")


def test_deaths_are_not_slowed_down() -> None:
    shard = Shard(QUICK)
    turn(shard, 3, 0.1)
    assert shard["a"].flapping
    shard.report("exit")
    assert shard.state() == "dead"


def test_silence_while_flapping_climbs_as_far_as_the_slower_commits_allow_without_looking_all_the_time() -> None:
    shard = Shard(QUICK)
    turn(shard, 3, 0.1)
    before, began_ms = shard.rounds, shard.now_ms
    shard.watch(40)
    assert [state for _, state in shard.path()[-3:]] == ["degraded", "unhealthy", "dead"]
    assert shard.rounds - before <= 12 + (shard.now_ms - began_ms) // shard.table.canary_ms


def test_it_ends_when_it_has_been_calm_and_its_incident_with_it() -> None:
    shard = Shard()
    turn(shard, 4)
    incident = shard["a"].incident
    assert incident
    keep_beating(shard, 660)
    assert [rule for rule, _ in told(shard)] == ["starts", "ends"]
    (_, started_s), (_, ended_s) = told(shard)
    assert (started_s, ended_s) == (5, 603), "ten minutes after the last change but one"
    assert (shard["a"].flapping, shard["a"].incident, shard.state()) == (0, "", "healthy")


def test_one_that_goes_on_flapping_is_told_in_a_digest_every_ten_minutes() -> None:
    shard = Shard()
    for _ in range(60):
        shard.say(after_s=15, status="degraded")
        shard.say(after_s=15)
    rules, times = zip(*told(shard), strict=True)
    assert rules == ("starts", "goes_on", "goes_on")
    assert times[1] - times[0] >= 600
    assert times[2] - times[1] >= 600


def test_people_hear_of_flapping_once_and_not_of_every_turn_but_of_its_deaths() -> None:
    shard, heard = Shard(QUICK), list[tuple[str, str]]()
    shard.say()
    for number in range(14):
        before = copy.copy(shard["a"])
        events = shard.say(after_s=0.5, status="degraded" if number % 2 else "ok") if number < 13 else shard.watch(60)
        told_of = alerts_of(before, events, shard.defaults)
        heard += [(one["data"]["new_state"], one["data"]["status"]) for one in told_of]
    assert heard == [
        *[("degraded", "firing"), ("healthy", "resolved")] * 2,
        *[("degraded", "firing"), ("flapping", "firing"), ("dead", "firing")],
    ]


def test_it_ends_well_below_where_it_began() -> None:
    shard = Shard()
    shard.say()
    component = shard["a"]
    component.turns, component.flapping = (START_MS + 1_000, START_MS + 2_000, START_MS + 3_000), START_MS + 3_000
    assert [change_in(component, START_MS + ms) for ms in (600_999, 601_000, 601_999, 602_000)] == ["", "", "", "ends"]
    component.flapping = 0
    assert [change_in(component, START_MS + ms) for ms in (600_999, 601_000)] == ["starts", ""]
