from __future__ import annotations

from healthmon.core.component import Component, HealthState
from healthmon.core.event import Event, EventType
from healthmon.core.policy import DEFAULT_POLICY, Defaults
from healthmon.views.bars import CELLS, bars_of

NOW, MINUTE, HOUR = 1_795_000_000_000, 60_000, 3_600_000


def _component(state: str, since_ms: int, born_ms: int) -> Component:
    limits = DEFAULT_POLICY.limits(Defaults())
    return Component("a", born_ms, DEFAULT_POLICY, limits, state=HealthState(state), since_ms=since_ms, rev=9)


def _turn(at_ms: int, source: str, target: str) -> Event:
    return Event(EventType.TRANSITION, "a", 3, 1, at_ms, source=source, target=target)


def test_a_bar_shows_the_worst_state_of_each_minute() -> None:
    history = [
        _turn(NOW - 10 * MINUTE + 20_000, "dead", "healthy"),
        _turn(NOW - 10 * MINUTE + 10_000, "degraded", "dead"),
        _turn(NOW - 12 * MINUTE, "healthy", "degraded"),
    ]
    bar = bars_of(_component("healthy", NOW - 9 * MINUTE, NOW - 30 * MINUTE), history, NOW, whole=True)["1h"]
    assert len(bar) == CELLS
    assert bar[:30] == [None] * 30
    assert bar[30:48] == ["healthy"] * 18
    assert bar[48:51] == ["degraded", "degraded", "dead"]
    assert bar[51:] == ["healthy"] * 9


def test_before_the_oldest_that_is_kept_nothing_is_known() -> None:
    history = [_turn(NOW - 10 * MINUTE, "degraded", "healthy")]
    component = _component("healthy", NOW - 10 * MINUTE, NOW - 100 * HOUR)
    bars = bars_of(component, history, NOW, whole=False)
    assert bars["1h"][:50] == [None] * 50
    assert bars["1h"][50:] == ["degraded"] + ["healthy"] * 9
    assert bars_of(component, history, NOW, whole=True)["24h"][0] == "degraded"


def test_one_that_never_changed_was_always_as_it_is() -> None:
    bars = bars_of(_component("healthy", NOW - 2 * HOUR, NOW - 2 * HOUR), [], NOW, whole=True)
    assert bars["1h"] == ["healthy"] * CELLS
    assert bars["24h"][-6:] == [None, "healthy", "healthy", "healthy", "healthy", "healthy"]
    assert bars["7d"][-1] == "healthy"
