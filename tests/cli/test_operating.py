"""`step-down` and `forget` against real replicas, and what `up` left for the other commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from healthmon.store.acl import Role, setuser
from healthmon.store.runtime_folder import remove_url, write_url
from tests.cli.conftest import QUICK, ROOT, Command, Start, wait
from tests.cli.fleet import Fleet
from tests.servers import FreshServer


def state(healthmon: Command, component: str) -> str:
    said = healthmon("show", component, "-o", "json")
    return str(json.loads(said.out)["state"]) if said.code == 0 else ""


def test_step_down_has_another_epoch_lead(healthmon: Command, start: Start) -> None:
    start("mon-a", "mon-b")
    before = json.loads(healthmon("cluster", "-o", "json").out)
    assert healthmon("step-down", "--dry-run").out.startswith(f"{before['leader']} would be asked to end its epoch")
    said = healthmon("step-down", "--by", "ann", "--reason", "drill", "-o", "json")
    assert said.code == 0
    value = json.loads(said.out)
    assert value["before"] == {"replica": before["leader"], "epoch": before["epoch"]}
    assert value["after"]["epoch"] > before["epoch"]
    assert value["after"]["replica"] in ("mon-a", "mon-b")
    told = healthmon("events", "--type", "operator", "-o", "jsonl").lines
    assert any("asked to step down by ann: drill" in one for one in told), told


def test_step_down_names_the_epoch_that_leads_when_another_is_given(healthmon: Command, start: Start) -> None:
    start("mon-a")
    said = healthmon("step-down", "--epoch", "17")
    assert (said.code, said.out) == (1, "")
    assert "epoch 17 does not lead: mon-a does with epoch" in said.err


def test_without_a_leader_a_command_that_needs_one_ends_with_6_and_leaves_nothing_behind(
    healthmon: Command, fleet: Fleet
) -> None:
    fleet.beat("api-1")
    fleet.store(led=False)
    named = [(cmd, "api-1") for cmd in ("hold", "resume", "restart", "revive", "reset-breaker")]
    for words in (("step-down",), ("forget", "api-1", "--yes"), ("resume", "--mass-failure"), *named):
        said = healthmon(*words)
        assert (said.code, said.out) == (6, "")
        assert "nobody leads" in said.err
    assert fleet.do("XLEN", fleet.keys.control) == 0


def test_a_leader_that_does_not_answer_in_time_is_exit_code_124(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    said = healthmon("forget", "api-1", "--yes", "--wait", "0.1")
    assert said.code == 124
    assert "no answer within 0.1 s" in said.err


def test_forget_removes_a_component_and_leaves_its_events(healthmon: Command, start: Start) -> None:
    start("mon-a")
    for one in ("old-1", "old-2"):
        assert healthmon("beat", one).code == 0
    wait(lambda: state(healthmon, "old-1") and state(healthmon, "old-2"))
    assert healthmon("forget", "old-1", "old-2", "--dry-run").lines[0].startswith("old-1 would be forgotten")
    said = healthmon("forget", "old-1", "old-2", "--yes", "--by", "ann", "-o", "json")
    assert said.code == 0
    assert [(one["id"], one["forgotten"]) for one in json.loads(said.out)] == [("old-1", True), ("old-2", True)]
    assert healthmon("show", "old-1").code == 3
    assert "forgotten by ann" in healthmon("events", "--id", "old-1").out


def test_forget_asks_first_and_refuses_where_nobody_can_answer(
    healthmon: Command, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.beat("api-1")
    fleet.store()
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        said = healthmon("forget", "api-1")
    assert said.code == 2
    assert "--yes" in said.err
    said = healthmon("forget", "api-2", "--yes")
    assert said.code == 3
    assert "did you mean api-1?" in said.err


def test_a_refused_command_is_told_with_its_reason(healthmon: Command, start: Start, fleet: Fleet) -> None:
    start("mon-a")
    # A record that no replica knows: written behind their backs.
    fleet.do("HSET", fleet.keys.component("ghost"), "state", "dead")
    said = healthmon("forget", "ghost", "--yes")
    assert said.code == 1
    assert said.err == "healthmon: refused: no component ghost\n"


def test_the_url_that_up_left_is_used_and_said(
    healthmon: Command, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.beat("api-1")
    fleet.store()
    monkeypatch.delenv("HEALTH_REDIS_URL")
    write_url(fleet.url)
    said = healthmon("ls", "-o", "name")
    assert (said.code, said.lines) == (0, ["api-1"])
    assert said.err == f"healthmon: HEALTH_REDIS_URL is not set: using {fleet.url} of your `healthmon up`\n"
    assert healthmon("beat", "api-2").code == 0
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://127.0.0.1:1/0")
    assert healthmon("ls").code == 5
    remove_url(fleet.url)


def test_a_server_in_a_directory_is_found_by_its_directory(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch, fresh_server: Callable[..., FreshServer], tmp_path: Path
) -> None:
    server = fresh_server(directory=tmp_path / "data")
    anyio.run(server.start)
    monkeypatch.setenv("HEALTH_REDIS_URL", f"embedded://{tmp_path / 'data'}")
    assert healthmon("status").code == 0
    anyio.run(server.stop)
    said = healthmon("status")
    assert said.code == 5
    assert "no server runs in embedded://" in said.err


# -- least rights ----------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(fresh_server: Callable[..., FreshServer], monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """A server with one user per role, and the fleet's own connection as its administrator."""
    server = fresh_server()
    anyio.run(server.start)
    fleet = Fleet(server.url, "healthmon")
    for role in Role:
        fleet.do(*setuser(role, "healthmon", login=">secret"))
    monkeypatch.setenv("HEALTH_PREFIX", "healthmon")
    return fleet


def url_for(fleet: Fleet, role: str) -> str:
    return fleet.url.replace("redis://", f"redis://healthmon-{role}:secret@")


def test_the_reader_may_run_every_reading_command_and_change_nothing(
    healthmon: Command, guarded: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded.beat("api-1")
    guarded.passes(100)
    guarded.send("id", "api-1", "p", "no msgpack")
    guarded.store()
    guarded.announce("mon-a", role="leader")
    guarded.announce("mon-b")
    guarded.do("XADD", guarded.keys.heartbeats, "*", "canary", "test")
    monkeypatch.setenv("HEALTH_REDIS_URL", url_for(guarded, "reader"))
    since = healthmon("events", "-o", "name").lines[0]
    for words in (
        ("status",),
        ("ls", "-l", "role:x"),
        ("show", "api-1"),
        ("why", "api-1"),
        ("events", "--since", since),
        ("cluster",),
        ("doctor",),
    ):
        said = healthmon(*words)
        assert said.code == 0, (words, said)
    assert "user healthmon-reader may act as reader" in healthmon("doctor").out
    for words in (("forget", "api-1", "--yes"), ("step-down",), ("beat", "api-1")):
        said = healthmon(*words)
        assert said.code == 4, (words, said)
        assert "healthmon acl" in said.err


def test_the_component_may_send_heartbeats_and_nothing_else(
    healthmon: Command, guarded: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded.store()
    monkeypatch.setenv("HEALTH_REDIS_URL", url_for(guarded, "component"))
    assert healthmon("beat", "api-1", "-m", "latency_ms=3").code == 0
    for words in (("status",), ("ls",), ("show", "api-1"), ("events",), ("step-down",)):
        assert healthmon(*words).code == 4, words
    component = Fleet.__new__(Fleet)
    component.url = url_for(guarded, "component")
    keys = guarded.keys
    for denied in (
        ("XADD", keys.control, "*", "cmd", "forget", "id", "api-1"),
        ("XADD", keys.events, "*", "type", "transition"),
        ("XREVRANGE", keys.heartbeats, "+", "-"),
        ("XTRIM", keys.heartbeats, "MAXLEN", "0"),
        ("DEL", keys.heartbeats),
        ("HSET", keys.meta, "shards", "9"),
        ("GET", keys.leader),
        ("PUBLISH", keys.alerts, "false alarm"),
        ("EVAL", "return 1", "0"),
        ("CONFIG", "GET", "*"),
    ):
        with pytest.raises(Exception, match="denies this user a right"):
            component.do(*denied)


def test_the_operator_may_ask_and_read_and_the_monitor_may_answer(
    healthmon: Command, guarded: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = {**os.environ, **QUICK, "HEALTH_REDIS_URL": url_for(guarded, "monitor")}
    words = [sys.executable, "-m", "healthmon", "monitor", "--replica-id", "mon-a"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(words, stderr=log, cwd=ROOT, env=environment)
    try:
        monkeypatch.setenv("HEALTH_REDIS_URL", url_for(guarded, "component"))
        assert healthmon("beat", "api-1").code == 0
        monkeypatch.setenv("HEALTH_REDIS_URL", url_for(guarded, "operator"))
        wait(lambda: state(healthmon, "api-1") == "dead")
        assert healthmon("step-down").code == 0
        assert healthmon("forget", "api-1", "--yes").code == 0
        assert healthmon("beat", "api-2").code == 4
        assert "may act as reader, operator" in healthmon("doctor").out
    finally:
        process.terminate()
        assert process.wait(10) == 0
    assert "denies" not in (tmp_path / "log").read_text()
