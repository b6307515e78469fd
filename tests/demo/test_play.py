"""The demo's timetable: what it promises for as long as anybody watches."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from healthmon.core.policy import Defaults
from healthmon.demo.play import ACTS, CAST, SCENE_EVERY_S, THRESHOLDS, Scene, play

HOUR = list(islice(play(), round(3600 / SCENE_EVERY_S)))
TIMEOUT_S = THRESHOLDS["heartbeat_timeout"]
# A component that was killed says nothing until it is started and has imported what it needs.
START_S = 2.0


def silences(scenes: list[Scene]) -> list[tuple[float, float]]:
    """From when to when nothing is heard of somebody whom heartbeats are expected of."""
    return [(one.at_s, one.at_s + one.act.silent_s + START_S) for one in scenes if one.act.silent_s]


def test_there_are_a_dozen_components() -> None:
    assert len(CAST) == 12


def test_no_more_than_three_are_ever_silent_together() -> None:
    spans = silences(HOUR)
    for begun, _ in spans:
        assert sum(since <= begun + TIMEOUT_S and begun < until for since, until in spans) <= 3


def test_nobody_crashes_often_enough_for_a_crash_loop() -> None:
    kills = [scene for scene in HOUR if scene.act.kind == "kill"]
    for first in kills:
        same = [scene for scene in kills if scene.who == first.who and 0 <= scene.at_s - first.at_s <= 600]
        assert len(same) < Defaults().max_retries


def test_nothing_befalls_a_component_that_is_still_in_trouble() -> None:
    for earlier, scene in ((a, b) for a in HOUR for b in HOUR if a.who == b.who and a.at_s < b.at_s):
        assert earlier.at_s + earlier.act.lasts_s + START_S < scene.at_s


def test_everybody_meets_every_act() -> None:
    met = Counter((scene.who, scene.act) for scene in HOUR)
    assert len(met) == len(CAST) * len(ACTS)


def test_something_happens_at_once_and_within_half_a_minute_everything() -> None:
    assert HOUR[0].at_s == 0
    assert {scene.act for scene in HOUR if scene.at_s <= 30} == set(ACTS)
    longest = max(act.lasts_s for act in ACTS if act.kind == "kill")
    assert longest > THRESHOLDS["dead_threshold"]  # the killed one is seen dead before it is back
