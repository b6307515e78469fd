"""Who is told now, later or not: values in, verdicts out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.incidents import (
    Incident,
    Judge,
    Overlay,
    Rules,
    Told,
    Verdict,
    is_alert,
    key_of,
    note_sent,
    read_incident,
    take_in,
)
from tests.alerts.alerts import alert, mass_failure

STATES = ("degraded", "unhealthy", "dead", "permanently_failed", "restarting", "initializing")
RANK = {"degraded": 1, "unhealthy": 2, "dead": 3, "permanently_failed": 4}


def judge(overlay: Overlay | None = None, **rules: Any) -> Judge:
    return Judge(Rules(**rules), lambda _: overlay or Overlay())


def known(judge: Judge, said: dict[str, Any], *, rule: str = "own words", told: bool = False) -> Incident:
    """The incident of an alert, taken in, and told to the sink where that is said."""
    incident = take_in(said, rule, 1000, judge.incidents.get(key_of(said)))
    judge.incidents[incident.key] = incident
    if told:
        note_sent(incident.sinks.setdefault("pager", Told()), said, 2000)
    return incident


def verdict(judge: Judge, said: dict[str, Any], *, rule: str = "own words", every_change: bool = False) -> Verdict:
    return judge.judge(known(judge, said, rule=rule), said, "pager", 5000, every_change=every_change)[0]


def test_a_sink_is_told_again_only_when_it_gets_worse() -> None:
    here = judge()
    known(here, alert("a", "unhealthy"), told=True)
    assert verdict(here, alert("a", "degraded")) is Verdict.SKIP
    assert verdict(here, alert("a", "unhealthy")) is Verdict.SKIP
    assert verdict(here, alert("a", "dead")) is Verdict.SEND
    assert verdict(here, alert("a", "permanently_failed")) is Verdict.SEND


def test_a_sink_that_groups_by_itself_hears_of_improvements() -> None:
    here = judge()
    known(here, alert("a", "unhealthy"), told=True)
    assert verdict(here, alert("a", "degraded"), every_change=True) is Verdict.SEND
    assert verdict(here, alert("a", "unhealthy"), every_change=True) is Verdict.SKIP


@pytest.mark.parametrize(("asked", "expected"), [(False, Verdict.SKIP), (True, Verdict.SEND)])
def test_restarting_is_told_only_when_asked_for(asked: bool, expected: Verdict) -> None:
    assert verdict(judge(tell_restarting=asked), alert("a", "restarting")) is expected


def test_flapping_and_its_digests_are_always_told() -> None:
    here = judge()
    known(here, alert("a", "dead"), told=True)
    assert verdict(here, alert("a", "flapping")) is Verdict.SEND


def test_an_end_is_told_to_whoever_was_told_of_the_beginning() -> None:
    here = judge()
    assert verdict(here, alert("a", "healthy", status="resolved")) is Verdict.SKIP
    known(here, alert("b", "dead"), told=True)
    assert verdict(here, alert("b", "healthy", status="resolved")) is Verdict.SEND


@pytest.mark.parametrize(
    ("overlay", "why"),
    [
        (Overlay(silenced_until_ms=6000), "silenced"),
        (Overlay(silenced_until_ms=5000), ""),
        (Overlay(acknowledged_by="ann"), "acknowledged by ann"),
    ],
)
def test_a_silence_and_an_acknowledgement_hold_what_fires(overlay: Overlay, why: str) -> None:
    here, said = judge(overlay), alert("a", "dead")
    found = here.judge(known(here, said), said, "pager", 5000)
    assert found == (Verdict.HOLD if why else Verdict.SEND, why)


def test_the_end_of_what_was_told_is_told_also_while_silenced() -> None:
    here = judge(Overlay(silenced_until_ms=10**9))
    known(here, alert("a", "dead"), told=True)
    assert verdict(here, alert("a", "healthy", status="resolved")) is Verdict.SEND


def test_a_cause_inhibits_only_once_it_was_told_and_while_it_fires() -> None:
    here, said = judge(), alert("api", "dead", causes=("db@1000",))
    assert verdict(here, said) is Verdict.SEND
    known(here, alert("db", "dead"))
    assert verdict(here, said) is Verdict.SEND
    known(here, alert("db", "dead"), told=True)
    assert verdict(here, said) is Verdict.HOLD
    known(here, alert("db", "healthy", status="resolved"))
    assert verdict(here, said) is Verdict.SEND


def test_what_a_held_cause_explains_is_held_with_it() -> None:
    here = judge()
    known(here, alert("net", "dead"), told=True)
    middle = known(here, alert("db", "dead", causes=("net@1000",)))
    middle.sinks["pager"] = Told(held="inhibited by net@1000")
    assert verdict(here, alert("api", "dead", causes=("db@1000",))) is Verdict.HOLD


def test_a_mass_failure_holds_what_is_only_silent() -> None:
    here = judge()
    known(here, mass_failure(), told=True)
    assert verdict(here, alert("a", "unhealthy"), rule="silence") is Verdict.HOLD
    assert verdict(here, alert("b", "dead"), rule="agent") is Verdict.SEND
    known(here, mass_failure(status="resolved"))
    assert verdict(here, alert("c", "unhealthy"), rule="silence") is Verdict.SEND


def test_what_was_inhibited_is_told_when_its_cause_has_been_gone_for_a_while() -> None:
    here = judge(wait_ms=1000)
    known(here, alert("db", "dead"), told=True)
    incident = known(here, alert("api", "dead", causes=("db@1000",)))
    incident.sinks["pager"] = Told(held="inhibited by db@1000")
    assert not here.released(incident, "pager", 5000)
    known(here, alert("db", "healthy", status="resolved"))
    assert not here.released(incident, "pager", 5000)
    assert not here.released(incident, "pager", 5999)
    assert here.released(incident, "pager", 6000)
    known(here, alert("api", "healthy", status="resolved"))
    assert not here.released(incident, "pager", 9000)


def test_what_was_silenced_is_told_as_soon_as_the_silence_ends() -> None:
    here = judge(Overlay(silenced_until_ms=6000), wait_ms=1000)
    incident = known(here, alert("a", "dead"))
    incident.sinks["pager"] = Told(held="silenced")
    assert not here.released(incident, "pager", 5999)
    assert here.released(incident, "pager", 6000)


def test_reminders_are_off_unless_asked_for_and_stop_with_an_acknowledgement() -> None:
    asked = judge(remind_ms=1000)
    incident = known(asked, alert("a", "dead"), told=True)
    assert not judge().reminds(incident, "pager", 10_000)
    assert not asked.reminds(incident, "pager", 2999)
    assert asked.reminds(incident, "pager", 3000)
    assert not judge(Overlay(acknowledged_by="ann"), remind_ms=1000).reminds(incident, "pager", 3000)


def test_an_older_alert_that_comes_again_does_not_undo_a_later_one() -> None:
    here = judge()
    incident = known(here, alert("a", "healthy", status="resolved", time="2026-11-23T19:32:00.000Z"))
    known(here, alert("a", "dead", time="2026-11-23T19:31:00.000Z"))
    assert incident.over


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"data":{}}', '{"data":3}'])
def test_what_is_no_alert_is_found_out(text: str) -> None:
    assert not is_alert(json.loads(text))
    assert read_incident("x", {"alert": json.loads(text), "began": 1, "silent": 0, "notice": 0, "sinks": {}}) is None


def test_a_role_that_is_no_text_is_no_alert() -> None:
    said = alert("a", "dead")
    said["data"]["role"] = 7
    assert not is_alert(said)


@given(st.lists(st.sampled_from(STATES), max_size=12))
def test_whatever_happens_a_sink_hears_the_worst_and_each_degree_once(states: list[str]) -> None:
    here, sent = judge(), []
    for number, state in enumerate(states):
        said = alert("a", state, rev=number)
        incident = known(here, said)
        if here.judge(incident, said, "pager", 5000)[0] is Verdict.SEND:
            note_sent(incident.sinks["pager"], said, 5000)
            sent.append(RANK[state])
        again = read_incident(incident.key, json.loads(json.dumps(incident.to_dict())))
        assert again is not None
        assert again.to_dict() == incident.to_dict()
        here.incidents[incident.key] = again  # as another leader finds it
    assert sent == sorted(set(sent))
    assert max(sent, default=0) == max((RANK.get(state, 0) for state in states), default=0)
