"""Silences and acknowledgements: what lies upon a component, for how long, and what alerts say of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from healthmon.core.event import Event, EventType
from healthmon.core.overlays import SILENCE_S_MAX, is_silenced
from healthmon.errors import Refused
from healthmon.store.codec import hash_fields, read_component
from tests.core.histories import FEW, HISTORIES, Leader, Step
from tests.core.shard import START_MS, Shard, alerts_of, ask, entry
from tests.core.test_answers import refused

HOUR_MS = 3_600_000


def beating() -> Shard:
    shard = Shard()
    shard.say(incarnation="i1")
    return shard


def dead() -> Shard:
    """One that has been dead for 20 s, with nothing done about it."""
    shard = beating()
    shard.watch(200)
    assert shard.state() == "dead"
    return shard


def ask_for(shard: Shard, cmd: str, seconds: object, **said: Any) -> list[Event]:
    length: dict[str, Any] = {"for": seconds}
    return shard.ask(cmd, **length, **said)


def silence(shard: Shard, seconds: object, **said: Any) -> list[Event]:
    return ask_for(shard, "silence", seconds, **said)


# -- silence -----------------------------------------------------------------------------------------------------------


def test_a_silence_begins_with_its_command_and_says_until_when_by_whom_and_why() -> None:
    shard = beating()
    (event,) = silence(shard, 7200, by="ann", reason="disk swap")
    assert (event.type, event.rule, event.reason) == (
        *(EventType.OPERATOR, "silence"),
        "silenced for 2 h by ann: disk swap",
    )
    record = shard["a"]
    assert (record.silenced_until_ms, record.silenced_by, record.silenced_reason) == (
        *(shard.now_ms + 2 * HOUR_MS, "ann"),
        "disk swap",
    )
    assert (record.state, record.since_ms) == ("healthy", START_MS)


@pytest.mark.parametrize(
    ("seconds", "told"), [("7200", "2 h"), ("900", "15 m"), ("90", "90 s"), ("172800", "2 d"), ("0.5", "0.5 s")]
)
def test_its_length_is_told_in_the_largest_unit_that_fits(seconds: str, told: str) -> None:
    (event,) = silence(beating(), seconds, reason="x")
    assert event.reason == f"silenced for {told} by an operator: x"


def test_it_is_over_at_its_moment_with_no_event_and_the_next_event_says_so() -> None:
    shard = beating()
    silence(shard, 10, by="ann", reason="x")
    until_ms = shard["a"].silenced_until_ms
    assert is_silenced(shard["a"], until_ms - 1)
    assert not is_silenced(shard["a"], until_ms)
    assert shard.watch(30) == []
    assert shard["a"].silenced_until_ms == until_ms
    shard.watch(20)
    assert shard.state() == "degraded"
    assert (shard["a"].silenced_until_ms, shard["a"].silenced_by, shard["a"].silenced_reason) == (0, "", "")


def test_an_event_at_its_very_end_is_told() -> None:
    shard = beating()
    silence(shard, 45, reason="x")
    before = copy.copy(shard["a"])
    (alert,) = alerts_of(before, shard.watch(45), shard.defaults)
    assert (alert["data"]["new_state"], "silenced_until" in alert["data"]) == ("degraded", False)
    assert (shard["a"].since_ms, shard["a"].silenced_until_ms) == (before.silenced_until_ms, 0)


def test_silencing_again_replaces_what_is_left_and_nought_seconds_end_it() -> None:
    shard = beating()
    silence(shard, 7200, by="ann", reason="x")
    shard.watch(5)
    silence(shard, 60, by="bob", reason="y")
    assert (shard["a"].silenced_until_ms, shard["a"].silenced_by) == (shard.now_ms + 60_000, "bob")
    (event,) = silence(shard, 0, by="ann", reason="done")
    assert event.reason == "silence ended by ann: done"
    assert (shard["a"].silenced_until_ms, shard["a"].silenced_by, shard["a"].silenced_reason) == (0, "", "")
    with refused("a is not silenced"):
        silence(shard, 0)


def test_a_silence_that_is_over_cannot_be_ended() -> None:
    shard = beating()
    silence(shard, 1, reason="x")
    shard.watch(2)
    with refused("a is not silenced"):
        silence(shard, 0)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"reason": "x"}, "silence says for how long: the field for is missing, in seconds"),
        ({"for": 60}, "silence says why: the field reason is missing"),
        ({"for": SILENCE_S_MAX + 1, "reason": "x"}, "a silence lasts 2592000 s (30 days) at most"),
        ({"for": "2h", "reason": "x"}, "for is '2h', no number of seconds; two hours are 7200"),
        ({"for": -1, "reason": "x"}, "for is '-1', no number of seconds"),
        ({"for": "nan", "reason": "x"}, "for is 'nan', no number of seconds"),
        ({"for": "inf", "reason": "x"}, "for is 'inf', no number of seconds"),
        ({"for": "9" * 400, "reason": "x"}, "no number of seconds"),
    ],
)
def test_a_silence_without_an_end_or_a_reason_is_refused(said: dict[str, Any], sentence: str) -> None:
    shard = beating()
    with refused(sentence):
        shard.ask("silence", **said)
    assert shard["a"].silenced_until_ms == 0


def test_the_longest_silence_is_thirty_days_and_the_shortest_a_millisecond() -> None:
    shard = beating()
    silence(shard, SILENCE_S_MAX, reason="x")
    assert shard["a"].silenced_until_ms == shard.now_ms + 30 * 24 * HOUR_MS
    silence(shard, "0.0001", reason="x")
    assert shard["a"].silenced_until_ms == shard.now_ms + 1


def test_it_counts_from_when_it_was_asked_for_also_where_nobody_led_for_a_while() -> None:
    shard = beating()
    asked_ms = shard.now_ms
    shard.watch(30)
    late = entry(asked_ms, "cmd", "silence", "id", "a", "for", "60", "reason", "x", seq=9)
    ask(shard.table, late, shard.now_ms)
    assert shard["a"].silenced_until_ms == asked_ms + 60_000
    over = entry(asked_ms, "cmd", "silence", "id", "a", "for", "20", "reason", "x", seq=10)
    with refused("the 20 s of silence were over before anybody led"):
        ask(shard.table, over, shard.now_ms)


# -- acknowledgement ---------------------------------------------------------------------------------------------------


def test_an_acknowledgement_ends_when_it_is_well_again() -> None:
    shard = dead()
    (event,) = shard.ask("acknowledge", by="ann", reason="on my way")
    assert (event.type, event.rule, event.reason) == (
        *(EventType.OPERATOR, "acknowledge"),
        "acknowledged by ann: on my way",
    )
    shard.watch(60)
    assert shard["a"].acknowledged_by == "ann"
    shard.say(status="degraded")
    assert (shard.state(), shard["a"].acknowledged_by) == ("degraded", "ann")
    shard.say(after_s=1)
    assert (shard.state(), shard["a"].acknowledged_by) == ("healthy", "")
    shard.watch(60)
    assert (shard.state(), shard["a"].acknowledged_by) == ("degraded", "")


def test_only_what_is_not_well_can_be_acknowledged_and_once_by_each() -> None:
    shard = beating()
    with refused("a is healthy: there is nothing to acknowledge"):
        shard.ask("acknowledge", by="ann")
    shard = dead()
    shard.ask("acknowledge", by="ann")
    with refused("a is acknowledged by ann already"):
        shard.ask("acknowledge", by="ann")
    shard.ask("acknowledge", by="bob")
    assert shard["a"].acknowledged_by == "bob"


def test_an_acknowledgement_can_be_taken_back_and_has_no_length() -> None:
    shard = dead()
    with refused("a is not acknowledged"):
        ask_for(shard, "acknowledge", 0)
    with refused("an acknowledgement ends at recovery"):
        ask_for(shard, "acknowledge", 60)
    shard.ask("acknowledge")
    assert shard["a"].acknowledged_by == "an operator"
    (event,) = ask_for(shard, "acknowledge", 0, by="ann")
    assert event.reason == "no longer acknowledged, said by ann"
    assert shard["a"].acknowledged_by == ""


# -- what alerts say ---------------------------------------------------------------------------------------------------


def test_alerts_of_a_silenced_one_say_until_when() -> None:
    shard = beating()
    silence(shard, 100, reason="x")
    before = copy.copy(shard["a"])
    told = alerts_of(before, shard.watch(200), shard.defaults)
    assert [(one["data"]["new_state"], one["data"].get("silenced_until")) for one in told] == [
        ("degraded", "2026-11-23T18:55:00.000Z"),
        ("unhealthy", "2026-11-23T18:55:00.000Z"),
        ("dead", None),
    ]


def test_alerts_of_an_acknowledged_one_say_by_whom_and_so_does_its_recovery() -> None:
    shard = beating()
    shard.watch(60)
    shard.ask("acknowledge", by="ann")
    before = copy.copy(shard["a"])
    told = alerts_of(before, [*shard.watch(60), *shard.say()], shard.defaults)
    assert [(one["data"]["new_state"], one["data"].get("acknowledged_by")) for one in told] == [
        ("unhealthy", "ann"),
        ("healthy", "ann"),
    ]
    before = copy.copy(shard["a"])
    (again,) = alerts_of(before, shard.watch(60), shard.defaults)
    assert "acknowledged_by" not in again["data"]


# -- whatever happens --------------------------------------------------------------------------------------------------


@FEW
@given(HISTORIES)
def test_in_every_history_an_acknowledgement_has_an_incident_and_a_silence_an_end_and_a_reason(
    steps: list[Step],
) -> None:
    leader = Leader()
    leader.begin()
    for step in steps:
        leader.play([step])
        for record in leader.table.components.values():
            assert not record.acknowledged_by or record.incident
            said = (record.silenced_until_ms, record.silenced_by, record.silenced_reason)
            assert all(said) or not any(said)
            assert record.silenced_until_ms <= leader.now_ms + SILENCE_S_MAX * 1000
            if record.rev:
                read = read_component(hash_fields(record), leader.table.defaults)
                assert (read.silenced_until_ms, read.silenced_by, read.silenced_reason) == said
                assert read.acknowledged_by == record.acknowledged_by


def test_neither_changes_what_is_decided() -> None:
    plain, known = dead(), dead()
    silence(known, 3600, reason="x")
    known.ask("acknowledge")
    for shard in (plain, known):
        shard.watch(30)
        shard.say()
        shard.watch(200)
    assert plain.path() == known.path()


def test_an_unknown_command_names_both() -> None:
    with pytest.raises(ValueError, match="silence, acknowledge"):
        beating().ask("hush")
    with pytest.raises(Refused):
        beating().ask("silence")
