"""What a person is told of restarts, failures, flapping and the brake."""

from __future__ import annotations

import copy
import json
from typing import Any

from healthmon.core.alert import alert_of, rfc3339, shard_alert_of
from healthmon.core.event import Event, EventType
from tests.core.shard import START_MS, Shard, alerts_of
from tests.core.supervised import claimed, supervised


def told(shard: Shard, seconds: float) -> list[dict[str, Any]]:
    """What people hear while this time passes."""
    before = copy.copy(shard["a"])
    return [one["data"] for one in alerts_of(before, shard.watch(seconds), shard.defaults)]


def test_the_alert_of_a_death_says_what_comes_next_and_when() -> None:
    (*_, alert) = told(supervised(), 4)
    assert alert["next"] == {"action": "restart", "attempt": 1, "max": 2, "at": rfc3339(START_MS + 9_000)}
    (*_, last) = told(supervised(max_retries=0), 4)
    assert (last["new_state"], last["next"]) == ("dead", None)


def test_only_a_death_has_a_next_attempt() -> None:
    alerts = told(supervised(), 9)
    assert [(one["new_state"], bool(one["next"])) for one in alerts] == [
        ("degraded", False),
        ("unhealthy", False),
        ("dead", True),
        ("restarting", False),
    ]


def test_a_restart_that_succeeds_resolves_the_incident_of_the_death() -> None:
    shard = claimed()
    before, incident = copy.copy(shard["a"]), shard["a"].incident
    events = [*shard.finish(), *shard.say(after_s=0.1, incarnation="i2")]
    alerts = [one["data"] for one in alerts_of(before, events, shard.defaults)]
    assert [(one["new_state"], one["status"], one["incident"]) for one in alerts] == [
        ("initializing", "firing", incident),
        ("healthy", "resolved", incident),
    ]


def test_giving_up_is_one_more_critical_alert_of_the_same_incident() -> None:
    shard = claimed(max_retries=1)
    before = copy.copy(shard["a"])
    dead, gave_up = alerts_of(before, shard.finish(ok=0, detail="no such file"), shard.defaults)
    assert (dead["data"]["new_state"], gave_up["data"]["new_state"]) == ("dead", "permanently_failed")
    assert (gave_up["data"]["severity"], gave_up["data"]["next"]) == ("critical", None)
    assert dead["data"]["incident"] == gave_up["data"]["incident"] == before.incident
    assert dead["id"] != gave_up["id"]
    assert gave_up["data"]["reason"].startswith("gave up after 1 of 1 restarts: ")


def test_an_operators_restart_of_a_well_one_alarms_nobody() -> None:
    shard = supervised()
    before = copy.copy(shard["a"])
    events = [*shard.ask("restart"), *shard.finish(), *shard.say(after_s=0.1, incarnation="i2")]
    assert [one.target for one in events if one.target] == ["restarting", "initializing", "healthy"]
    assert alerts_of(before, events, shard.defaults) == []


def test_the_failures_context_stands_in_the_alerts_of_a_death_and_in_no_other() -> None:
    shard = supervised()
    shard.say(incarnation="i1", latency_ms=20)
    before = copy.copy(shard["a"])
    unhealthy, dead = alerts_of(
        before, shard.report("exit", incarnation="i1", code=1, lines="boom", peak_mb="64"), shard.defaults
    )
    assert "failure" not in unhealthy["data"]
    assert dead["data"]["failure"] == {
        "code": 1,
        "lines": "boom",
        "incarnation": "i1",
        "peak_mb": 64.0,
        "metrics": {"latency_ms": 20.0},
    }
    assert json.loads(json.dumps(dead, allow_nan=False)) == dead
    (*_, restarting) = told(shard, 5)
    assert restarting["new_state"] == "restarting"
    assert "failure" not in restarting


def test_a_failure_of_which_nothing_is_known_is_left_out() -> None:
    (*_, alert) = told(supervised(), 4)
    assert alert["new_state"] == "dead"
    assert "failure" not in alert


def test_causes_that_explain_it_are_named_where_there_are_any() -> None:
    shard = supervised()
    before = copy.copy(shard["a"])
    event = shard.watch(1)[0]
    alert = alert_of(before, shard["a"], event, "healthmon", 0, causes=["db@1795460001000"])
    assert alert is not None
    assert alert["data"]["inhibited_by"] == ["db@1795460001000"]
    alone = alert_of(before, shard["a"], event, "healthmon", 0)
    assert alone is not None
    assert "inhibited_by" not in alone["data"]


def flapping() -> Shard:
    """It is flapping since a moment ago, and not well."""
    shard = Shard()
    shard.say()
    for number in range(5):
        shard.say(after_s=1, status="ok" if number % 2 else "degraded")
    assert shard["a"].flapping
    return shard


def heard_while_it_says(shard: Shard, status: str, seconds: int) -> list[tuple[str, str, str]]:
    """What people hear while it goes on saying this every ten seconds."""
    before, known = copy.copy(shard["a"]), len(shard.events)
    for _ in range(seconds // 10):
        shard.say(after_s=10, status=status)
    alerts = [one["data"] for one in alerts_of(before, shard.events[known:], shard.defaults)]
    return [(one["new_state"], one["status"], one["incident"]) for one in alerts]


def test_flapping_is_resolved_once_it_is_calm_and_well() -> None:
    shard = flapping()
    incident = shard["a"].incident
    assert heard_while_it_says(shard, "ok", 800) == [("flapping", "resolved", incident)]
    assert not shard["a"].incident


def test_flapping_that_ends_while_it_is_not_well_goes_on_firing_under_the_same_incident() -> None:
    shard = flapping()
    incident = shard["a"].incident
    assert heard_while_it_says(shard, "degraded", 800) == [("flapping", "firing", incident)]
    assert heard_while_it_says(shard, "ok", 10) == [("healthy", "resolved", incident)]


def test_what_operators_breakers_and_reports_do_is_told_to_nobody() -> None:
    shard = claimed()
    before = copy.copy(shard["a"])
    events = [
        *shard.ask("hold", by="alice"),
        *shard.ask("reset-breaker"),
        *shard.report("restart", rev=shard["a"].restart.rev, taken="mon-a"),
        *shard.report("exit", incarnation="i1", code=0),
    ]
    assert len(events) == 4
    assert alerts_of(before, events, shard.defaults) == []


def brake(rule: str, since_ms: int) -> Event:
    said = {"mass_since_ms": str(since_ms), "mass_at_ms": "1"}
    return Event(EventType.GUARD, "", rev=0, born_ms=0, at_ms=START_MS, reason="so", rule=rule, set=said)


def test_the_brake_fires_when_it_trips_and_resolves_when_it_ends() -> None:
    tripped, ended = (shard_alert_of(brake("mass_failure", ms), 7, "g", "healthmon", 0) for ms in (5, 0))
    assert (tripped["data"]["status"], ended["data"]["status"]) == ("firing", "resolved")
    assert tripped["data"]["dedup_key"] == ended["data"]["dedup_key"] == "healthmon/0/mass_failure"
