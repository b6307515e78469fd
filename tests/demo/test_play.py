"""The demo's timetable: what it promises for as long as anybody watches."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, takewhile

from healthmon.core.flapping import TURNS_MAX, WITHIN_MS
from healthmon.core.policy import Defaults, parse_policy
from healthmon.demo.play import (
    ACTS,
    BREAKER,
    CAST,
    DEPENDS_ON,
    FLAPPER,
    HANG,
    KILL,
    RESTART,
    STARTUP_S,
    STEADY,
    THRESHOLDS,
    VIEWERS,
    Scene,
    play,
)

AFTERNOON = list(takewhile(lambda scene: scene.at_s <= 4 * 3600, play()))
TIMEOUT_S = THRESHOLDS["heartbeat_timeout"]
# From a scene to its end at the latest, with what a restart takes.
AFTER_S = 8.0


def test_there_are_a_dozen_components() -> None:
    assert len(CAST) == 12


def test_scenes_come_in_their_order() -> None:
    assert all(earlier.at_s <= later.at_s for earlier, later in pairwise(AFTERNOON))


def test_no_more_than_three_are_ever_silent_together() -> None:
    spans = [(one.at_s, one.at_s + max(one.act.lasts_s, AFTER_S)) for one in AFTERNOON if one.act.silent]
    for begun, _ in spans:
        assert sum(since <= begun + TIMEOUT_S and begun < until for since, until in spans) <= 3


def turns(who: str) -> list[float]:
    return [scene.at_s for scene in AFTERNOON if scene.who == who]


def most_within_ten_minutes(who: str) -> int:
    return max((sum(at - WITHIN_MS / 1000 < t <= at for t in turns(who)) for at in turns(who)), default=0)


def test_nobody_flaps_but_the_one_that_is_meant_to() -> None:
    assert {who for who in CAST if most_within_ten_minutes(who) > TURNS_MAX} == {FLAPPER}
    assert {scene.act.kind for scene in AFTERNOON if scene.who == FLAPPER} == {"mood"}


def test_the_one_that_is_left_to_the_viewer_is_well() -> None:
    assert VIEWERS in CAST
    assert not turns(VIEWERS)


def test_nothing_befalls_a_component_that_is_still_in_trouble() -> None:
    for who in CAST:
        mine = [scene for scene in AFTERNOON if scene.who == who]
        for earlier, later in pairwise(mine):
            assert earlier.at_s + earlier.act.lasts_s + AFTER_S < later.at_s


def test_everybody_else_meets_every_act() -> None:
    met = Counter((scene.who, scene.act) for scene in AFTERNOON if scene.who in STEADY)
    assert len(met) == len(STEADY) * len(ACTS)
    assert {*STEADY, VIEWERS, FLAPPER} == set(CAST)


def test_something_happens_at_once_and_every_act_within_two_minutes() -> None:
    opening = [scene for scene in AFTERNOON if scene.at_s < 120]
    assert [scene.act for scene in opening if scene.at_s < 10][-1] is KILL
    assert opening[0].at_s == 0
    assert {scene.act for scene in opening} == set(ACTS)
    assert all(later.at_s - earlier.at_s <= 20 for earlier, later in pairwise(opening))
    assert HANG.lasts_s > THRESHOLDS["dead_threshold"] + RESTART["base_delay"] + AFTER_S, "it would come back by itself"


def test_a_dependant_is_killed_with_what_it_depends_on() -> None:
    for who, needed in DEPENDS_ON.items():
        killed = {scene.at_s: scene for scene in AFTERNOON if scene.who == who and scene.act is KILL}
        assert any(Scene(at_s, needed[0], KILL) in AFTERNOON for at_s in killed)


def test_the_policy_can_be_kept() -> None:
    reset_s = STARTUP_S + TIMEOUT_S + 1
    given = {**THRESHOLDS, "startup_timeout": STARTUP_S, "restart": {**RESTART, "reset_after": reset_s}}
    assert parse_policy({**given, "breaker": dict(BREAKER)}, Defaults()).restarts
