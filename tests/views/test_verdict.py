from __future__ import annotations

import pytest

from healthmon.core.alert import rfc3339
from healthmon.views.verdict import Bounds, Grade, unknown, verdict_of_many, verdict_of_one, worst

NOW_MS = 1_795_460_400_000


def record(one: str, state: str, reason: str = "") -> dict[str, str]:
    return {"id": one, "state": state, "reason": reason, "score": "0.25", "last_heartbeat": rfc3339(NOW_MS - 1500)}


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("healthy", 0),
        ("degraded", 1),
        ("restarting", 1),
        ("initializing", 1),
        ("unhealthy", 2),
        ("dead", 2),
        ("permanently_failed", 2),
        ("unknown", 3),
        ("of a later version", 3),
    ],
)
def test_every_state_has_its_code(state: str, code: int) -> None:
    assert verdict_of_one(record("a", state), NOW_MS, Bounds(), "").grade == code


def test_one_component_is_told_with_its_reason_and_figures() -> None:
    told = verdict_of_one(record("j_prime", "dead", "no heartbeat | for 3 s"), NOW_MS, Bounds(), "")
    assert told.line == "DEAD: j_prime: no heartbeat / for 3 s | score=0.25 silence=1.5s"
    never = verdict_of_one({"id": "x", "state": "unknown"}, NOW_MS, Bounds(), "")
    assert never.line == "UNKNOWN: x | score=U silence=U"


def test_a_state_may_be_moved_to_another_code() -> None:
    bounds = Bounds(frozenset(("dead",)), frozenset(("degraded", "dead")))
    assert [bounds.grade(state) for state in ("dead", "degraded", "unhealthy", "healthy", "unknown")] == [2, 2, 0, 0, 3]


def test_critical_comes_before_unknown_and_that_before_a_warning() -> None:
    assert worst([Grade.OK, Grade.UNKNOWN, Grade.CRITICAL]) is Grade.CRITICAL
    assert worst([Grade.WARNING, Grade.UNKNOWN]) is Grade.UNKNOWN
    assert worst([]) is Grade.UNKNOWN


def test_of_many_the_worst_is_named_first_and_the_rest_counted() -> None:
    named = [record("a", "dead", "gone"), *(record(f"w-{n}", "degraded") for n in range(8))]
    told = verdict_of_many({"dead": 1, "degraded": 8, "healthy": 991}, named, Bounds(), "")
    assert (told.grade, told.word) == (Grade.CRITICAL, "DEAD")
    assert told.sentence.startswith("9 of 1 000 components are not healthy: a is Dead, w-0 is Degraded")
    assert told.sentence.endswith("w-3 is Degraded and 4 more")
    assert told.line.endswith(
        " dead=1 unhealthy=0 degraded=8 restarting=0 initializing=0 unknown=0 healthy=991 total=1000"
    )
    assert told.lines[0] == "DEAD: a: gone"
    assert verdict_of_many({"healthy": 2}, [], Bounds(), "").line.startswith("OK: all 2 components are healthy | ")


def test_what_nobody_keeps_true_is_unknown_unless_it_is_critical() -> None:
    frozen = "no leader: the data is 40 s old"
    good = verdict_of_one(record("a", "healthy", "well"), NOW_MS, Bounds(), frozen)
    assert (good.grade, good.line.partition(" |")[0]) == (3, f"UNKNOWN: {frozen}; HEALTHY before: a: well")
    bad = verdict_of_one(record("a", "dead", "gone"), NOW_MS, Bounds(), frozen)
    assert (bad.grade, bad.line.partition(" |")[0]) == (2, f"DEAD: a: gone; {frozen}")
    assert unknown("why").line == "UNKNOWN: why"
