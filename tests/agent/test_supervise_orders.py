"""Restart orders as the agent takes and obeys them, with the leader's part played by hand."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from healthmon.store.acl import Role, setuser
from tests.agent.reading import ask
from tests.agent.supervised import Start, gone, starting
from tests.servers import FreshServer, is_alive
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
FOR_EVER = ("sleep", "300")
Server = Callable[..., FreshServer]


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Start]:
    with starting(tmp_path, url) as made:
        yield made


async def test_a_dead_child_is_started_anew_and_the_outcome_is_reported(start: Start) -> None:
    run = start(*FOR_EVER)
    os.kill(await run.child_pid(), signal.SIGKILL)
    await run.reported("exit")
    run.order(rev=7)
    said = await run.reported("restart")
    assert (said["rev"], said["ok"]) == ("7", "1")
    assert 1000 <= int(said["ms"]) < 4000
    taken = next(one["taken"] for one in run.reports("restart") if "taken" in one)
    assert taken == said["by"] == ask(run.url, "HGET", run.keys.component(run.id), "restart_taken").decode()
    former, anew = run.journal("started")
    assert former["incarnation"] != anew["incarnation"]
    assert is_alive(anew["pid"])
    beat = await run.beat(incarnation=anew["incarnation"])
    assert (beat.pid, beat.status) == (str(anew["pid"]), "ok")


async def test_a_running_child_is_asked_to_end_first_and_that_is_no_failure(start: Start) -> None:
    run = start("bash", "-c", "trap 'exit 0' TERM; echo on; while :; do sleep 0.05; done")
    await run.says("on")
    run.order()
    assert (await run.reported("restart"))["ok"] == "1"
    what = [line["what"] for line in run.journal() if line["what"] != "reported"]
    assert what == ["started", "taken", "exited", "started"]
    assert run.journal("exited")[0]["code"] == 0
    assert run.reports("exit") == []


async def test_a_child_that_does_not_end_is_killed_with_its_group_before_the_next_starts(start: Start) -> None:
    deaf = "trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done) & echo on; while :; do sleep 0.05; done"
    run = start("bash", "-c", deaf, options=("--stop-timeout", "0.5"))
    await run.says("on")
    former = [one.pid for one in run.agent.children(recursive=True) if "sleep 0.05" in " ".join(one.cmdline())]
    run.order()
    assert (await run.reported("restart"))["ok"] == "1"
    await gone(*former)
    assert run.journal("exited")[0]["signal"] == "SIGKILL"


async def test_a_restart_that_exits_at_once_fails_with_its_last_line(start: Start, tmp_path: Path) -> None:
    run = start("bash", "-c", f"[ -e {tmp_path}/bad ] && echo no disk && exit 3; sleep 300")
    pid = await run.child_pid()
    (tmp_path / "bad").touch()
    os.kill(pid, signal.SIGKILL)
    await run.reported("exit")
    run.order(rev=9)
    said = await run.reported("restart")
    assert (said["rev"], said["ok"]) == ("9", "0")
    assert said["detail"].startswith("it exited with code 3 after 0.")
    assert said["detail"].endswith("s: no disk")
    ended = await run.reported("exit", 2)
    assert (ended["code"], ended["lines"]) == ("3", "no disk")
    order = [one["kind"] for one in run.reports() if "taken" not in one]
    assert order == ["exit", "exit", "restart"]
    assert {beat.incarnation for beat in run.beats()} == {run.journal("started")[0]["incarnation"]}


async def test_a_restart_that_cannot_start_fails_with_the_reason_and_the_next_one_succeeds(
    start: Start, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.symlink_to("/bin/sleep")
    run = start(str(program), "300")
    pid = await run.child_pid()
    program.unlink()
    os.kill(pid, signal.SIGKILL)
    await run.reported("exit")
    run.order(rev=7)
    said = await run.reported("restart")
    assert said["ok"] == "0"
    assert said["detail"].endswith("program' could not be started: No such file or directory")
    program.symlink_to("/bin/sleep")
    run.order(rev=9)
    assert (await run.reported("restart", 2))["ok"] == "1"


async def test_a_restart_is_done_when_the_new_process_is_ready_and_fails_when_it_is_not_in_time(
    start: Start, tmp_path: Path
) -> None:
    slow = f"while [ ! -e {tmp_path}/ready ]; do sleep 0.05; done; echo ready; sleep 300"
    (tmp_path / "ready").touch()
    run = start("bash", "-c", slow, options=("--ready-log", "^ready$", "--ready-timeout", "1", "--interval", "0.1"))
    await run.beat(status="ok")
    (tmp_path / "ready").unlink()
    run.order()
    said = await run.reported("restart")
    assert said["ok"] == "0"
    assert said["detail"] == "not ready after 1 s: no line of its output matches '^ready$'"
    anew = (await run.noted("started", 2))["incarnation"]
    assert anew not in {beat.incarnation for beat in run.beats()}, "a heartbeat would undo the failure"
    (tmp_path / "ready").touch()
    await run.beat(incarnation=anew, status="ok")


async def test_two_incidents_under_one_leader_are_both_restarted(start: Start) -> None:
    run = start(*FOR_EVER)
    for number, rev in ((1, 7), (2, 12)):
        os.kill(await run.child_pid(number), signal.SIGKILL)
        await run.reported("exit", number)
        run.order(rev=rev)
        assert (await run.reported("restart", number))["rev"] == str(rev)
    assert len(run.journal("started")) == 3


async def test_late_taken_outdated_and_replaced_orders_are_refused_and_logged(start: Start) -> None:
    run = start(*FOR_EVER)
    await run.beat()
    run.order(rev=7, epoch=9)
    await run.reported("restart")
    now_ms = run.now_ms()
    fields = {"cmd": "restart", "id": run.id, "attempt": 1, "epoch": 9, "runner": "agent", "method": "agent"}
    run.order(rev=8, epoch=9, not_after_ms=now_ms - 10)
    assert "too late" in (await run.noted("refused", 1))["reason"]
    ask(run.url, "HSET", run.keys.component(run.id), "restart_rev", "10", "restart_taken", "somebody")
    run.append_order({**fields, "rev": 10, "not_after_ms": now_ms + 60_000})
    assert (await run.noted("refused", 2))["reason"] == "it was taken by somebody"
    run.append_order({**fields, "rev": 11, "not_after_ms": now_ms + 60_000})
    assert (await run.noted("refused", 3))["reason"] == "another restart of it was claimed since"
    ask(run.url, "HSET", run.keys.component(run.id), "state", "healthy")
    run.append_order({**fields, "rev": 10, "not_after_ms": now_ms + 60_000})
    assert (await run.noted("refused", 4))["reason"] == "it is healthy by now"
    assert len(run.journal("started")) == 2
    assert run.err.count("is not obeyed") == 4


async def test_orders_for_others_and_of_an_earlier_epoch_are_not_obeyed(start: Start) -> None:
    run = start(*FOR_EVER)
    await run.beat()
    run.order(rev=7, epoch=9)
    await run.reported("restart")
    run.order(rev=8, runner="mon-a")
    run.order(rev=9, id="web-2")
    run.order(rev=10, epoch=8)
    run.order(rev=11, epoch=9)
    assert (await run.reported("restart", 2))["rev"] == "11"
    assert [line["rev"] for line in run.journal("taken")] == [7, 11]


async def test_an_agent_that_was_killed_between_acting_and_reporting_does_not_act_again(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    run = start(*FOR_EVER, folder=folder)
    os.kill(await run.child_pid(), signal.SIGKILL)
    await run.reported("exit")
    run.order(rev=7)
    await run.noted("started", 2)
    run.process.kill()
    run.process.wait(5)
    assert len(run.journal("reported", kind="restart")) == 0
    again = start(*FOR_EVER, folder=folder)
    assert (await again.noted("refused"))["rev"] == 7
    assert len(again.journal("started")) == 3, "its own start, and none by the order"
    assert is_alive((await again.noted("started", 3))["pid"])


async def test_an_outcome_is_told_when_redis_is_back(start: Start, fresh_server: Server) -> None:
    server = fresh_server(keep=True)
    run = start(*FOR_EVER, url=await server.start(), options=("--interval", "0.1"))
    os.kill(await run.child_pid(), signal.SIGKILL)
    await run.reported("exit")
    run.order(rev=7)
    await run.noted("taken")
    await server.stop()
    await run.noted("started", 2)
    await server.start()
    said = await run.reported("restart")
    assert (said["rev"], said["ok"]) == ("7", "1")
    anew = run.journal("started")[1]["incarnation"]
    await run.beat(incarnation=anew)
    assert len(run.journal("started")) == 2


async def test_the_agents_own_redis_user_has_the_rights_that_it_needs(start: Start) -> None:
    ask(start.url, *setuser(Role.AGENT, "healthmon", "agent", ">secret"))
    run = start(*FOR_EVER, url=start.url.replace("//", "//agent:secret@"))
    os.kill(await run.child_pid(), signal.SIGKILL)
    run.url = start.url
    await run.reported("exit")
    run.order(rev=7)
    assert (await run.reported("restart"))["ok"] == "1"
    assert run.reports(cmd="register")
    assert "denies" not in run.err
    ask(start.url, "ACL", "DELUSER", "agent")


async def test_told_to_end_amid_a_restart_it_starts_nothing_more(start: Start) -> None:
    run = start("bash", "-c", "trap '' TERM; echo on; while :; do sleep 0.05; done", options=("--stop-timeout", "1"))
    await run.says("on")
    run.order()
    await run.noted("taken")
    assert await run.stop() == 128 + signal.SIGKILL
    assert len(run.journal("started")) == 1


async def test_an_order_that_came_before_this_child_was_started_is_not_obeyed(start: Start) -> None:
    run = start(*FOR_EVER)
    await run.beat()
    run.process.kill()
    run.process.wait(5)
    run.order(rev=7)
    again = start(*FOR_EVER)
    refused = await again.noted("refused")
    assert (refused["rev"], refused["reason"]) == (7, "it was given before this process was started")
    await eventually(lambda: again.beats()[-1].status == "ok", 5)
    assert len(again.journal("started")) == 1
