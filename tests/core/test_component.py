"""States, the legal edges between them, and ids."""

from __future__ import annotations

import copy

import pytest

from healthmon.core.component import LEGAL_EDGES, WORSE, Component, HealthState, Status, legal
from healthmon.core.ids import valid_id
from healthmon.core.policy import Defaults, Policy

# From the design, spelt out again: a change of the table has to be made twice.
EDGES = {
    "unknown": "initializing healthy degraded unhealthy restarting",
    "initializing": "healthy degraded unhealthy dead unknown restarting",
    "healthy": "degraded unhealthy initializing unknown restarting",
    "degraded": "healthy unhealthy initializing unknown restarting",
    "unhealthy": "healthy degraded dead initializing unknown restarting",
    "dead": "restarting initializing healthy degraded unhealthy permanently_failed unknown",
    "restarting": "initializing healthy degraded unhealthy dead",
    "permanently_failed": "restarting initializing healthy degraded unhealthy unknown",
}


def test_exactly_the_documented_edges_are_legal() -> None:
    legal_ones = {(source, target) for source in HealthState for target in HealthState if legal(source, target)}
    documented = {(source, target) for source, targets in EDGES.items() for target in targets.split()}
    assert {(source.value, target.value) for source, target in legal_ones} == documented


def test_every_state_has_edges_and_a_rank_and_none_leads_to_itself() -> None:
    assert set(LEGAL_EDGES) == set(HealthState) == set(WORSE)
    assert not any(legal(state, state) for state in HealthState)


def test_nothing_that_was_heard_becomes_dead_without_having_been_unhealthy() -> None:
    assert {source for source in HealthState if legal(source, HealthState.DEAD)} == {
        HealthState.UNHEALTHY,
        HealthState.INITIALIZING,
        HealthState.RESTARTING,
    }


@pytest.mark.parametrize("good", ["a", "A-1", "_x", "@host", "-", "a.b", "a@b.c", "x" * 128])
def test_these_are_ids(good: str) -> None:
    assert valid_id(good)


@pytest.mark.parametrize("bad", ["", ".", ".a", "a b", "a:b", "ä", "a/b", "a\n", "{0}", "x" * 129])
def test_these_are_no_ids(bad: str) -> None:
    assert not valid_id(bad)


def component(**policy: str) -> Component:
    given = Policy(**policy)  # type: ignore[arg-type]  # text parts only
    return Component("a", 1_000, given, given.limits(Defaults()))


def test_the_proof_of_life_of_one_never_heard_from_is_the_end_of_the_time_given_to_start() -> None:
    one = component()
    assert one.proof_ms == 1_000 + 120_000
    one.last_heartbeat_ms = 5_000
    assert one.proof_ms == 5_000


def test_silence_rests_after_a_goodbye_unless_the_component_is_always_expected() -> None:
    one, expected = component(), component(expected="always")
    assert not one.silence_rests
    sometimes = component(expected="sometimes")
    for each in (one, expected, sometimes):
        each.status = Status.STOPPING
    assert [each.silence_rests for each in (one, expected, sometimes)] == [True, False, True]


def test_a_field_that_is_as_it_was_at_first_takes_no_memory_and_a_copy_shares_none_that_changes() -> None:
    one = component()
    assert one.differs is component().differs
    one.incident, one.respawns = "a@6000", (7,)
    other = copy.copy(one)
    assert (other.incident, other.respawns, other) == ("a@6000", (7,), one)
    other.incident = "b@7000"
    assert one.incident == "a@6000"
    one.incident, one.respawns = "", ()
    assert one.differs is component().differs
    assert (other.incident, other.respawns) == ("b@7000", (7,))
