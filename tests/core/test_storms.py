from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.storms import Window, storm_of
from tests.alerts.alerts import alert


@given(st.lists(st.integers(0, 3000), max_size=100), st.integers(1, 5))
def test_no_window_lets_more_through_than_its_cap(steps: list[int], cap: int) -> None:
    window, now_ms = Window(10_000, cap), 1_000_000
    admitted: dict[int, int] = {}
    for step in steps:
        now_ms += step
        if window.admits(now_ms):
            admitted[window.began_ms] = admitted.get(window.began_ms, 0) + 1
    assert max(admitted.values(), default=0) <= cap
    began = sorted(admitted)
    assert all(later - earlier >= 10_000 for earlier, later in itertools.pairwise(began))


def test_beyond_the_cap_nothing_passes_until_the_window_is_over() -> None:
    window = Window(10_000, 2)
    assert [window.admits(ms) for ms in (1000, 1000, 1001, 10_999, 11_000)] == [True, True, False, False, True]
    assert window.ends_ms == 21_000


def test_a_clock_that_goes_back_ends_the_window() -> None:
    window = Window(10_000, 1)
    assert window.admits(50_000)
    assert window.admits(1000)


def test_a_storm_names_the_worst_and_all_the_rest_by_id() -> None:
    several = [alert("a", "degraded"), alert("b", "dead"), alert("c", "healthy", status="resolved")]
    storm = storm_of(several, "pager", 10_000)
    assert storm["data"]["severity"] == "critical"
    assert storm["data"]["summary"].startswith("2 firing and 1 resolved more within 10 s; the worst: b is dead")
    assert storm["data"]["ids"] == [one["id"] for one in several]
    assert [one["component_id"] for one in storm["data"]["worst"]] == ["b", "a", "c"]
    assert storm["id"] == storm_of(several, "pager", 10_000)["id"] != storm_of(several, "chat", 10_000)["id"]
