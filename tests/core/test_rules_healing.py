"""The rules of restarts, breakers and probes, told as what a leader decides over time."""

from __future__ import annotations

import pytest

from healthmon.core.event import EventType
from tests.core.shard import START_MS, Shard
from tests.core.supervised import PATIENT, PROBE, RESTART, STAGES, claimed, shard_of, supervised, take

# -- the schedule ------------------------------------------------------------------------------------------------------


def test_a_dead_one_is_restarted_when_its_attempt_is_due_and_is_well_again() -> None:
    shard = claimed()
    assert shard["a"].reason == "restart 1 of 2 by handler"
    shard.watch(1)
    shard.finish(detail="up")
    assert (shard.state(), shard["a"].reason) == ("initializing", "restart 1 of 2 succeeded: up")
    shard.say(after_s=1, incarnation="i2")
    assert shard.path()[4:] == [(9, "restarting"), (10, "initializing"), (11, "healthy")]
    assert shard["a"].reason == "heard from after restart 1 of 2"
    assert shard["a"].restart.done == 1, "attempts count until it has been well for long"


def test_every_attempt_waits_its_turn_from_the_commit_of_the_failure_before() -> None:
    shard = claimed(max_retries=4)
    for _ in range(3):
        shard.watch(1)
        shard.finish(ok=0)
        shard.watch(shard["a"].restart.next_ms / 1000 - shard.now_ms / 1000)
    restarts = [at for at, state in shard.path() if state == "restarting"]
    deaths = [at for at, state in shard.path() if state == "dead"]
    assert [restart - death for death, restart in zip(deaths, restarts, strict=True)] == [5, 10, 20, 40]


def test_the_last_failure_goes_from_restarting_over_dead_to_permanently_failed_in_one_commit() -> None:
    shard = claimed()
    shard.finish(ok=0, detail="no such file")
    shard.watch(10)
    shard.watch(1)
    events = shard.finish(ok=0, detail="no such file")
    moves = [(one.source, one.target) for one in events if one.type is EventType.TRANSITION]
    assert moves == [("restarting", "dead"), ("dead", "permanently_failed")]
    assert events[0].at_ms == events[1].at_ms == shard.now_ms
    assert shard["a"].reason == "gave up after 2 of 2 restarts: restart 2 of 2 failed: no such file"
    assert shard["a"].restart.next_ms == 0
    shard.watch(600)
    assert shard.state() == "permanently_failed"


def test_a_heartbeat_before_the_due_time_cancels_the_attempt_and_is_counted_as_recovered_by_itself() -> None:
    shard = supervised()
    shard.watch(8.9)
    shard.say(incarnation="i1")
    assert shard["a"].reason == "heard from again, after 4.9 s of being dead, by itself before the next restart"
    assert (shard["a"].restart.by_itself, shard["a"].restart.next_ms, shard["a"].restart.done) == (1, 0, 0)
    for _ in range(5):
        shard.say(after_s=0.9, incarnation="i1")
    assert "restarting" not in [state for _, state in shard.path()]
    assert shard.table.census.due == {}


def test_attempts_reset_only_after_continuous_health() -> None:
    shard = claimed()
    shard.finish()
    shard.say(after_s=0.5, incarnation="i2")
    for _ in range(59):
        shard.say(after_s=0.5, incarnation="i2")
    assert shard["a"].restart.done == 1
    shard.say(status="degraded", incarnation="i2")
    shard.say(incarnation="i2")
    for _ in range(59):
        shard.say(after_s=0.5, incarnation="i2")
    assert shard["a"].restart.done == 1, "the clock began anew when it was degraded"
    events = shard.watch(0.5)
    assert [(one.type, one.rule, one.reason) for one in events] == [
        (EventType.RESTART, "reset", "healthy for 30 s: restart attempts count from 0 again")
    ]
    assert shard["a"].restart.done == 0


def test_attempts_do_not_reset_while_it_is_anything_but_healthy() -> None:
    shard = claimed()
    shard.finish()
    for _ in range(80):
        shard.say(after_s=0.5, incarnation="i2", status="degraded")
    assert (shard.state(), shard["a"].restart.done) == ("degraded", 1)


def gave_up() -> Shard:
    shard = claimed(max_retries=1)
    shard.finish(ok=0)
    assert shard.state() == "permanently_failed"
    return shard


def test_given_up_and_back_by_itself_it_keeps_its_attempts_and_gives_up_at_the_next_death() -> None:
    shard = gave_up()
    shard.say(after_s=1, incarnation="i1")
    assert (shard.state(), shard["a"].restart.done) == ("healthy", 1)
    events = shard.watch(4)
    assert [one.target for one in events[-2:]] == ["dead", "permanently_failed"]
    assert "restarting" not in [state for _, state in shard.path()[6:]]


def test_given_up_and_well_for_long_it_has_all_its_attempts_again() -> None:
    shard = gave_up()
    for _ in range(62):
        shard.say(after_s=0.5, incarnation="i1")
    shard.watch(5)
    assert (shard.state(), shard["a"].restart.done) == ("dead", 0)
    assert shard["a"].restart.next_ms


def test_given_up_by_an_exit_it_stays_so_though_it_was_heard_a_moment_ago() -> None:
    shard = gave_up()
    shard.say(after_s=1, incarnation="i3")
    shard.report("exit", incarnation="i3", code=1)
    shard.watch(0.5)
    shard.say(incarnation="i3")
    assert shard.path()[-2:] == [(10, "dead"), (10, "permanently_failed")]


def test_given_up_it_stays_so_until_it_is_heard_from() -> None:
    shard = gave_up()
    shard.watch(1_000)
    assert shard.state() == "permanently_failed"
    shard.say(status="degraded", incarnation="i9")
    assert shard.state() == "degraded"


# -- while restarting --------------------------------------------------------------------------------------------------


def test_while_restarting_a_heartbeat_of_the_incarnation_seen_before_the_claim_counts_and_proves_nothing() -> None:
    shard = claimed()
    before = shard["a"].total_heartbeats
    for _ in range(3):
        shard.say(after_s=0.5, incarnation="i1")
    assert (shard.state(), shard["a"].total_heartbeats) == ("restarting", before + 3)
    shard.finish()
    shard.say(after_s=0.1, incarnation="i1")
    assert shard.state() == "initializing"
    shard.say(after_s=0.1, incarnation="i2")
    assert shard.state() == "healthy"


def test_a_heartbeat_of_a_new_incarnation_is_evidence_even_before_the_report() -> None:
    shard = claimed()
    shard.say(after_s=1, incarnation="i2")
    assert (shard.state(), shard["a"].restart.rev) == ("healthy", 0)
    told = [one.reason for one in shard.events if one.type is EventType.RESTART]
    assert told == ["restarted by attempt 1"]


def test_without_incarnations_evidence_is_a_heartbeat_after_the_report() -> None:
    shard = shard_of(restart=RESTART)
    shard.say()
    shard.watch(9)
    shard.say(after_s=1)
    assert shard.state() == "restarting"
    shard.finish()
    assert shard.state() == "initializing"
    shard.say(after_s=0.001)
    assert shard.state() == "healthy"


def test_stopping_while_restarting_changes_nothing() -> None:
    shard = claimed()
    shard.say(after_s=0.5, status="stopping", incarnation="i1")
    assert shard.state() == "restarting"
    shard.finish()
    shard.say(after_s=0.1, incarnation="i2")
    assert shard.path()[4:] == [(9, "restarting"), (9.5, "initializing"), (9.6, "healthy")]


def test_a_goodbye_while_restarting_changes_nothing_though_its_method_is_taken_away() -> None:
    shard = claimed()
    shard.register()
    shard.say(after_s=0.5, status="stopping", incarnation="i1")
    shard.finish()
    assert shard.path()[4:] == [(9, "restarting"), (9.5, "initializing")]


def test_a_report_that_does_not_come_is_a_failure_five_seconds_after_the_deadline() -> None:
    shard = claimed()
    take(shard)
    shard.watch(8)
    assert shard.path()[5:] == [(17, "dead")]
    assert (shard["a"].rule, shard["a"].reason) == ("restart_failed", "restart 1 of 2 gave no report within 3 s")
    assert shard["a"].restart.next_ms == shard.now_ms + 10_000


@pytest.mark.parametrize(("method", "done"), [("agent", 0), ("handler", 1)])
def test_an_untaken_command_costs_an_agents_component_no_attempt(method: str, done: int) -> None:
    shard = claimed(method=method, timeout=60)
    shard.watch(19.999)
    assert shard.state() == "restarting"
    shard.watch(0.001)
    assert (shard.state(), shard["a"].restart.done, shard["a"].rule) == ("dead", done, "restart_untaken")
    who = "an agent of a" if method == "agent" else "mon-a"
    assert shard["a"].reason == f"restart 1 of 2 was not taken by {who}: is it running?"
    assert shard["a"].restart.next_ms == shard.now_ms + (5_000, 10_000)[done]


def test_an_agent_that_is_never_there_makes_nobody_give_up() -> None:
    shard = supervised(method="agent")
    shard.watch(300)
    assert {state for _, state in shard.path()[3:]} == {"dead", "restarting"}
    assert shard["a"].restart.done <= 1, "the one that may still be taken"


def test_taken_in_time_it_has_until_its_own_deadline() -> None:
    shard = claimed(method="agent", timeout=60)
    shard.watch(14)
    take(shard, "agent-7")
    shard.watch(50.999)
    assert shard.state() == "restarting"
    shard.watch(0.001)
    assert shard["a"].reason == "restart 1 of 2 gave no report within 60 s"


# -- after the report --------------------------------------------------------------------------------------------------


def test_after_a_success_it_must_be_heard_from_within_the_time_to_start() -> None:
    shard = claimed()
    shard.finish()
    shard.watch(4.999)
    assert shard.state() == "initializing"
    shard.watch(0.001)
    assert shard.path()[6:] == [(14, "dead")]
    assert shard["a"].reason == "restart 1 of 2: not heard from in 5 s after it"
    assert shard["a"].restart.next_ms == shard.now_ms + 10_000


def test_blind_time_is_no_part_of_the_time_to_start() -> None:
    shard = claimed()
    shard.finish()
    shard.watch(2)
    shard.go_blind(60)
    shard.watch(2.999)
    assert shard.state() == "initializing"
    shard.watch(0.001)
    assert shard.state() == "dead"


def test_a_restarted_one_that_says_starting_is_waited_for_like_any_other() -> None:
    shard = claimed()
    shard.finish()
    for _ in range(8):
        shard.say(after_s=0.9, status="starting", incarnation="i2")
    assert shard.path()[6:] == [(14.9, "degraded")], "five seconds after its first word"
    shard.say(incarnation="i2")
    assert shard.state() == "healthy"


def test_a_good_probe_is_evidence_after_the_report_too() -> None:
    shard = shard_of(restart=RESTART, probe=PROBE, breaker=PATIENT, **STAGES)
    shard.say(incarnation="i1")
    shard.watch(4)
    shard.probe("refused")
    shard.watch(5)
    assert shard.state() == "restarting"
    shard.probe()
    assert shard.state() == "restarting", "while it runs, it may still be the former process"
    shard.finish()
    shard.watch(0.1)
    shard.probe()
    assert shard.state() == "healthy"


# -- proof of death ----------------------------------------------------------------------------------------------------


def test_dead_by_proof_what_was_heard_before_proves_nothing() -> None:
    shard = supervised()
    shard.say(incarnation="i1")
    shard.report("exit", code=1, incarnation="i1")
    assert shard.path() == [(0, "healthy"), (0, "unhealthy"), (0, "dead")]
    shard.say(after_s=0.5, incarnation="i1")
    assert shard.state() == "dead", "a heartbeat that the exited process left on its way"
    shard.say(incarnation="i2")
    assert shard.state() == "healthy"


def test_after_a_failed_restart_the_former_process_may_come_back_by_itself() -> None:
    shard = claimed()
    shard.finish(ok=0)
    assert shard.state() == "dead"
    shard.say(after_s=1, incarnation="i1")
    assert (shard.state(), shard["a"].restart.done, shard["a"].restart.by_itself) == ("healthy", 1, 1)


# -- looking again -----------------------------------------------------------------------------------------------------


def looks(shard: Shard, seconds: float) -> int:
    """How many rounds the leader makes of a stretch beside its canaries."""
    before, began_ms = shard.rounds, shard.now_ms
    shard.watch(seconds)
    return shard.rounds - before - (shard.now_ms - began_ms) // shard.table.canary_ms


def test_whoever_waits_for_a_report_or_a_first_heartbeat_is_not_looked_at_all_the_time() -> None:
    shard = claimed(timeout=60, method="agent")
    take(shard)
    assert looks(shard, 50) <= 2
    shard.finish()
    assert looks(shard, 4.9) <= 2


def test_a_revived_one_is_silent_from_its_last_heartbeat_as_any_other() -> None:
    shard = shard_of(restart={**RESTART, "max_retries": 1})
    shard.say()
    shard.watch(9)
    shard.finish(ok=0)
    shard.register()
    assert shard.state() == "permanently_failed"
    shard.ask("revive", by="alice")
    assert (shard.state(), shard["a"].incident) == ("unknown", "")
    at_s = (shard.now_ms - START_MS) / 1000
    shard.say(after_s=1)
    shard.watch(2)
    assert shard.path()[-3:] == [(at_s + 1, "healthy"), (at_s + 2, "degraded"), (at_s + 3, "unhealthy")]


def test_a_revived_one_that_is_never_heard_from_has_its_time_to_start_anew() -> None:
    shard = shard_of(restart={**RESTART, "max_retries": 1})
    shard.say()
    shard.watch(9)
    shard.finish(ok=0)
    shard.register()
    shard.ask("revive")
    at_s = (shard.now_ms - START_MS) / 1000
    shard.watch(10)
    assert [(round(at - at_s, 3), state) for at, state in shard.path()[-3:]] == [
        (6, "degraded"),
        (7, "unhealthy"),
        (9, "dead"),
    ]
