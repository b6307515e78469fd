"""Whatever is heard, reported and commanded, and in whatever order: the promises that hold for every history."""

from __future__ import annotations

from hypothesis import given

from healthmon.core.component import HealthState, legal
from healthmon.core.decide import look_at_ms
from healthmon.core.event import Event, EventType
from healthmon.core.rules import dead_at_ms
from tests.core.histories import DEFAULTS, HISTORIES, NAMES, Leader, Step


def led(steps: list[Step], *, always: bool = False) -> Leader:
    leader = Leader()
    leader.begin()
    leader.play([*steps, Step(12_000, 0, "a", 0)], always=always)
    return leader


def restarts(events: list[Event]) -> list[Event]:
    return [one for one in events if one.target == "restarting"]


@given(HISTORIES)
def test_every_edge_is_legal_and_revs_are_contiguous(steps: list[Step]) -> None:
    events = led(steps).events
    for name in NAMES:
        mine = [one for one in events if one.id == name]
        assert [one.rev for one in mine] == list(range(1, len(mine) + 1))
        state, at_ms = HealthState.UNKNOWN, 0
        for event in mine:
            assert len(event.reason) <= 120
            assert event.at_ms >= at_ms or event.type is not EventType.TRANSITION
            if event.type is EventType.TRANSITION:
                source, target = HealthState(event.source), HealthState(event.target)
                assert source is state
                assert legal(source, target)
                state, at_ms = target, event.at_ms


@given(HISTORIES)
def test_everybody_is_looked_at_in_time_and_no_sooner_than_needed(steps: list[Step]) -> None:
    """Judged only when it is due, a fleet is judged as if everybody were at every tenth of a second."""
    seldom, always = led(steps), led(steps, always=True)
    for name in NAMES:
        assert [one for one in seldom.events if one.id == name] == [one for one in always.events if one.id == name]
    moment = seldom.table.moment(seldom.now_ms)
    for component in seldom.table.components.values():
        assert look_at_ms(component, moment, DEFAULTS) > moment.now_ms
        assert component.look_at_ms > moment.now_ms or component.id in seldom.table.changed


@given(HISTORIES)
def test_attempts_are_claimed_once_each_at_their_time_and_never_beyond_the_last(steps: list[Step]) -> None:
    events = led(steps).events
    for name in NAMES:
        mine = [one for one in events if one.id == name]
        claims = restarts(mine)
        assert len({one.set["restart"]["rev"] for one in claims}) == len(claims)
        due_ms = 0
        for event in mine:
            said = event.set.get("restart", {})
            if event.target == "restarting":
                assert said["done"] <= DEFAULTS.max_retries
                assert event.cause or due_ms <= event.at_ms
                assert event.cause or due_ms
            due_ms = said.get("next_ms", due_ms)


@given(HISTORIES)
def test_nobody_dies_but_of_silence_of_an_exit_or_of_a_failed_restart(steps: list[Step]) -> None:
    leader = led(steps)
    for event in leader.events:
        if event.target == "dead":
            assert event.rule in ("silence", "exit", "restart_failed", "restart_untaken")
            assert event.set["failure"]["at_ms"] == event.at_ms
    moment = leader.table.moment(leader.now_ms)
    for component in leader.table.components.values():
        if component.state is HealthState.UNHEALTHY and not component.silence_rests:
            assert dead_at_ms(component, moment) > moment.now_ms or component.id in leader.table.changed


@given(HISTORIES)
def test_an_incident_is_open_exactly_while_something_fires(steps: list[Step]) -> None:
    leader = led(steps)
    incidents: dict[str, str] = {}
    for event in leader.events:
        opened = event.set.get("incident")
        if opened:
            assert not incidents.get(event.id)
        if opened is not None:
            incidents[event.id] = opened
        if event.target in ("degraded", "unhealthy", "dead", "permanently_failed"):
            assert incidents.get(event.id)
    for component in leader.table.components.values():
        assert component.incident == incidents.get(component.id, "")
