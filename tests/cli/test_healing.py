"""`hold`, `resume`, `restart`, `revive` and `reset-breaker` against real replicas and real agents."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.supervised import Start as StartAgent
from tests.agent.supervised import starting
from tests.cli.conftest import Command, Start, wait
from tests.cli.fleet import Fleet

WELL = ("bash", "-c", "echo up; sleep 100")
CRASHES = ("bash", "-c", "echo 'no model' >&2; exit 3")


@pytest.fixture
def agent(at: str, prefix: str, tmp_path: Path) -> Iterator[StartAgent]:
    """Starts agents with a heartbeat every 0.2 s."""
    with starting(tmp_path, at) as made:
        yield made


def supervised(agent: StartAgent, id_: str, words: tuple[str, ...], *options: str) -> None:
    agent(*words, id_=id_, options=("--interval", "0.2", "--base-delay", "0.1", *options))


def registered(fleet: Fleet, id_: str, **policy: Any) -> None:
    fleet.do("XADD", fleet.keys.control, "*", "cmd", "register", "id", id_, "policy", json.dumps(policy))


def state(fleet: Fleet, id_: str) -> str:
    return (fleet.do("HGET", fleet.keys.component(id_), "state") or b"").decode()


def in_state(fleet: Fleet, id_: str, *states: str) -> None:
    wait(lambda: state(fleet, id_) in states)


# -- hold and resume ---------------------------------------------------------------------------------------------------


def test_hold_and_resume_are_events_with_who_asked_and_why(healthmon: Command, start: Start, fleet: Fleet) -> None:
    start("mon-a")
    registered(fleet, "api-1")
    in_state(fleet, "api-1", "unknown")
    said = healthmon("hold", "api-1", "--by", "ann", "--reason", "disk swap")
    assert (said.code, said.out) == (0, "api-1: automatic restarts held by ann: disk swap\n")
    assert said.err == "healthmon: undo with `healthmon resume api-1`\n"
    again = healthmon("hold", "api-1")
    assert (again.code, again.out) == (1, "")
    assert again.err == "healthmon: refused: api-1 is held already, by ann: disk swap\n"
    said = healthmon("resume", "api-1")
    assert said.out == f"api-1: automatic restarts resumed by {getpass.getuser()}@{socket.gethostname()}\n"
    told = [json.loads(line) for line in healthmon("events", "--type", "operator", "-o", "jsonl").lines]
    assert [one["rule"] for one in told] == ["hold", "resume"]
    assert all(one["cause"] for one in told)


def test_of_several_each_is_answered_and_a_refusal_of_one_keeps_nothing_from_the_others(
    healthmon: Command, start: Start, fleet: Fleet
) -> None:
    start("mon-a")
    for one in ("a", "b", "c"):
        registered(fleet, one)
        in_state(fleet, one, "unknown")
    assert healthmon("hold", "b").code == 0
    said = healthmon("hold", "a", "b", "c", "a", "-o", "json")
    assert said.code == 1
    answers = json.loads(said.out)
    assert [(one["id"], one["done"]) for one in answers] == [("a", True), ("b", False), ("c", True)]
    assert answers[1]["error"].startswith("refused: b is held already")
    assert answers[0]["event"]["rule"] == "hold"
    assert healthmon("resume", "a", "b", "-o", "name").lines == ["a", "b"]


def test_an_unknown_id_is_found_before_anything_is_asked(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    said = healthmon("hold", "api-1", "api-2")
    assert (said.code, said.err) == (3, "healthmon: no component api-2; did you mean api-1?\n")
    said = healthmon("restart", "api-1", "--dry-run")
    assert (said.code, said.out) == (0, "api-1 would be restarted\n")
    assert fleet.do("XLEN", fleet.keys.control) == 0


@pytest.mark.usefixtures("at")
def test_resume_takes_ids_or_the_mass_failure(healthmon: Command) -> None:
    for words in (("resume",), ("resume", "api-1", "--mass-failure")):
        said = healthmon(*words)
        assert (said.code, said.err) == (
            2,
            "healthmon: resume takes ids of components, or --mass-failure without any\n",
        )


def test_an_answer_that_does_not_come_in_time_is_exit_code_124(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    said = healthmon("hold", "api-1", "--wait", "0.1")
    assert (said.code, said.out) == (124, "")
    assert "no answer within 0.1 s" in said.err or "no answer within 0.0" in said.err


# -- the brake ---------------------------------------------------------------------------------------------------------


def test_resume_lets_go_of_the_brake_when_the_mass_failure_is_real(
    healthmon: Command, start: Start, fleet: Fleet
) -> None:
    start("mon-a")
    said = healthmon("resume", "--mass-failure")
    assert (said.code, said.err) == (1, "healthmon: refused: there is no mass failure to lift the brake of\n")
    ids = [f"api-{n}" for n in range(8)]
    for one in ids:
        fleet.do("XADD", fleet.keys.heartbeats, "*", "id", one)
    wait(lambda: int(fleet.do("HGET", fleet.keys.guard, "mass_since_ms") or 0))
    assert "mass failure" in healthmon("events", "--type", "guard").out
    said = healthmon("resume", "--mass-failure", "--by", "ann", "--reason", "the rack is gone")
    assert (said.code, said.out) == (0, "the mass failure is real, said by ann: the rack is gone\n")
    in_state(fleet, ids[0], "dead")


# -- restart and revive ------------------------------------------------------------------------------------------------


def test_restart_waits_until_it_is_healthy_and_says_so(
    healthmon: Command, start: Start, fleet: Fleet, agent: StartAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("mon-a")
    supervised(agent, "web-1", WELL)
    in_state(fleet, "web-1", "healthy")
    said = healthmon("restart", "web-1", "--wait", "20", "--by", "ann", "--reason", "new key")
    assert (said.code, said.err) == (0, "")
    first, last = said.lines
    assert first == "web-1: Healthy → Restarting: restart 1 of 5 by agent, asked by ann: new key"
    assert last.startswith("web-1: Healthy after ")
    assert last.endswith(" s: heard from after restart 1 of 5")


def test_a_restart_that_fails_is_exit_code_1_with_what_comes_next_and_revive_tries_again(
    healthmon: Command, start: Start, fleet: Fleet, agent: StartAgent
) -> None:
    start("mon-a")
    supervised(agent, "bad", CRASHES, "--max-retries", "1", "--base-delay", "0.1")
    in_state(fleet, "bad", "permanently_failed")
    assert "⊘ Gave up" in healthmon("ls").out
    why = {line.split()[0]: line for line in healthmon("why", "bad").lines}
    assert why["⊘"].startswith("⊘ bad gave up at ")
    assert "exited with code 3 after " in why["failure"]
    assert why["output"].endswith("no model")
    assert "1 of 1 used, by agent" in why["attempts"]
    said = healthmon("revive", "bad", "--wait", "20")
    assert said.code == 1
    assert said.lines[0].startswith("bad: Gave up → Restarting: restart 1 of 1 by agent, asked by ")
    assert said.lines[1].startswith("bad: Gave up after ")
    assert "no model" in said.lines[1]
    assert said.lines[1].endswith("`revive` restarts it")
    value = json.loads(healthmon("restart", "bad", "--wait", "20", "-o", "json").out)[0]
    assert value["outcome"]["state"] == "permanently_failed"
    refused = healthmon("revive", "api-1")
    assert refused.code == 3


def test_a_restart_that_takes_longer_says_what_it_waits_for(healthmon: Command, start: Start, fleet: Fleet) -> None:
    start("mon-a")
    registered(fleet, "lonely", restart={"method": "agent"})
    in_state(fleet, "lonely", "unknown")
    said = healthmon("restart", "lonely", "--wait", "0.5")
    assert said.code == 124
    assert "lonely is not healthy after 0.5 s: it is Restarting, restart 1 of 5 by agent" in said.err
    assert said.err.endswith("; not taken yet\n")
    again = healthmon("restart", "lonely")
    assert again.code == 1
    assert "lonely is restarting already" in again.err


def test_what_cannot_be_restarted_is_refused_with_the_reason(healthmon: Command, start: Start, fleet: Fleet) -> None:
    start("mon-a")
    registered(fleet, "plain")
    registered(fleet, "handled", restart={"method": "handler"})
    registered(fleet, "program", restart={"method": "exec", "command": ["true"]})
    in_state(fleet, "program", "unknown")
    said = healthmon("restart", "plain", "handled", "program")
    assert (said.code, said.out) == (1, "")
    plain, handled, program = said.err.splitlines()
    assert "plain has no restart method" in plain
    assert "no process offers a restart handler for handled" in handled
    assert "HEALTH_ALLOW_EXEC" in program
    assert "it has not given up" in healthmon("revive", "plain").err


# -- the breaker -------------------------------------------------------------------------------------------------------


def test_reset_breaker_closes_an_open_breaker(healthmon: Command, start: Start, fleet: Fleet) -> None:
    start("mon-a")
    registered(fleet, "api-1", heartbeat_timeout=60, degraded_threshold=90, dead_threshold=180)
    in_state(fleet, "api-1", "unknown")
    fleet.do("XADD", fleet.keys.heartbeats, "*", "id", "api-1")
    in_state(fleet, "api-1", "healthy")
    for n in range(5):
        report = ("cmd", "report", "kind", "failure", "id", "api-1", "detail", f"query {n} failed")
        fleet.do("XADD", fleet.keys.control, "*", *report)
    in_state(fleet, "api-1", "unhealthy")
    assert "circuit breaker open: query 4 failed" in healthmon("why", "api-1").out
    said = healthmon("reset-breaker", "api-1", "--by", "ann", "--reason", "mended")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("api-1: open circuit breaker reset")
    assert all(word in said.out for word in ("by ann", ": mended"))
    in_state(fleet, "api-1", "healthy")
    assert "breaker open: 5 failures in a row" in healthmon("events", "--type", "breaker").out
