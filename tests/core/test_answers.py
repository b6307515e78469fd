"""What commands and reports about one component change, and which are refused with which sentence."""

from __future__ import annotations

import re

import pytest

from healthmon.core.claims import Means
from healthmon.core.event import Event, EventType
from healthmon.errors import Refused
from tests.core.shard import Shard
from tests.core.supervised import RESTART, claimed, shard_of, supervised, take


def moves(events: list[Event]) -> list[tuple[str, str]]:
    return [(one.source, one.target) for one in events if one.type is EventType.TRANSITION]


def refused(sentence: str) -> pytest.RaisesExc[Refused]:
    return pytest.raises(Refused, match=re.escape(sentence))


def in_state(state: str) -> Shard:
    """A supervised one in this state."""
    if state == "unknown":
        return shard_of(restart=RESTART)
    shard = supervised(max_retries=1)
    seconds = {"degraded": 1.5, "unhealthy": 2.5, "dead": 4.5, "restarting": 9, "permanently_failed": 9}
    if state == "initializing":
        shard.say(status="starting", incarnation="i1")
    shard.watch(seconds.get(state, 0))
    if state == "permanently_failed":
        shard.finish(ok=0)
    assert shard.state() == state
    return shard


ALL = ("unknown", "initializing", "healthy", "degraded", "unhealthy", "dead", "restarting", "permanently_failed")


# -- operators ---------------------------------------------------------------------------------------------------------


def test_the_first_event_of_an_answer_names_the_entry_as_its_cause_and_the_revs_follow() -> None:
    shard = in_state("healthy")
    events = shard.report("exit", incarnation="i1", code=3)
    assert moves(events) == [("healthy", "unhealthy"), ("unhealthy", "dead")]
    assert [bool(one.cause) for one in events] == [True, False]
    assert shard["a"].control_folded == events[0].cause
    assert [one.rev for one in shard.events] == list(range(1, len(shard.events) + 1))


def test_held_by_somebody_it_is_not_restarted_until_it_is_resumed() -> None:
    shard = supervised()
    (held,) = shard.ask("hold", by="alice", reason="disk swap")
    assert (held.type, held.rule, held.reason) == (
        *(EventType.OPERATOR, "hold"),
        "automatic restarts held by alice: disk swap",
    )
    with refused("a is held already, by alice: disk swap"):
        shard.ask("hold", by="bob")
    shard.watch(30)
    assert (shard.state(), shard["a"].restart.waits) == ("dead", "held by alice: disk swap")
    events = shard.ask("resume", by="alice")
    assert [one.type for one in events] == [EventType.OPERATOR, EventType.TRANSITION]
    assert (shard.state(), shard["a"].held) == ("restarting", "")
    with refused("a is not held"):
        shard.ask("resume")


def test_a_held_one_is_restarted_when_somebody_asks_for_it() -> None:
    shard = supervised()
    shard.ask("hold")
    shard.ask("restart")
    assert (shard.state(), shard["a"].held) == ("restarting", "by an operator")


@pytest.mark.parametrize("state", ALL)
def test_an_operators_restart_is_attempt_1_from_every_state_but_restarting(state: str) -> None:
    shard = in_state(state)
    if state == "restarting":
        with refused("a is restarting already: restart 1 of 1 by handler"):
            shard.ask("restart")
        return
    (event, *_) = shard.ask("restart", by="alice", reason="rollout")
    assert (event.source, event.target) == (state, "restarting")
    assert event.reason.endswith("by handler, asked by alice: rollout")
    restart = shard["a"].restart
    assert (restart.done, restart.rev, restart.claimed, restart.next_ms) == (1, event.rev, event.rev, 0)
    assert restart.deadline_ms == shard.now_ms + 3_000
    shard.finish()
    shard.say(after_s=0.1, incarnation="i2")
    assert shard.state() == "healthy"


@pytest.mark.parametrize("cmd", ["restart", "revive"])
def test_a_restart_that_nobody_could_carry_out_is_refused(cmd: str) -> None:
    shard = in_state("permanently_failed")
    shard.means = Means("mon-a")
    with refused("no process offers a restart handler for a"):
        shard.ask(cmd)
    shard.register(restart={**RESTART, "method": "exec", "command": ["/bin/true"]})
    with refused("the leader runs no programs: HEALTH_ALLOW_EXEC is off"):
        shard.ask(cmd)
    shard.register(restart={"method": "none"})
    if cmd == "restart":
        with refused("a has no restart method"):
            shard.ask(cmd)


@pytest.mark.parametrize("state", ALL)
def test_only_one_that_has_given_up_is_revived(state: str) -> None:
    shard = in_state(state)
    if state == "permanently_failed":
        shard.ask("revive", by="alice")
        assert (shard.state(), shard["a"].restart.done) == ("restarting", 1)
        return
    with refused(f"a is {state}, it has not given up: `restart` restarts it"):
        shard.ask("revive")


def test_revived_its_attempts_are_counted_from_0() -> None:
    shard = supervised(max_retries=2)
    shard.watch(9)
    shard.finish(ok=0)
    shard.watch(10)
    shard.finish(ok=0)
    assert shard.state() == "permanently_failed"
    shard.ask("revive")
    shard.finish(ok=0)
    assert (shard.state(), shard["a"].restart.done) == ("dead", 1)


def test_revived_without_a_method_it_is_waited_for() -> None:
    shard = in_state("permanently_failed")
    shard.register()
    (event,) = shard.ask("revive", by="alice", reason="moved")
    assert (event.target, event.reason) == (
        "unknown",
        "revived by alice: moved; without a restart method it is waited for",
    )
    assert (shard["a"].watch_ms, shard["a"].restart.done, shard["a"].incident) == (shard.now_ms, 0, "")


# -- reports of restarts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rev", ["", "x", "-1", "1.5", "²", "9" * 30])
def test_a_report_names_its_restart_by_a_whole_number(rev: str) -> None:
    with refused("rev is "):
        claimed().report("restart", rev=rev, ok=1)


def test_a_report_of_another_restart_is_refused() -> None:
    shard = claimed()
    rev = shard["a"].restart.rev
    for other in (0, rev - 1, rev + 1):
        with refused(f"restart {other} of a is not the one that runs ({rev})"):
            shard.report("restart", rev=other, ok=1)
    with refused("is not the one that runs (none)"):
        supervised().report("restart", rev=3, ok=1)


def test_who_took_it_is_told_once_and_stands_in_the_record() -> None:
    shard = claimed()
    (event,) = shard.report("restart", rev=shard["a"].restart.rev, taken="mon-a")
    assert (event.type, event.rule, event.reason) == (EventType.RESTART, "taken", "restart 1 taken by mon-a")
    assert shard["a"].restart.taken == "mon-a"
    shard.finish()
    assert shard["a"].restart.taken == "mon-a"


def test_an_outcome_is_reported_once() -> None:
    shard = claimed()
    rev = shard["a"].restart.rev
    shard.finish()
    with refused(f"restart {rev} of a is not the one that runs ({rev})"):
        shard.report("restart", rev=rev, ok=0)
    assert shard.state() == "initializing"


@pytest.mark.parametrize("ok", [1, 0])
def test_a_late_report_is_noted_and_changes_no_state(ok: int) -> None:
    shard = claimed()
    take(shard)
    rev = shard["a"].restart.rev
    shard.watch(8)
    due_ms = shard["a"].restart.next_ms
    (event,) = shard.report("restart", rev=rev, ok=ok, detail="took a while")
    word = "succeeded" if ok else "failed"
    assert (event.rule, event.reason) == ("late", f"restart 1 of 2 {word}: took a while (reported late)")
    assert (shard.state(), shard["a"].restart.next_ms) == ("dead", due_ms)
    with refused("is not the one that runs"):
        shard.report("restart", rev=rev, ok=ok)


def test_a_report_after_it_was_heard_from_is_late_too() -> None:
    shard = claimed()
    rev = shard["a"].restart.rev
    shard.say(after_s=0.1, incarnation="i2")
    (event,) = shard.report("restart", rev=rev, ok=0)
    assert (event.rule, shard.state()) == ("late", "healthy")


def test_two_incidents_with_one_attempt_number_are_two_restarts() -> None:
    shard = claimed()
    first = shard["a"].restart.rev
    shard.finish()
    for _ in range(64):
        shard.say(after_s=0.5, incarnation="i2")
    shard.watch(9)
    assert (shard.state(), shard["a"].restart.done) == ("restarting", 1)
    second = shard["a"].restart.rev
    assert second > first
    with refused(f"restart {first} of a is not the one that runs ({second})"):
        shard.report("restart", rev=first, ok=1)


# -- reports of exits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["unknown", "initializing", "healthy", "degraded", "unhealthy"])
def test_an_exit_is_proof_of_death_from_every_state_in_one_commit_and_is_no_silence(state: str) -> None:
    shard = in_state(state)
    events = shard.report("exit", incarnation="i1", code=1, lines="one\ntwo")
    direct = state in ("initializing", "unhealthy")
    assert moves(events) == ([(state, "dead")] if direct else [(state, "unhealthy"), ("unhealthy", "dead")])
    assert {one.at_ms for one in events} == {shard.now_ms}
    assert (shard["a"].rule, shard["a"].reason) == ("exit", "exited with code 1: two")
    assert shard["a"].restart.next_ms == shard.now_ms + 5_000
    assert shard.table.census.silent == {}


def test_the_exit_of_the_incarnation_that_is_being_restarted_counts_and_proves_nothing() -> None:
    shard = in_state("healthy")
    shard.ask("restart")
    (event,) = shard.report("exit", incarnation="i1", signal="SIGTERM", code=143)
    assert (event.type, event.reason) == (EventType.RESTART, "killed by SIGTERM (reported)")
    assert shard.state() == "restarting"
    shard.finish()
    (event,) = shard.report("exit", incarnation="i1", code=0)
    assert (event.rule, shard.state()) == ("exited", "initializing")


@pytest.mark.parametrize("after_report", [False, True])
def test_the_exit_of_the_new_incarnation_fails_the_restart(after_report: bool) -> None:
    shard = claimed()
    if after_report:
        shard.finish()
    shard.report("exit", incarnation="i2", code=1)
    assert (shard.state(), shard["a"].rule, shard["a"].restart.done) == ("dead", "exit", 1)
    assert shard["a"].restart.next_ms == shard.now_ms + 10_000


def test_the_same_exit_reported_again_costs_the_next_attempt_nothing() -> None:
    shard = claimed()
    shard.report("exit", incarnation="i2", code=1)
    shard.watch(10)
    assert shard.state() == "restarting"
    (event,) = shard.report("exit", incarnation="i2", code=1)
    assert (event.rule, shard.state(), shard["a"].restart.done) == ("exited", "restarting", 2)


def test_the_exit_of_an_incarnation_that_is_no_longer_the_current_one_is_refused() -> None:
    shard = in_state("healthy")
    shard.say(incarnation="i2")
    with refused("incarnation i1 has ended, but i2 is the one that runs"):
        shard.report("exit", incarnation="i1")
    assert shard.state() == "healthy"
    restarted = claimed()
    restarted.finish()
    restarted.say(after_s=0.1, incarnation="i2")
    with refused("incarnation i1 has ended"):
        restarted.report("exit", incarnation="i1")


@pytest.mark.parametrize("named", ["i1", ""])
def test_where_no_incarnation_is_known_or_said_an_exit_is_believed(named: str) -> None:
    declared = shard_of(restart=RESTART)
    declared.report("exit", incarnation=named, code=127)
    assert declared.state() == "dead"
    beating = shard_of(restart=RESTART)
    beating.say()
    beating.report("exit", incarnation=named)
    assert (beating.state(), beating["a"].reason) == ("dead", "its process ended")


def test_an_exit_after_a_goodbye_is_what_it_said() -> None:
    shard = shard_of()
    shard.say(incarnation="i1")
    shard.say(incarnation="i1", status="stopping")
    (event,) = shard.report("exit", incarnation="i1", code=0)
    assert (event.rule, event.reason, shard.state()) == ("exited", "exited with code 0 (reported)", "unknown")
    expected = shard_of(expected="always")
    expected.say(incarnation="i1", status="stopping")
    expected.report("exit", incarnation="i1", code=0)
    assert expected.state() == "dead"


@pytest.mark.parametrize("state", ["dead", "permanently_failed"])
@pytest.mark.parametrize("named", ["i1", ""])
def test_the_exit_of_a_dead_one_adds_to_what_is_known_of_its_failure(state: str, named: str) -> None:
    shard = in_state(state)
    due_ms = shard["a"].restart.next_ms
    (event,) = shard.report("exit", incarnation=named, signal="SIGKILL", peak_mb="512.25")
    assert (event.type, shard.state(), shard["a"].restart.next_ms) == (EventType.RESTART, state, due_ms)
    known = shard["a"].failure
    assert (known["signal"], known["peak_mb"], "at_ms" in known) == ("SIGKILL", 512.25, True)


def test_the_last_exit_gives_up_in_the_same_commit() -> None:
    shard = supervised(max_retries=1)
    shard.watch(9)
    events = shard.report("exit", incarnation="i2", code=1)
    assert moves(events) == [("restarting", "dead"), ("dead", "permanently_failed")]
    assert shard["a"].reason == "gave up after 1 of 1 restarts: exited with code 1"


def test_what_an_exit_says_is_bounded() -> None:
    shard = in_state("healthy")
    lines = "\n".join(f"line {n} \x1b[31m" + "x" * 100 for n in range(100))
    shard.report("exit", incarnation="i1", code=1, uptime_s="1.23456", lines=lines)
    known = shard["a"].failure
    assert known["uptime_s"] == 1.235
    kept = known["lines"].splitlines()
    assert len(kept) == 20
    assert kept[-1].startswith("line 99 ")
    assert known["lines"].replace("\n", "").isprintable()
    assert len(shard["a"].reason) <= 120


@pytest.mark.parametrize("bad", ["", "x", "--5", "²", "1.5.1", "nan", "inf", "1e999", "9" * 5000])
def test_numbers_of_an_exit_that_are_none_are_left_out(bad: str) -> None:
    shard = in_state("healthy")
    shard.report("exit", incarnation="i1", code=bad, peak_mb=bad, uptime_s=bad)
    assert shard.state() == "dead"
    assert not {"code", "peak_mb", "uptime_s"} & shard["a"].failure.keys()


def test_a_report_of_an_unknown_kind_is_unreadable_and_never_reaches_the_record() -> None:
    shard = in_state("healthy")
    with pytest.raises(ValueError, match="report kind is 'gossip'"):
        shard.report("gossip")
