from __future__ import annotations

import json
from typing import Any

from healthmon.core.guard import Brake
from healthmon.views.care import Cared, judge_care
from healthmon.views.diagnosis import Finding
from healthmon.views.picture import Replica, replica_of

NOW = 1_795_521_600_000
DAY = 86_400_000
EXEC = json.dumps({"restart": {"method": "exec", "command": ["true"]}})
PROBED = json.dumps({"probe": {"exec": ["pg_isready"]}})


def record(id_: str, **said: str) -> dict[str, str]:
    return {"id": id_, "state": "healthy", "circuit_breaker_state": "closed", **said}


def replica(name: str, **said: str) -> Replica:
    return replica_of(name, NOW, NOW, {"handlers": "[]", **said})


def findings(
    *records: dict[str, str], replicas: tuple[Replica, ...] = (), brake: Brake | None = None, **cared: Any
) -> dict[str, Finding]:
    looked = Cared(records, cared.pop("total", len(records)), **cared)
    found = judge_care(looked, replicas or (replica("mon-a"),), "mon-a", brake or Brake(), NOW)
    return {finding.check: finding for finding in found}


def test_a_fleet_in_order_has_no_remark() -> None:
    found = findings(record("api-1"))
    assert {one.grade for one in found.values()} == {"ok"}
    assert list(found) == ["brake", "programs", "handlers", "breakers", "held"]


def test_a_brake_that_holds_is_a_warning_with_its_beginning() -> None:
    brake = findings(record("api-1"), brake=Brake(NOW - 40_000))["brake"]
    assert brake.grade == "warning"
    assert "(40 s ago): deaths by silence and restarts wait" in brake.fact
    assert "healthmon resume --mass-failure" in brake.fix


def test_programs_of_policies_need_a_monitor_that_may_run_them() -> None:
    records = (record("db", restart_method="exec", policy=EXEC), record("pg", policy=PROBED))
    off, on = replica("mon-a", allow_exec="0"), replica("mon-b", allow_exec="1")
    found = findings(*records, replicas=(off, replica("mon-b", allow_exec="off")))["programs"]
    assert (found.grade, found.fact) == (
        "problem",
        "policies of db, pg run programs, and no monitor may: HEALTH_ALLOW_EXEC is off",
    )
    assert findings(*records, replicas=(off, on))["programs"].fact.endswith(
        "the leader may not: HEALTH_ALLOW_EXEC is off there"
    )
    may = (replica("mon-a", allow_exec="on"), replica("mon-b", allow_exec="off"))
    assert findings(*records, replicas=may)["programs"].grade == "ok"


def test_where_no_monitor_says_whether_it_may_a_refusal_tells() -> None:
    waits = "the leader runs no programs: HEALTH_ALLOW_EXEC is off"
    assert findings(record("db", restart_method="exec"))["programs"].grade == "ok"
    assert findings(record("db", restart_method="exec", restart_waits=waits))["programs"].grade == "problem"


def test_a_handler_must_be_offered_by_somebody_alive() -> None:
    records = (record("api-1", restart_method="handler"), record("api-2", restart_method="handler"))
    found = findings(*records)["handlers"]
    assert (found.grade, found.fact) == (
        "problem",
        "api-1, api-2 are restarted by a handler, and no process offers one",
    )
    one = findings(*records, replicas=(replica("mon-a", handlers='["api-1"]'),))["handlers"]
    assert one.fact.startswith("api-2 is restarted by a handler")
    assert findings(*records, replicas=(replica("mon-a", handlers='["*"]'),))["handlers"].grade == "ok"
    gone = replica_of("mon-a", NOW - 60_000, NOW, {"handlers": '["*"]'})
    assert findings(*records, replicas=(gone,))["handlers"].grade == "problem"


def test_open_breakers_are_named_with_the_next_try() -> None:
    open_ = {"circuit_breaker_state": "open", "breaker_retry_at": "2026-11-24T12:00:20.000Z"}
    found = findings(record("db", **open_), record("api-1"))["breakers"]
    assert found.grade == "warning"
    assert found.fact.startswith("open: db; the next is tried again at ")
    assert "healthmon reset-breaker db" in found.fix


def test_what_is_held_for_more_than_a_day_is_probably_forgotten() -> None:
    records = (record("a", held="by ann"), record("b", held="by bob"), record("c", held="by cy"))
    found = findings(*records, held_since={"a": NOW - 2 * DAY, "b": NOW - 1000})["held"]
    assert (found.grade, found.fix) == ("warning", "healthmon resume a c")
    assert found.fact == "for more than a day: a, c, the longest for 2 d: nothing restarts them"
    assert findings(records[1], held_since={"b": NOW - 1000})["held"].grade == "ok"


def test_of_a_large_fleet_it_is_said_how_many_were_looked_at() -> None:
    found = findings(record("a"), total=20_000)["looked at"]
    assert found.fact == "only the 1 longest silent of 20 000 components were looked at"
