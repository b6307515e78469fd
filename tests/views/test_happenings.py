from __future__ import annotations

import pytest

from healthmon.views.happenings import Happening, happening_of


def test_a_transition_says_from_where_to_where_and_why() -> None:
    event = {"type": "transition", "id": "j_prime", "from": "unhealthy", "to": "dead", "reason": "no heartbeat"}
    assert happening_of(event) == Happening("j_prime", "dead", "Unhealthy → Dead", "no heartbeat")
    assert happening_of(event).sentence == "Unhealthy → Dead: no heartbeat"


def test_an_election_is_the_replicas() -> None:
    event = {"type": "leader", "replica": "mon-a", "epoch": "17", "reason": "no replica held the lease"}
    assert happening_of(event) == Happening("mon-a", "", "leads, epoch 17", "no replica held the lease")


def test_a_reason_that_says_it_all_is_not_said_twice() -> None:
    assert happening_of({"type": "forgotten", "id": "x", "reason": "forgotten by ann"}).what == "forgotten by ann"
    told = happening_of({"type": "forgotten", "id": "x", "reason": "dead for 604800 s, and it had registered itself"})
    assert (told.what, told.why) == ("forgotten", "dead for 604800 s, and it had registered itself")


@pytest.mark.parametrize(
    ("kind", "rule", "reason", "what", "sentence"),
    [
        ("restart", "taken", "restart 1 taken by mon-a", "restart taken", "restart 1 taken by mon-a"),
        ("restart", "waits", "restart 1 waits: mass failure", "restart waits", "restart 1 waits: mass failure"),
        ("restart", "incarnation", "it restarted by itself", "restarted", "it restarted by itself"),
        ("breaker", "open", "5 failures in a row", "breaker open", "breaker open: 5 failures in a row"),
        ("breaker", "half_open", "one try", "breaker half open", "breaker half open: one try"),
        ("breaker", "reset-breaker", "circuit breaker reset by ann", "breaker reset", "circuit breaker reset by ann"),
        ("dependency", "down", "db is dead", "dependency down", "dependency down: db is dead"),
        ("flapping", "goes_on", "flapping: 5 times", "still flapping", "flapping: 5 times"),
        ("operator", "hold", "automatic restarts held by ann", "held", "automatic restarts held by ann"),
        ("guard", "skipped", "skipped 9 s", "skipped", "skipped 9 s"),
    ],
)
def test_every_kind_of_event_has_words_for_people(kind: str, rule: str, reason: str, what: str, sentence: str) -> None:
    told = happening_of({"type": kind, "id": "x", "rule": rule, "reason": reason})
    assert (told.what, told.why, told.sentence) == (what, reason, sentence)


def test_events_of_the_shard_and_of_a_later_version_are_told_too() -> None:
    mass = happening_of({"type": "guard", "rule": "mass_failure", "reason": "mass failure: 40 of 100"})
    assert (mass.who, mass.what, mass.sentence) == ("shard", "mass failure", "mass failure: 40 of 100")
    assert happening_of({"type": "guard", "rule": "step-down"}).sentence == "step-down"
    assert happening_of({"type": "novelty", "id": "x"}) == Happening("x", "", "novelty", "")
    assert happening_of({"type": "restart", "id": "x", "rule": "novelty"}).what == "novelty"
    assert happening_of({}).what == "?"


def test_a_reason_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in happening_of({"type": "operator", "id": "x", "reason": "\x1b[2J"}).why
    assert "\x1b" not in happening_of({"type": "leader", "replica": "\x1b[2J"}).who
