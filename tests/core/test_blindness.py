"""Blind time against a model that counts milliseconds one by one."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.blindness import CANARY_MS_MAX, CANARY_MS_MIN, Blindness, Stretch, canary_ms, gaps_in

MS = st.integers(0, 120)
PAIRS = st.lists(st.tuples(MS, MS), max_size=8)


def blindness_of(pairs: list[tuple[int, int]]) -> tuple[Blindness, set[int]]:
    """The same blind time as stretches and as a set of single milliseconds."""
    blindness, blind = Blindness(), set[int]()
    for from_ms, to_ms in pairs:
        stretch = set(range(from_ms, to_ms))
        assert blindness.add(from_ms, to_ms) == bool(stretch - blind)
        blind |= stretch
    return blindness, blind


@given(PAIRS, MS, MS)
def test_within_and_silence_count_single_milliseconds(pairs: list[tuple[int, int]], one: int, other: int) -> None:
    blindness, blind = blindness_of(pairs)
    from_ms, to_ms = min(one, other), max(one, other)
    counted = len(blind & set(range(from_ms, to_ms)))
    assert blindness.within(from_ms, to_ms) == counted
    assert blindness.silence_ms(from_ms, to_ms) == to_ms - from_ms - counted


@given(PAIRS, MS, st.integers(1, 60))
def test_a_deadline_is_the_first_millisecond_at_which_silence_lasted_so_long(
    pairs: list[tuple[int, int]], proof_ms: int, silence_ms: int
) -> None:
    blindness, blind = blindness_of(pairs)
    now_ms, lasted = proof_ms, 0
    while lasted < silence_ms:
        lasted += now_ms not in blind
        now_ms += 1
    assert blindness.deadline_ms(proof_ms, silence_ms) == now_ms
    assert blindness.silence_ms(proof_ms, now_ms) == silence_ms
    assert blindness.silence_ms(proof_ms, now_ms - 1) == silence_ms - 1


@given(PAIRS)
def test_stretches_stay_sorted_and_never_touch(pairs: list[tuple[int, int]]) -> None:
    stretches = blindness_of(pairs)[0].stretches
    assert all(before.to_ms < after.from_ms for before, after in pairwise(stretches))
    assert all(stretch.from_ms < stretch.to_ms for stretch in stretches)


def test_a_stretch_that_begins_at_the_deadline_does_not_move_it() -> None:
    blindness = Blindness([Stretch(50, 80)])
    assert blindness.deadline_ms(0, 50) == 50
    assert blindness.deadline_ms(0, 51) == 81
    assert blindness.deadline_ms(60, 10) == 90


def test_a_gap_is_longer_than_the_limit() -> None:
    times = [10, 20, 31, 35, 46]
    assert gaps_in(times.__getitem__, len(times), 0, 10) == [2, 4]
    assert gaps_in(times.__getitem__, len(times), 25, 10) == [4], "what was seen ahead of them is no gap"


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(0, 100), st.integers(1, 60))
def test_all_gaps_are_found_though_few_times_are_looked_at(steps: list[int], before_ms: int, limit_ms: int) -> None:
    times = [sum(steps[: n + 1]) for n in range(len(steps))]
    seen = [max([before_ms, *times[:n]]) for n in range(len(times))]
    wanted = [n for n, at_ms in enumerate(times) if at_ms - seen[n] > limit_ms]
    looked: list[int] = []

    def time_ms(place: int) -> int:
        looked.append(place)
        return times[place]

    assert gaps_in(time_ms, len(times), before_ms, limit_ms) == wanted
    if times[-1] - before_ms <= limit_ms:
        assert len(looked) == 1


def test_a_moment_before_the_proof_of_life_is_no_silence() -> None:
    assert Blindness([Stretch(0, 50)]).silence_ms(100, 20) == 0
    assert Blindness([Stretch(0, 50)]).within(100, 20) == 0


def test_old_stretches_are_dropped_once_they_ended_before() -> None:
    blindness = Blindness([Stretch(0, 10), Stretch(20, 30)])
    blindness.forget_before(10)
    assert blindness.stretches == [Stretch(0, 10), Stretch(20, 30)]
    blindness.forget_before(11)
    assert blindness.stretches == [Stretch(20, 30)]


def test_the_canary_comes_six_times_in_the_shortest_timeout_and_at_least_once_a_second() -> None:
    assert canary_ms(None) == CANARY_MS_MAX == 1000
    assert canary_ms(45_000) == 1000
    assert canary_ms(6_000) == 1000
    assert canary_ms(5_999) == 999
    assert canary_ms(600) == 100
    assert canary_ms(6) == CANARY_MS_MIN == 5
