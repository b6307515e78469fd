"""What a person is told, as the contract has it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from healthmon.core.alert import SEVERITY, alert_of, rfc3339, shard_alert_of
from healthmon.core.command import forget, read_command
from healthmon.core.component import Component, HealthState
from healthmon.core.event import Event, EventType, apply
from tests.core.shard import START_MS, Shard


def told(shard: Shard, events: list[Event]) -> list[dict[str, Any] | None]:
    """The alerts of events that were just decided; the record is taken back to before each of them."""
    alerts, after = [], copy.copy(shard["a"])
    for event in reversed(events):
        before = copy.copy(after)
        before.state = HealthState(event.source) if event.source else before.state
        before.incident = "" if event.set.get("incident") else before.incident
        signed = replace(event, epoch=1_795_462_100_123, replica="mon-a")
        alerts.append(alert_of(before, after, signed, "healthmon", 0))
        after = before
    return alerts[::-1]


def test_the_alert_of_a_death_is_the_contracts_word_for_word() -> None:
    shard = Shard()
    shard.say("a", role="jarvis_prime")
    shard.watch(179)
    (alert,) = told(shard, shard.watch(1))
    at = rfc3339(START_MS + 180_000)
    assert alert == {
        "specversion": "1.0",
        "id": f"0/a/{START_MS}/5",
        "source": "/healthmon/0",
        "type": "io.healthmon.component.dead",
        "subject": "a",
        "time": at,
        "datacontenttype": "application/json",
        "data": {
            "status": "firing",
            "severity": "critical",
            "dedup_key": "healthmon/a",
            "incident": f"a@{START_MS + 45_000}",
            "component_id": "a",
            "role": "jarvis_prime",
            "old_state": "unhealthy",
            "new_state": "dead",
            "summary": "a is dead: no heartbeat for 180.0 s (dead after 180 s)",
            "reason": "no heartbeat for 180.0 s (dead after 180 s)",
            "since": at,
            "score": 0.0,
            "last_heartbeat": rfc3339(START_MS),
            "next": None,
            "replica": "mon-a",
            "epoch": 1_795_462_100_123,
            "rev": 5,
        },
    }
    assert json.loads(json.dumps(alert)) == alert


def pair(source: str, target: str, incident: tuple[str, str]) -> tuple[Component, Component, Event]:
    shard = Shard()
    before = shard.declare(role="db")
    before.state, before.incident = HealthState(source), incident[0]
    after = copy.copy(before)
    event = Event(
        EventType.TRANSITION, "a", rev=2, born_ms=before.born_ms, at_ms=shard.now_ms, reason="so",
        source=source, target=target, set={"incident": incident[1]},
    )  # fmt: skip
    apply(after, event, shard.defaults)
    return before, after, event


@pytest.mark.parametrize(
    ("edge", "incident", "told"),
    [
        (("healthy", "degraded"), ("", "i"), ("firing", "warning")),
        (("degraded", "unhealthy"), ("i", "i"), ("firing", "error")),
        (("unhealthy", "dead"), ("i", "i"), ("firing", "critical")),
        (("dead", "permanently_failed"), ("i", "i"), ("firing", "critical")),
        (("dead", "restarting"), ("i", "i"), ("firing", "info")),
        (("restarting", "initializing"), ("i", "i"), ("firing", "info")),
        (("dead", "healthy"), ("i", ""), ("resolved", "info")),
        (("degraded", "unknown"), ("i", ""), ("resolved", "info")),
    ],
)
def test_bad_states_fire_and_coming_back_resolves_the_same_incident(
    edge: tuple[str, str], incident: tuple[str, str], told: tuple[str, str]
) -> None:
    alert = alert_of(*pair(*edge, incident), "healthmon", 3)
    assert alert is not None
    data = alert["data"]
    assert (data["status"], data["severity"], data["incident"]) == (*told, "i")
    assert (data["old_state"], data["new_state"], data["role"]) == (*edge, "db")
    assert (alert["source"], alert["id"]) == ("/healthmon/3", f"3/a/{START_MS}/2")


@pytest.mark.parametrize(
    ("source", "target"), [("unknown", "healthy"), ("healthy", "unknown"), ("unknown", "initializing")]
)
def test_a_well_component_that_comes_or_goes_is_told_to_nobody(source: str, target: str) -> None:
    assert alert_of(*pair(source, target, ("", "")), "healthmon", 0) is None


def test_what_moves_no_state_is_told_to_nobody() -> None:
    before, after, event = pair("degraded", "unhealthy", ("i", "i"))
    for kind in set(EventType) - {EventType.TRANSITION, EventType.FORGOTTEN, EventType.FLAPPING}:
        assert alert_of(before, after, replace(event, type=kind), "healthmon", 0) is None


def test_forgetting_resolves_an_open_incident_and_else_is_silent() -> None:
    shard = Shard()
    shard.say(status="failing")
    component = shard["a"]
    event = forget(component, read_command(f"{shard.now_ms}-0", {"cmd": "forget", "id": "a"}))
    alert = alert_of(component, component, event, "healthmon", 0)
    assert alert is not None
    assert alert["type"] == "io.healthmon.component.forgotten"
    assert (alert["data"]["status"], alert["data"]["incident"]) == ("resolved", component.incident)
    assert (alert["data"]["old_state"], alert["data"]["new_state"]) == ("unhealthy", "forgotten")
    component.incident = ""
    assert alert_of(component, component, event, "healthmon", 0) is None


def test_the_id_does_not_depend_on_who_led() -> None:
    before, after, event = pair("healthy", "degraded", ("", "i"))
    ids = {
        (alert_of(before, after, replace(event, epoch=epoch, replica=replica), "healthmon", 0) or {})["id"]
        for epoch, replica in ((1, "mon-a"), (2, "mon-b"))
    }
    assert len(ids) == 1


def test_an_alert_of_the_shard_itself_names_no_component() -> None:
    event = Event(
        EventType.GUARD, "", rev=0, born_ms=0, at_ms=START_MS, reason="12 refused", rule="refused",
        epoch=5, replica="mon-a",
    )  # fmt: skip
    alert = shard_alert_of(event, 7, "g1", "healthmon", 0)
    assert alert["id"] == "0//g1/7"
    assert "subject" not in alert
    assert "component_id" not in alert["data"]
    assert alert["data"]["dedup_key"] == "healthmon/0/refused"
    assert (alert["data"]["reason"], alert["data"]["epoch"], alert["data"]["replica"]) == ("12 refused", 5, "mon-a")


def test_every_state_has_a_severity() -> None:
    assert set(SEVERITY) == set(HealthState)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, ""), (1, "1970-01-01T00:00:00.001Z"), (1_795_462_262_114, "2026-11-23T19:31:02.114Z")],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(ms: int, text: str) -> None:
    assert rfc3339(ms) == text
