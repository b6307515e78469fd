"""Who is probed when, without a single probe: moments are arguments."""

from __future__ import annotations

from dataclasses import replace

from healthmon.probes.schedule import JITTER, NEVER_MS, PATIENCE_S, SPREAD_S, ProbeTarget, Schedule

MS = 1_000_000_000.0
Fleet = dict[str, ProbeTarget]


def target(name: str, *, due_ms: float = MS, urgent: bool = False, interval_s: float = 15.0) -> ProbeTarget:
    return ProbeTarget(name, {}, interval_s, 5.0, 0, round(due_ms), urgent)


def fleet(schedule: Schedule, *targets: ProbeTarget, now_s: float = 0.0) -> Fleet:
    for one in targets:
        schedule.see(one.id, one, MS + now_s * 1000, now_s)
    return {one.id: one for one in targets}


def begun(schedule: Schedule, known: Fleet, now_s: float) -> list[str]:
    return [one.id for one in schedule.begin(MS + now_s * 1000, now_s, known.get)]


def test_what_was_due_long_ago_is_spread_and_what_comes_due_is_on_time() -> None:
    schedule = Schedule(10_000)
    known = fleet(
        schedule, *(target(f"late{n}", due_ms=MS - 60_000) for n in range(1000)), target("soon", due_ms=MS + 9000)
    )
    at_once = begun(schedule, known, 0.01)
    first_second = begun(schedule, known, 1.0)
    assert len(at_once) < 20
    assert 150 < len(at_once + first_second) < 250
    assert len(begun(schedule, known, SPREAD_S)) == 1000 - len(at_once + first_second)
    assert "soon" not in begun(schedule, known, 8.99)
    assert begun(schedule, known, 9 + 15 * JITTER) == ["soon"]


def test_jitter_is_the_same_for_the_same_and_lengthens_by_a_tenth_at_most() -> None:
    starts = []
    for _ in range(2):
        schedule = Schedule(10_000)
        fleet(schedule, *(target(f"c{n}", due_ms=MS + 1000) for n in range(500)))
        starts.append(sorted(known.at_s for known in schedule._known.values()))
    assert starts[0] == starts[1]
    assert 1.0 <= starts[0][0] < 1.01
    assert 1.0 + 15 * JITTER * 0.9 < starts[0][-1] <= 1.0 + 15 * JITTER
    assert len(set(starts[0])) > 490


def test_urgent_ones_go_first_and_to_the_millisecond() -> None:
    schedule = Schedule(2)
    known = fleet(
        schedule, *(target(f"c{n}", interval_s=0.001) for n in range(10)), target("now", due_ms=MS + 500, urgent=True)
    )
    assert "now" not in begun(schedule, known, 0.4999)
    for one in list(schedule._running):
        schedule.end(one, MS, 0.4999)
    assert begun(schedule, known, 0.5)[0] == "now"


def test_never_is_never_and_a_forgotten_one_is_not_begun() -> None:
    schedule = Schedule(10)
    known = fleet(schedule, target("open", due_ms=NEVER_MS), target("gone"), target("kept"))
    del known["gone"]
    assert begun(schedule, known, 100.0) == ["kept"]
    assert schedule.next_s(100.0) == float("inf")


def test_one_is_asked_for_again_just_before_it_is_begun() -> None:
    schedule = Schedule(10)
    known = fleet(schedule, target("a"))
    known["a"] = replace(known["a"], due_ms=round(MS + 30_000), generation=9)
    assert begun(schedule, known, 10.0) == []
    (again,) = schedule.begin(MS + 32_000, 32.0, known.get)
    assert again.generation == 9


def test_a_probe_is_not_repeated_before_the_core_has_heard_of_it() -> None:
    schedule = Schedule(10)
    known = fleet(schedule, target("a"))
    assert begun(schedule, known, 5.0) == ["a"]
    assert begun(schedule, known, 30.0) == []
    schedule.end("a", MS + 30_000, 30.0)
    assert begun(schedule, known, 30.0 + 0.001) == ["a"], "its interval has passed since it began"
    schedule.end("a", MS + 30_002, 30.002)
    assert begun(schedule, known, 44.9) == []
    assert begun(schedule, known, 30.002 + 15 * (1 + JITTER)) == ["a"]


def test_what_is_running_is_not_begun_again_whatever_the_core_wants() -> None:
    schedule = Schedule(10)
    known = fleet(schedule, target("a", urgent=True))
    assert begun(schedule, known, 0.0) == ["a"]
    known |= fleet(schedule, target("a", due_ms=MS + 1000, urgent=True), now_s=0.5)
    assert begun(schedule, known, 2.0) == []
    schedule.end("a", MS + 3000, 3.0)
    assert begun(schedule, known, 3.0) == ["a"]


def test_a_second_permit_is_used_at_once() -> None:
    schedule = Schedule(10)
    known = fleet(schedule, target("a", urgent=True))
    assert begun(schedule, known, 0.0) == ["a"]
    schedule.end("a", MS + 10, 0.01)
    assert begun(schedule, known, 0.1) == []
    known |= fleet(schedule, target("a", due_ms=MS + 80, urgent=True), now_s=0.1)
    assert begun(schedule, known, 0.1) == ["a"]


def test_those_that_hang_make_place_step_by_step_and_then_wait_for_each_other() -> None:
    schedule = Schedule(50)
    known = fleet(schedule, *(target(f"hangs{n}", interval_s=0.001) for n in range(50)))
    assert len(begun(schedule, known, 0.1)) == 50
    assert schedule.overdue(9.0) == [], "nobody waits"
    known |= fleet(schedule, *(target(f"well{n}", interval_s=0.001) for n in range(1000)), now_s=0.2)
    assert begun(schedule, known, 0.3) == []
    assert schedule.overdue(0.3) == [], "they may still answer"
    now_s, verdicts = 0.2 + PATIENCE_S[0], dict.fromkeys(known, 0)
    for turn in range(200):
        for one in schedule.overdue(now_s):
            schedule.put_back(one)
        for one in begun(schedule, known, now_s):
            if one.startswith("well"):
                schedule.end(one, MS + now_s * 1000, now_s)
                verdicts[one] += 1
        for one, running in list(schedule._running.items()):
            if now_s - running.begun_s >= 5:
                schedule.end(one, MS + now_s * 1000, now_s)
                verdicts[one] += 1
        now_s += 0.05
        if turn == 40:  # two seconds: those that hang have not ended once
            assert all(count for one, count in verdicts.items() if one.startswith("well"))
    well = [count for one, count in verdicts.items() if one.startswith("well")]
    hangs = [count for one, count in verdicts.items() if one.startswith("hangs")]
    assert min(well) >= 2
    assert sum(hangs) >= 50 // 4, "a share is theirs though others wait"


def test_one_that_was_only_late_does_not_wait_for_those_that_hang() -> None:
    schedule = Schedule(4)
    hanging = [target(f"hangs{n}", interval_s=0.001) for n in range(20)]
    known = fleet(schedule, *hanging)
    for one in hanging:  # all are known to be slow
        schedule._known[one.id].level = 2
    known |= fleet(schedule, target("late", interval_s=0.001), *(target(f"w{n}", interval_s=0.001) for n in range(9)))
    schedule._known["late"].level = 1
    assert "late" in begun(schedule, known, 0.1)


def test_slow_ones_leave_a_fifth_of_the_places_to_the_others() -> None:
    schedule = Schedule(50)
    known = fleet(schedule, *(target(f"slow{n}", interval_s=0.001) for n in range(100)))
    for round_s in (0.1, 2.0, 4.0, 6.0):
        for one in begun(schedule, known, round_s):
            schedule.end(one, MS, round_s + PATIENCE_S[-1] + 0.5)
    assert len(begun(schedule, known, 10.0)) == 40
    known |= fleet(schedule, *(target(f"well{n}", interval_s=0.001) for n in range(100)), now_s=10.0)
    assert len(begun(schedule, known, 10.1)) == 10


def test_a_single_place_is_shared_in_turn() -> None:
    schedule = Schedule(1)
    known = fleet(schedule, target("hangs", interval_s=3.0), target("good", interval_s=3.0))
    served: list[str] = []
    now_s = 0.0
    while len(served) < 20:
        now_s += 0.5
        for one in begun(schedule, known, now_s):
            served.append(one)
            now_s += 5 if one == "hangs" else 0.01
            schedule.end(one, MS + now_s * 1000, now_s)
    assert min(served.count("hangs"), served.count("good")) >= 5
