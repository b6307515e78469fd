"""Whatever is heard, reported and commanded, and in whatever order: the promises that hold for every history."""

from __future__ import annotations

from hypothesis import given

from healthmon.core.component import HealthState, legal
from healthmon.core.decide import look_at_ms
from healthmon.core.event import Event, EventType
from tests.core.histories import DEFAULTS, FEW, HISTORIES, NAMES, Leader, Step


def led(steps: list[Step], *, always: bool = False) -> Leader:
    leader = Leader()
    leader.begin()
    leader.play([*steps, Step(12_000, 0, "a", 0)], always=always)
    return leader


def check_edges(events: list[Event]) -> None:
    """Every edge is legal, revs are contiguous, time does not go back."""
    assert [one.rev for one in events] == list(range(1, len(events) + 1))
    state, at_ms = HealthState.UNKNOWN, 0
    for event in events:
        assert len(event.reason) <= 120
        if event.type is EventType.TRANSITION:
            source, target = HealthState(event.source), HealthState(event.target)
            assert source is state
            assert legal(source, target)
            assert event.at_ms >= at_ms
            state, at_ms = target, event.at_ms


def check_attempts(events: list[Event]) -> None:
    """Each is claimed once, at its time or for an operator, and none beyond the last."""
    claims = [one for one in events if one.target == "restarting"]
    assert len({one.set["restart"]["rev"] for one in claims}) == len(claims)
    due_ms = 0
    for event in events:
        said = event.set.get("restart", {})
        if event.target == "restarting":
            assert said["done"] <= DEFAULTS.max_retries
            assert event.cause or 0 < due_ms <= event.at_ms
        due_ms = said.get("next_ms", due_ms)


def check_deaths(events: list[Event]) -> None:
    """Only silence, an exit and a failed restart make dead, and the failure is kept."""
    for event in events:
        if event.target == "dead":
            assert event.rule in ("silence", "exit", "restart_failed", "restart_untaken")
            assert event.set["failure"]["at_ms"] == event.at_ms


def check_incidents(events: list[Event]) -> str:
    """One is open while something fires, and never two; the one that is open at the end."""
    incident = ""
    for event in events:
        opened = event.set.get("incident", incident)
        assert not (opened and incident) or opened == incident
        incident = opened
        if event.target in ("degraded", "unhealthy", "dead", "permanently_failed"):
            assert incident
    return incident


@FEW
@given(HISTORIES)
def test_every_history_keeps_the_promises(steps: list[Step]) -> None:
    leader = led(steps)
    for name, component in leader.table.components.items():
        mine = [one for one in leader.events if one.id == name]
        check_edges(mine)
        check_attempts(mine)
        check_deaths(mine)
        assert check_incidents(mine) == component.incident


@FEW
@given(HISTORIES)
def test_judged_only_when_it_is_due_a_fleet_is_judged_as_if_everybody_were_at_every_tenth_of_a_second(
    steps: list[Step],
) -> None:
    seldom, always = led(steps), led(steps, always=True)
    for name in NAMES:
        assert [one for one in seldom.events if one.id == name] == [one for one in always.events if one.id == name]
    moment = seldom.table.moment(seldom.now_ms)
    for component in seldom.table.components.values():
        assert look_at_ms(component, moment, DEFAULTS) > moment.now_ms
        assert component.look_at_ms > moment.now_ms or component.id in seldom.table.changed
