from __future__ import annotations

from healthmon.views.happenings import Happening, happening_of


def test_a_transition_says_from_where_to_where_and_why() -> None:
    event = {"type": "transition", "id": "j_prime", "from": "unhealthy", "to": "dead", "reason": "no heartbeat"}
    assert happening_of(event) == Happening("j_prime", "dead", "Unhealthy → Dead", "no heartbeat")


def test_an_election_is_the_replicas() -> None:
    event = {"type": "leader", "replica": "mon-a", "epoch": "17", "reason": "no replica held the lease"}
    assert happening_of(event) == Happening("mon-a", "", "leads, epoch 17", "no replica held the lease")


def test_a_reason_that_says_it_all_is_not_said_twice() -> None:
    assert happening_of({"type": "forgotten", "id": "x", "reason": "forgotten by ann"}).what == "forgotten by ann"
    told = happening_of({"type": "forgotten", "id": "x", "reason": "dead for 604800 s, and it had registered itself"})
    assert (told.what, told.why) == ("forgotten", "dead for 604800 s, and it had registered itself")


def test_events_of_the_shard_and_of_a_later_version_are_told_too() -> None:
    assert happening_of({"type": "guard", "rule": "step-down", "reason": "asked"}).who == "shard"
    assert happening_of({"type": "novelty", "id": "x"}) == Happening("x", "", "novelty", "")
    assert happening_of({}).what == "?"


def test_a_reason_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in happening_of({"type": "operator", "id": "x", "reason": "\x1b[2J"}).why
