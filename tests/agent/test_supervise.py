"""One supervised program: its output, its heartbeats, its end, and the end of its agent."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import anyio
import pytest

from healthmon.agent import supervise
from healthmon.core.heartbeat import Heartbeat
from healthmon.store.keys import Keys
from tests.agent.reading import ask
from tests.agent.supervised import Start, beside, gone, starting
from tests.servers import FreshServer, is_alive
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
FOR_EVER = ("sleep", "300")
DEAF = ("bash", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done")
Server = Callable[..., FreshServer]


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Start]:
    with starting(tmp_path, url) as made:
        yield made


# -- heartbeats ------------------------------------------------------------------------------------------------------


async def test_heartbeats_tell_of_the_child_and_of_what_it_started(start: Start) -> None:
    burn = "import subprocess,sys\nsubprocess.run([sys.executable, '-c', 'x = bytearray(64 << 20)\\nwhile 1: pass'])"
    run = start(sys.executable, "-c", burn, options=("--role", "batch", "--interval", "0.2"))
    pid = await run.child_pid()

    def busy() -> list[Heartbeat]:
        return [one for one in run.beats() if one.metrics.get("cpu_percent", 0) > 10]

    beat = (await eventually(busy, 10))[0]
    assert (beat.pid, beat.role, beat.interval_ms) == (str(pid), "batch", 200)
    assert beat.incarnation == run.journal("started")[0]["incarnation"]
    assert beat.metrics["memory_mb"] > 64
    await run.stop()


async def test_a_child_is_starting_until_it_has_lived_for_a_second(start: Start) -> None:
    run = start(*FOR_EVER)
    assert (await run.beat()).status == "starting"
    assert (await run.beat(2)).status == "ok"


async def test_the_childs_own_helper_is_the_same_component_and_incarnation(start: Start) -> None:
    own = (
        "import time\nfrom healthmon import HeartbeatHelper\n"
        "with HeartbeatHelper() as h:\n h.send({'n': 1})\n time.sleep(60)"
    )
    run = start(sys.executable, "-c", own)

    def from_both() -> bool:
        return any("m.n" in one.metrics for one in run.beats()) and any("m.n" not in one.metrics for one in run.beats())

    await eventually(from_both, 10)
    assert len({(one.id, one.incarnation, one.pid) for one in run.beats()}) == 1


async def test_a_child_that_sends_its_own_heartbeats_is_only_told_to_be_starting(start: Start) -> None:
    run = start("bash", "-c", "sleep 1.5; exit 1", options=("--own-heartbeats", "--interval", "0.1"))
    await run.reported("exit")
    assert [one.status for one in run.beats()] == ["starting"]


async def test_the_component_is_registered_with_the_policy_that_is_given(start: Start) -> None:
    options = ("--max-retries", "3", "--depends-on", "db,cache", "--role", "web")
    run = start(*FOR_EVER, options=options)
    await eventually(lambda: run.reports(cmd="register"))
    policy = json.loads(run.reports(cmd="register")[0]["policy"])
    assert policy == {"role": "web", "depends_on": ["db", "cache"], "restart": {"method": "agent", "max_retries": 3}}


# -- readiness -------------------------------------------------------------------------------------------------------


async def test_a_line_of_the_output_says_that_it_is_ready(start: Start) -> None:
    run = start("bash", "-c", "read; echo listening on 80; sleep 300", options=("--ready-log", "listening on [0-9]+"),
                stdin=subprocess.PIPE)  # fmt: skip
    assert (await run.beat()).status == "starting"
    assert len(run.beats()) == 1
    assert run.process.stdin is not None
    run.process.stdin.write(b"\n")
    run.process.stdin.flush()
    assert (await run.beat(2)).status == "ok"


async def test_a_line_that_comes_at_once_with_many_after_it_is_not_missed(start: Start) -> None:
    run = start("bash", "-c", "echo ready; seq 100000; sleep 300", options=("--ready-log", "^ready$"))
    await run.beat(status="ok")


async def test_an_address_that_answers_says_that_it_is_ready(start: Start, tmp_path: Path) -> None:
    serve = (
        "import http.server as h, os, pathlib\n"
        "class Answer(h.BaseHTTPRequestHandler):\n"
        " def do_GET(self):\n"
        f"  self.send_response(200 if pathlib.Path('{tmp_path}/ready').exists() else 503)\n"
        "  self.end_headers()\n"
        "s = h.HTTPServer(('127.0.0.1', 0), Answer)\n"
        f"pathlib.Path('{tmp_path}/port').write_text(str(s.server_port))\n"
        "s.serve_forever()"
    )
    other = beside(sys.executable, "-c", serve, stderr=subprocess.DEVNULL)
    try:
        await eventually(lambda: (tmp_path / "port").exists() and (tmp_path / "port").read_text())
        url = f"http://127.0.0.1:{(tmp_path / 'port').read_text()}/"
        run = start(*FOR_EVER, options=("--ready-http", url, "--ready-timeout", "1"))
        late = await run.beat(status="degraded")
        assert late.msg == f"not ready after 1 s: GET {url} answers 503"
        (tmp_path / "ready").touch()
        await run.beat(status="ok")
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--ready-log", "never", "no line of its output matches 'never'"),
        ("--ready-http", "http://127.0.0.1:1/", "GET http://127.0.0.1:1/ fails: All connection attempts failed"),
    ],
)
async def test_what_is_never_ready_is_degraded_after_the_timeout(
    start: Start, option: str, value: str, why: str
) -> None:
    run = start(*FOR_EVER, options=(option, value, "--ready-timeout", "0.5"))
    assert (await run.beat(status="degraded")).msg == f"not ready after 0.5 s: {why}"
    assert is_alive(await run.child_pid())
    assert await run.stop() == 128 + signal.SIGTERM


# -- the end of the child --------------------------------------------------------------------------------------------


async def test_an_exit_is_reported_at_once_with_code_last_lines_and_incarnation(start: Start) -> None:
    run = start("bash", "-c", "for i in {1..30}; do echo line $i; done; sleep 0.5; exit 3")
    said = await run.reported("exit")
    exited = run.journal("exited")[0]
    assert (said["code"], said["signal"]) == ("3", "")
    assert said["lines"].splitlines() == [f"line {n}" for n in range(11, 31)]
    assert said["incarnation"] == run.journal("started")[0]["incarnation"] == run.beats()[-1].incarnation
    assert 0.5 <= float(said["uptime_s"]) < 3
    assert run.journal("reported")[0]["at_ms"] - exited["at_ms"] < 500


async def test_a_kill_is_reported_with_its_signal_and_no_heartbeat_follows(start: Start) -> None:
    run = start(*FOR_EVER, options=("--interval", "0.05"))
    await run.beat(5)
    os.kill(await run.child_pid(), signal.SIGKILL)
    said = await run.reported("exit")
    assert (said["code"], said["signal"]) == ("137", "SIGKILL")
    sent = len(run.beats())
    assert run.process.poll() is None
    with pytest.raises(AssertionError):
        await eventually(lambda: len(run.beats()) > sent, 0.5)


async def test_the_most_memory_ever_used_is_reported_with_what_the_child_started(start: Start) -> None:
    hungry = "import subprocess,sys\nsubprocess.run([sys.executable, '-c', 'bytearray(200 << 20)'])\nsys.exit(1)"
    said = await start(sys.executable, "-c", hungry).reported("exit")
    assert 200 < float(said["peak_mb"]) < 260


async def test_the_last_lines_are_cut_and_bounded(start: Start) -> None:
    run = start(sys.executable, "-c", "print('é' * 5000); print('x' * 600); print('end', end=''); raise SystemExit(1)")
    lines = (await run.reported("exit"))["lines"].split("\n")
    assert [len(line) for line in lines] == [512, 512, 3]
    assert lines[0] == "é" * 512
    run = start(sys.executable, "-c", "for _ in range(30): print('y' * 600)\nraise SystemExit(1)", id_="web-2")
    lines = (await run.reported("exit"))["lines"].split("\n")
    assert [len(line) for line in lines] == [512] * 7


async def test_a_daemon_that_keeps_the_output_open_delays_nothing_and_goes_on_writing(start: Start) -> None:
    run = start("bash", "-c", "setsid bash -c 'sleep 1.5; echo later; sleep 60' & echo $!; exit 4")
    said = await run.reported("exit")
    assert said["code"] == "4"
    assert float(said["uptime_s"]) < 1
    daemon = int(said["lines"])
    await run.says("later")
    begun_s = monotonic()
    assert await run.stop() == 4
    assert monotonic() - begun_s < 3
    assert is_alive(daemon)
    os.kill(daemon, signal.SIGKILL)


async def test_what_the_child_left_in_its_group_ends_with_it(start: Start) -> None:
    run = start("bash", "-c", "sleep 300 & echo $!; exit 4")
    left = int((await run.reported("exit"))["lines"])
    await gone(left)


async def test_a_child_that_closes_its_descriptors_is_watched_on(start: Start) -> None:
    run = start("bash", "-c", "exec 0<&- 1>&- 2>&-; sleep 2; exit 5", options=("--interval", "0.2"))
    await run.beat(5)
    assert (await run.reported("exit"))["code"] == "5"


async def test_a_component_that_is_never_restarted_ends_its_agent_with_its_code(start: Start) -> None:
    run = start("bash", "-c", "exit 9", options=("--max-retries", "0"))
    assert await run.code(10) == 9
    assert (await run.reported("exit"))["code"] == "9"


# -- the end of the agent --------------------------------------------------------------------------------------------


async def test_told_to_end_it_passes_that_on_says_goodbye_and_ends_with_the_childs_code(start: Start) -> None:
    run = start("bash", "-c", "trap 'echo bye; exit 7' TERM; echo on; while :; do sleep 0.05; done")
    await run.says("on")
    assert await run.stop() == 7
    assert "bye" in run.out
    assert run.beats()[-1].status == "stopping"
    assert run.reports("exit") == []


async def test_a_child_that_dies_of_the_signal_gives_its_code_as_a_shell_does(start: Start) -> None:
    run = start(*FOR_EVER)
    await run.noted("started")
    assert await run.stop(signal.SIGINT) == 128 + signal.SIGINT


async def test_a_child_that_ignores_the_signal_is_killed_with_its_group(start: Start) -> None:
    run = start(*DEAF, options=("--stop-timeout", "0.5"))
    await run.says("deaf")
    family = [one.pid for one in run.agent.children(recursive=True)]
    begun_s = monotonic()
    assert await run.stop() == 128 + signal.SIGKILL
    assert 0.5 <= monotonic() - begun_s < 2
    await gone(*family)


async def test_signals_are_passed_on(start: Start) -> None:
    trap = "".join(f"trap 'echo got {name}' {name};" for name in ("HUP", "USR1", "USR2", "WINCH", "QUIT"))
    run = start("bash", "-c", f"{trap} echo on; while :; do sleep 0.05; done")
    await run.says("on")
    for name in ("HUP", "USR1", "USR2", "WINCH", "QUIT"):
        run.send(signal.Signals[f"SIG{name}"])
        await run.says(f"got {name}")
    assert await run.stop() == 128 + signal.SIGTERM


async def test_a_signal_that_is_ignored_by_whoever_starts_it_stays_ignored(start: Start) -> None:
    run = start("bash", "-c", "echo on; sleep 300", wrapper=("nohup",))
    await run.says("on")
    run.send(signal.SIGHUP)
    run.send(signal.SIGUSR1)
    assert (await run.reported("exit"))["signal"] == "SIGUSR1"


async def test_the_stop_signal_takes_the_place_of_term(start: Start) -> None:
    run = start("bash", "-c", "trap 'exit 3' QUIT; trap '' TERM; echo on; while :; do sleep 0.05; done",
                options=("--stop-signal", "quit"))  # fmt: skip
    await run.says("on")
    assert await run.stop() == 3


async def test_a_closed_terminal_ends_it(start: Start) -> None:
    terminal, inside = pty.openpty()
    run = start(*FOR_EVER, stdin=inside, stdout=inside)
    os.close(inside)
    await run.noted("started")
    assert await run.stop(signal.SIGHUP) == 128 + signal.SIGHUP
    os.close(terminal)


async def test_kill_9_of_the_agent_ends_the_child_and_its_group(start: Start) -> None:
    run = start("bash", "-c", "trap '' TERM; sleep 300 & sleep 300")
    await eventually(lambda: len(run.agent.children(recursive=True)) >= 4, 10)  # the guardian is one of them
    family = [one.pid for one in run.agent.children(recursive=True)]
    run.process.kill()
    await gone(*family)


# -- without Redis ---------------------------------------------------------------------------------------------------


async def test_nothing_that_happens_to_redis_stops_the_child_and_its_end_is_told_when_redis_is_back(
    start: Start, fresh_server: Server
) -> None:
    server = fresh_server(keep=True)
    away = await server.start()
    await server.stop()
    run = start(*FOR_EVER, url=away, options=("--interval", "0.1"))
    pid = await run.child_pid()
    await server.start()
    await run.beat(3, status="ok")
    await eventually(lambda: run.reports(cmd="register"))
    await server.kill()
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    await run.noted("exited")
    await server.start()
    assert (await run.reported("exit"))["signal"] == "SIGKILL"


async def test_keys_of_a_wrong_type_cost_only_what_they_hold(start: Start) -> None:
    keys = Keys()
    for key in (keys.restarts, keys.control, keys.component("web-1")):
        ask(start.url, "SET", key, "wrong")
    run = start(*FOR_EVER, options=("--interval", "0.1"))
    await run.beat(5, status="ok")
    ask(run.url, "DEL", keys.restarts, keys.control, keys.component("web-1"))
    os.kill(await run.child_pid(), signal.SIGKILL)
    await run.reported("exit")
    run.order()
    assert (await run.reported("restart"))["ok"] == "1"


async def test_a_defect_in_what_speaks_to_redis_is_told_and_survived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervise, "AGAIN_S", 0.01)
    again = anyio.Event()

    async def work() -> None:
        if not caplog.records:
            raise ValueError("a defect")
        again.set()

    with caplog.at_level("ERROR", logger="healthmon"):
        async with anyio.create_task_group() as group:
            group.start_soon(supervise._outlive, work)
            await again.wait()
            group.cancel_scope.cancel()
    assert "ValueError: a defect" in caplog.text


async def test_it_ends_promptly_while_redis_is_away(start: Start) -> None:
    run = start(*FOR_EVER, url="redis://127.0.0.1:1/0")
    await run.noted("started")
    begun_s = monotonic()
    assert await run.stop() == 128 + signal.SIGTERM
    assert monotonic() - begun_s < 3.5


async def test_it_ends_promptly_while_redis_is_frozen(start: Start, fresh_server: Server) -> None:
    server = fresh_server()
    run = start(*FOR_EVER, url=await server.start(), options=("--interval", "0.1"))
    await run.beat(3)
    server.freeze()
    begun_s = monotonic()
    assert await run.stop(within_s=10) == 128 + signal.SIGTERM
    assert monotonic() - begun_s < 6
    server.thaw()


async def test_switched_off_it_only_runs_the_program(start: Start) -> None:
    run = start("bash", "-c", "exit 6", environment={"HEALTH_DISABLED": "1"})
    assert await run.code(10) == 6
    assert run.beats() == []
    assert run.reports() == []
