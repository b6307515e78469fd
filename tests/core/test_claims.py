"""May an attempt begin, who carries it out, and what its claim commits."""

from __future__ import annotations

import pytest

from healthmon.core.attempts import Attempts
from healthmon.core.claims import Means, dependency_down, down_of, runner_of, waits_for
from healthmon.core.component import HealthState
from healthmon.core.event import EventType
from healthmon.core.policy import Defaults, parse_policy
from tests.core.shard import MEANS, Shard
from tests.core.supervised import PROBE, QUICK, RESTART, STAGES, claimed, shard_of, supervised


def waits(shard: Shard, means: Means = MEANS, owner: str = "", name: str = "a") -> str:
    return waits_for(shard[name], shard.table, means, owner, shard.now_ms)


# -- the order of checks -----------------------------------------------------------------------------------------------


def test_the_reasons_to_wait_come_in_order_and_the_first_is_told() -> None:
    shard = shard_of(restart={**RESTART, "auto": False}, depends_on=["db"])
    shard.declare("db")
    component, database, nobody = shard["a"], shard["db"], Means("mon-a")
    component.held, database.state = "by alice: disk", HealthState.DEAD
    component.restart = Attempts(next_ms=shard.now_ms)
    shard.table.brake.learn(shard.now_ms, shard.now_ms)
    owner = "owned by run_supervisor"
    assert waits(shard, nobody, owner) == "automatic restarts are off"
    component.limits = parse_policy({"restart": RESTART}, QUICK).limits(QUICK)
    assert waits(shard, nobody, owner) == "held by alice: disk"
    component.held = ""
    assert waits(shard, nobody, owner) == owner
    assert waits(shard, nobody) == "its dependency db is dead"
    database.state = HealthState.HEALTHY
    assert waits(shard, nobody) == "mass failure"
    shard.table.brake.learn(0, shard.now_ms)
    assert waits(shard, nobody) == "no process offers a restart handler for a"
    assert waits(shard) == ""


def test_nobody_is_restarted_while_lost_data_is_put_back_for_another_replica_may_know_of_the_attempt() -> None:
    shard = supervised()
    shard.table.recovering_until_ms = shard.now_ms + 10_000
    until_ms = shard.table.recovering_until_ms + shard["a"].limits.timeout_ms
    shard.ask("report", kind="exit", code=1)
    assert shard.state() == "dead"
    shard.watch((until_ms - shard.now_ms - 1) / 1000)
    assert (shard.state(), shard["a"].restart.waits) == ("dead", "lost data is being put back")
    shard.watch(1)
    assert shard.state() == "restarting"


def test_switched_off_for_all_it_waits_and_says_so() -> None:
    shard = shard_of(Defaults(auto_restart=False), restart=RESTART)
    shard.say()
    shard.watch(400)
    assert (shard.state(), shard["a"].restart.waits) == ("dead", "automatic restarts are off")
    told = [one.reason for one in shard.events if one.type is EventType.RESTART]
    assert told == ["waits: automatic restarts are off"], "said once"
    shard.ask("restart")
    assert shard.state() == "restarting", "an operator is obeyed all the same"


def test_what_waits_is_begun_as_soon_as_nothing_holds_it_and_keeps_its_number() -> None:
    shard = supervised()
    shard.means = Means("mon-a")
    shard.watch(60)
    assert (shard.state(), shard["a"].restart.done, shard["a"].restart.waits) == (
        "dead", 0, "no process offers a restart handler for a",
    )  # fmt: skip
    shard.means = MEANS
    shard.watch(1)
    assert (shard.state(), shard["a"].restart.done, shard["a"].restart.waits) == ("restarting", 1, "")


@pytest.mark.parametrize("rule", ["exit", "refused"])
def test_the_brake_does_not_hold_a_death_that_is_proven(rule: str) -> None:
    shard = shard_of(restart=RESTART, probe=PROBE, breaker={"failure_threshold": 1000}, **STAGES)
    shard.say(incarnation="i1")
    if rule == "exit":
        shard.report("exit", incarnation="i1")
    else:
        shard.declare("other", probe=PROBE)
        shard.watch(4)
        shard.probe("ok", "other")
        shard.probe("refused")
    assert shard.state() == "dead"
    shard.table.brake.learn(shard.now_ms, shard.now_ms)
    assert waits(shard) == ""


# -- who carries it out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restart", "means", "runner"),
    [
        ({"method": "agent"}, Means(), ("agent", "")),
        ({"method": "webhook", "url": "http://x/"}, Means("mon-a"), ("mon-a", "")),
        ({"method": "exec", "command": ["true"]}, Means("mon-a", allow_exec=True), ("mon-a", "")),
        (
            {"method": "exec", "command": ["true"]},
            Means("mon-a"),
            ("", "the leader runs no programs: HEALTH_ALLOW_EXEC is off"),
        ),
        ({"method": "handler"}, Means("mon-a", {"a": "mon-b", "*": "mon-c"}), ("mon-b", "")),
        ({"method": "handler"}, Means("mon-a", {"b": "mon-b", "*": "mon-c"}), ("mon-c", "")),
        ({"method": "handler"}, Means("mon-a", {"b": "mon-b"}), ("", "no process offers a restart handler for a")),
    ],
)
def test_the_runner_is_the_agent_the_leader_or_who_has_the_handler(
    restart: dict[str, object], means: Means, runner: tuple[str, str]
) -> None:
    assert runner_of(shard_of(restart=restart)["a"], means) == runner


def test_a_claim_commits_all_that_the_restart_needs_before_anything_is_called() -> None:
    shard = claimed(method="agent", timeout=60)
    (event,) = [one for one in shard.events if one.target == "restarting"]
    assert event.set["restart"] == {
        "done": 1,
        "next_ms": 0,
        "waits": "",
        "rev": event.rev,
        "claimed": event.rev,
        "deadline_ms": event.at_ms + 60_000,
        "incarnation": "i1",
        "method": "agent",
        "runner": "agent",
        "taken": "",
        "awaiting_ms": 0,
    }
    assert shard["a"].restart.rev == shard["a"].rev


def test_no_attempt_is_claimed_while_one_runs() -> None:
    shard = claimed(timeout=60)
    assert shard.table.census.due == {}
    shard.watch(10)
    assert [state for _, state in shard.path()].count("restarting") == 1


# -- dependencies ------------------------------------------------------------------------------------------------------


def chain(*names: str, **policy: object) -> Shard:
    """Each depends on the one before it; all are restarted, all beat once and fall silent."""
    shard = Shard(QUICK)
    before: list[str] = []
    for name in names:
        shard.declare(name, restart={**RESTART, "base_delay": 0.1}, depends_on=before, **policy)
        before = [name]
    for name in names:
        shard.say(name, incarnation="i1")
    return shard


def test_restarts_go_root_first_and_each_level_waits_for_health() -> None:
    shard = chain("db", "cache", "api", "web")
    order = []
    for name in ("db", "cache", "api", "web"):
        shard.watch(6 if name == "db" else 0.5)
        running = [one for one in ("db", "cache", "api", "web") if shard.state(one) == "restarting"]
        assert running == [name]
        order.append(name)
        shard.finish(name)
        shard.watch(0.5)
        assert shard.state(name) == "initializing"
        assert [one for one in shard.table.components if shard.state(one) == "restarting"] == []
        for one in order:
            shard.say(one, incarnation="i2", interval=1000)
    assert order == ["db", "cache", "api", "web"]


def test_a_level_waits_for_the_one_below_for_five_minutes_at_most() -> None:
    shard = chain("db", "web")
    shard.ask("hold", "db")
    shard.watch(5)
    due_ms = shard["web"].restart.next_ms
    shard.watch(298)
    assert (shard.state("web"), shard["web"].restart.waits) == ("dead", "its dependency db is dead")
    shard.watch(4)
    (claim,) = [one for one in shard.events if one.id == "web" and one.target == "restarting"]
    assert 300_000 <= claim.at_ms - due_ms <= 301_000


def test_unknown_names_and_those_of_other_shards_hold_nobody() -> None:
    shard = shard_of(restart=RESTART, depends_on=["elsewhere", "nobody"])
    shard.say()
    shard.watch(9)
    assert shard.state() == "restarting"


@pytest.mark.parametrize(
    ("state", "holds"),
    [
        ("unknown", False),
        ("initializing", True),
        ("healthy", False),
        ("degraded", False),
        ("unhealthy", True),
        ("dead", True),
        ("restarting", True),
        ("permanently_failed", True),
    ],
)
def test_whoever_is_up_or_was_never_there_holds_nobody(state: str, holds: bool) -> None:
    shard = chain("db", "web")
    shard["db"].state = HealthState(state)
    shard["web"].restart = Attempts(next_ms=shard.now_ms)
    assert (dependency_down(shard["web"], shard.table, shard.now_ms) is not None) is holds


def test_dependants_are_told_when_it_goes_down_and_when_it_is_up_again() -> None:
    shard = Shard(QUICK)
    shard.declare("db", restart=RESTART)
    shard.declare("web", depends_on=["db"])
    shard.say("db", incarnation="i1", interval=0.2)
    shard.say("web", interval=1000)
    shard.watch(9)
    shard.finish("db")
    shard.watch(1)
    assert (shard.state("db"), shard["web"].down) == ("initializing", ("db",))
    shard.say("db", incarnation="i2")
    told = [(one.rule, one.set["down"]) for one in shard.events if one.type is EventType.DEPENDENCY]
    assert told == [("down", ["db"]), ("up", [])], "while it starts again it is down still"
    assert all(one.id == "web" for one in shard.events if one.type is EventType.DEPENDENCY)


def test_one_that_starts_for_the_first_time_is_not_down() -> None:
    shard = Shard(QUICK)
    shard.declare("db")
    shard.declare("web", depends_on=["db"])
    shard.say("web", interval=1000)
    shard.say("db", status="starting")
    assert down_of(shard["web"], shard.table) == ()


def test_a_dependency_that_is_forgotten_is_down_no_more() -> None:
    shard = Shard(QUICK)
    shard.declare("db")
    shard.declare("web", depends_on=["db"])
    shard.say("db")
    shard.watch(2)
    shard.say("web", interval=1000)
    assert shard["web"].down == ("db",)
    shard.forget("db")
    assert not shard["web"].down
