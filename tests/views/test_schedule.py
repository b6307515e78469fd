from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

from healthmon.core.attempts import Attempts
from healthmon.core.component import Component, HealthState
from healthmon.core.death import remaining
from healthmon.core.policy import Defaults, Policy
from healthmon.views.schedule import (
    Schedule,
    attempts_sentence,
    next_attempt,
    schedule_json,
    schedule_of,
)

NOW = 1_795_462_265_000  # 2026-11-23T19:31:05Z
DEFAULTS = Defaults()
AGENT = {"method": "agent", "jitter": False, "timeout": 1.0}


def component(state: HealthState = HealthState.DEAD, *, policy: Any = None, **restart: Any) -> Component:
    made_of = Policy(restart=AGENT if policy is None else policy)
    made = Component("j_prime", NOW - 3_600_000, made_of, made_of.limits(DEFAULTS), state=state, since_ms=NOW - 3000)
    made.restart = Attempts(**restart)
    return made


def schedule(one: Component, *, braked: bool = False, **dependencies: str) -> Schedule:
    found = schedule_of(one, dependencies, NOW, braked=braked)
    assert found is not None
    return found


def told(one: Component, *, led: bool = True, **more: Any) -> str:
    return "; ".join(next_attempt(schedule(one, **more), NOW, UTC, led=led))


def test_the_next_attempt_is_told_with_its_moment_and_when_it_gives_up() -> None:
    one = component(next_ms=NOW + 2000)
    found = schedule(one)
    assert [number for number, _ in found.planned] == [1, 2, 3, 4, 5]
    assert told(one).startswith("restart attempt 1/5 at 19:31:07 (in 2 s); gives up at the earliest 19:3")
    assert attempts_sentence(found, NOW, UTC).startswith("0 of 5 used, by agent; at the earliest 19:31:07, 19:31:")


def test_the_last_attempt_says_that_it_is_the_last() -> None:
    one = component(done=4, next_ms=NOW + 80_000)
    assert told(one) == "restart attempt 5/5 at 19:32:25 (in 1 m 20 s); gives up if it fails"
    assert attempts_sentence(schedule(one), NOW, UTC) == (
        "4 of 5 used, by agent; count from 0 again after 600 s of health"
    )


def test_one_that_is_due_says_why_it_waits() -> None:
    due = component(next_ms=NOW - 4000, waits="no process offers a restart handler for j_prime")
    assert told(due).startswith(
        "restart attempt 1/5 is due since 19:31:01 (4 s ago) and waits: no process offers a restart handler for j_prime"
    )
    later = [at_ms for _, at_ms in schedule(due).planned[1:]]
    assert later == [at_ms + 4000 for _, at_ms in remaining(due)[1:]]
    plain = component(next_ms=NOW - 4000)
    assert told(plain, led=False).startswith("restart attempt 1/5 is due since 19:31:01 (4 s ago), but nobody leads;")


def test_what_will_hold_an_attempt_is_said_before_it_is_due() -> None:
    one = component(next_ms=NOW + 2000)
    assert "but would wait: its dependency db is Dead;" in told(one, db="dead", cache="healthy")
    assert "but would wait: mass failure;" in told(one, braked=True)
    one.rule = "exit"  # a proven death is not held
    assert "mass failure" not in told(one, braked=True)
    one.held = "by ann: disk swap"
    assert "but would wait: held by ann: disk swap;" in told(one, db="dead")


def test_a_running_attempt_says_who_has_it_and_until_when() -> None:
    one = component(HealthState.RESTARTING, done=2, rev=7, method="agent", deadline_ms=NOW + 50_000)
    assert told(one) == "restart attempt 2/5 is to be taken by its agent until 19:31:17 (in 12 s)"
    one.restart = replace(one.restart, taken="agent-web-4121")
    assert told(one) == (
        "restart attempt 2/5 is with agent-web-4121 until 19:31:55 (in 50 s); Starting if it succeeds, Dead if not"
    )


def test_used_attempts_of_a_healthy_one_say_when_they_count_from_0_again() -> None:
    well = component(HealthState.HEALTHY, done=2, by_itself=1)
    assert attempts_sentence(schedule(well), NOW, UTC) == (
        "2 of 5 used, by agent; count from 0 again at 19:41:02 (in 9 m 57 s) if it stays healthy; "
        "it came back by itself 1 time before one was due"
    )
    assert next_attempt(schedule(well), NOW, UTC, led=True) == []


def test_a_component_that_nobody_restarts_has_no_schedule() -> None:
    assert schedule_of(component(policy={}), {}, NOW, braked=False) is None
    assert schedule_of(component(policy={"method": "none"}), {}, NOW, braked=False) is None


def test_the_schedule_of_many_attempts_names_the_first() -> None:
    many = component(policy={**AGENT, "max_retries": 100}, next_ms=NOW + 2000)
    assert "and 94 later; count from 0" in attempts_sentence(schedule(many), NOW, UTC)


def test_programs_read_every_attempt_to_come() -> None:
    value = schedule_json(schedule(component(done=3, next_ms=NOW + 2000)))
    assert value["next_at"] == "2026-11-23T19:31:07.000Z"
    assert [one["attempt"] for one in value["planned"]] == [4, 5]
    assert value["gives_up_at"] == value["planned"][-1]["at"]
    assert (value["resets_at"], value["taken_by"], value["waits"]) == (None, None, None)
