"""Restarts by a command, with real ones: those that behave, and those that don't."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import anyio
import psutil
import pytest

from healthmon.restarts.attempt import Outcome
from healthmon.restarts.exec import LINES_MAX, NOT_ALLOWED, Exec
from healthmon.store.restarts import DETAIL_MAX
from tests.restarts.programs import NOTE, STUBBORN, alive, attempt, noted, pids_in, python
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
async def _nothing_left() -> AsyncIterator[None]:
    """No test leaves a process behind that it began."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    fds = len(os.listdir("/proc/self/fd"))
    yield
    left = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert alive(sorted(left)) == []
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= fds)


async def run(*command: str, timeout_s: float = 20.0) -> Outcome:
    return await Exec(allowed=True).run(attempt(command=command, timeout_s=timeout_s))


async def test_a_command_gets_its_words_as_they_are_and_learns_what_it_restarts_but_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_MONITOR", "kept")
    for name in ("HEALTH_WEBHOOK_SECRET", "HEALTH_INCARNATION", "HEALTH_TOKEN", "HEALTH_COMPONENT_ID"):
        monkeypatch.setenv(name, "the monitor's own")
    source = "import json, os, sys; json.dump([sys.argv[2:], dict(os.environ)], open(sys.argv[1], 'w'))"
    words = ("$HOME; rm -rf *", "", "two words", "`id`")
    assert await run(*python(source, tmp_path / "said", *words)) == Outcome(ok=True, detail="exit code 0")
    given, environment = json.loads((tmp_path / "said").read_text())
    assert given == list(words)
    assert environment["OF_THE_MONITOR"] == "kept"
    assert {name: value for name, value in environment.items() if name.startswith("HEALTH_")} == {
        "HEALTH_COMPONENT_ID": "a",
        "HEALTH_RESTART_ATTEMPT": "2",
        "HEALTH_RESTART_REASON": "no heartbeat for 180.0 s",
    }


async def test_a_command_ignores_no_signal_that_it_does_not_ignore_itself() -> None:
    outcome = await run("sh", "-c", "grep SigIgn /proc/self/status; exit 1")
    assert outcome.detail == f"exit code 1: SigIgn: {0:016x}"


async def test_a_failure_is_told_with_the_code_and_the_last_line_first() -> None:
    source = "import sys; print('one'); print('two\\x1b[31m', flush=True); sys.exit('port 8080 is in use')"
    assert await run(*python(source)) == Outcome(
        ok=False, detail="exit code 1: port 8080 is in use; before that: one | two [31m"
    )


async def test_a_command_that_says_nothing_is_told_so() -> None:
    assert await run("false") == Outcome(ok=False, detail="exit code 1; it said nothing")


async def test_no_more_than_twenty_lines_and_a_report_s_worth_of_text_are_kept() -> None:
    short = await run(*python("for n in range(100): print(n)\nraise SystemExit(3)"))
    assert short.detail == f"exit code 3: 99; before that: {' | '.join(map(str, range(100 - LINES_MAX, 99)))}"
    long = await run(*python("for n in range(100): print(str(n) * 200)\nraise SystemExit(3)"))
    assert long.detail.startswith("exit code 3: 9999")
    assert len(long.detail) <= DETAIL_MAX


async def test_a_command_that_a_signal_ends_has_failed() -> None:
    assert (await run(*python("import os; os.kill(os.getpid(), 11)"))).detail == "ended by SIGSEGV; it said nothing"


async def test_what_cannot_be_started_is_told_with_the_reason(tmp_path: Path) -> None:
    for name, text in {"plain": "#!/bin/sh\n", "text": "hello\n", "orphan": "#!/nowhere/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755 if name != "plain" else 0o644)
    reasons = {
        "nowhere-to-be-found": "there is no program 'nowhere-to-be-found', or not the interpreter that it names",
        "orphan": "there is no program '{}', or not the interpreter that it names",
        "plain": "'{}' is not executable for this user",
        "text": "'{}' is no program; a script begins with #! and its interpreter",
        "": "'{}' is not executable for this user",
    }
    for name, reason in reasons.items():
        path = str(tmp_path / name) if name != "nowhere-to-be-found" else name
        assert await run(path) == Outcome(ok=False, detail=f"could not be started: {reason.format(path)}")


async def test_a_hundred_megabytes_of_output_are_drained_and_not_kept() -> None:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = "import os\nfor _ in range(1600): os.write(1, b'x' * 65535 + b'\\n')\nprint('done'); raise SystemExit(4)"
    begun_s = monotonic()
    outcome = await run(*python(source), timeout_s=60)
    took_s, grown_kb = monotonic() - begun_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert outcome.detail.startswith("exit code 4: done; before that: …xxx")
    assert grown_kb < 10_000, f"{grown_kb} KB more"
    assert took_s < 20


async def test_bytes_that_are_no_text_and_no_line_are_told_all_the_same() -> None:
    outcome = await run(*python("import os; os.write(2, bytes(range(256)) * 100); os._exit(5)"))
    assert outcome.detail.startswith("exit code 5: ")
    assert outcome.detail.isprintable()


async def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started_also_what_ignores_it(
    tmp_path: Path,
) -> None:
    begun_s = monotonic()
    outcome = await run(*python(STUBBORN, tmp_path), timeout_s=1.0)
    took_s = monotonic() - begun_s
    assert outcome == Outcome(ok=False, detail="not done within 1 s, and ended: stubborn")
    assert alive(await noted(tmp_path, "command", "sibling", "daemon")) == []
    assert 3.0 <= took_s < 5.0, f"1 s, and 2 s from asking to force; it took {took_s:.1f} s"


async def test_a_command_that_ends_when_asked_is_asked_once_and_not_waited_for_longer(tmp_path: Path) -> None:
    source = (
        NOTE
        + """
asked = []
def end(*_):
    asked.append(1)
    time.sleep(0.3)
    print("x" * 200000)
    print(f"asked {len(asked)} times", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
note("command")
while True: signal.pause()
"""
    )
    begun_s = monotonic()
    outcome = await run(*python(source, tmp_path), timeout_s=1.0)
    assert outcome.detail.startswith("not done within 1 s, and ended: asked 1 times")
    assert monotonic() - begun_s < 2.5


async def test_a_stopped_command_is_let_go_on_so_that_it_can_end_as_it_wants(tmp_path: Path) -> None:
    source = NOTE + "signal.signal(signal.SIGTERM, lambda *_: sys.exit('bye'))\nos.kill(os.getpid(), signal.SIGSTOP)"
    begun_s = monotonic()
    outcome = await run(*python(source, tmp_path), timeout_s=0.5)
    assert outcome.detail == "not done within 0.5 s, and ended: bye"
    assert monotonic() - begun_s < 2


async def test_a_command_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    source = NOTE + "\nif os.fork(): raise SystemExit(1)\nos.setsid(); note('daemon')\ntime.sleep(600)"
    assert (await run(*python(source, tmp_path))).detail == "exit code 1; it said nothing"
    assert alive(pids_in(tmp_path)) == []


async def test_a_daemon_that_a_command_leaves_running_may_go_on_talking(tmp_path: Path) -> None:
    source = (
        NOTE
        + """
if os.fork():
    print("started")
    raise SystemExit(0)
os.setsid()
note("daemon")
while not (folder / "go").exists(): time.sleep(0.01)
for _ in range(100): print("x" * 10000, flush=True)
note("talked")
while True: signal.pause()
"""
    )
    begun_s = monotonic()
    assert (await run(*python(source, tmp_path))).ok
    assert monotonic() - begun_s < 2, "the daemon was waited for"
    (daemon,) = await noted(tmp_path, "daemon")
    drains = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in (process.info["cmdline"] or ()) and "keeper.py" in " ".join(process.info["cmdline"] or ())
    ]
    try:
        (tmp_path / "go").touch()
        await noted(tmp_path, "talked")
        assert alive(drains) == drains
        assert len(drains) == 1
    finally:
        os.kill(daemon, signal.SIGKILL)
    await eventually(lambda: alive([daemon, *drains]) == [])


async def test_what_is_cancelled_is_ended_before_the_cancellation_goes_on(tmp_path: Path) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(run, *python(STUBBORN, tmp_path))
        pids = await noted(tmp_path, "command", "sibling", "daemon")
        group.cancel_scope.cancel()
    assert alive(pids) == []


async def test_a_command_dies_with_the_monitor_that_is_killed(tmp_path: Path) -> None:
    monitor = (
        "import sys, anyio\n"
        "from healthmon.restarts.attempt import Attempt\n"
        "from healthmon.restarts.exec import Exec\n"
        "anyio.run(Exec(True).run, Attempt('a', 1, 1, '', '', 600, tuple(sys.argv[1:])))\n"
    )
    command = python(STUBBORN, tmp_path)
    process = subprocess.Popen([sys.executable, "-c", monitor, *command], cwd=ROOT)  # noqa: ASYNC220  # killed below
    pids = await noted(tmp_path, "command", "sibling", "daemon")
    keeper = psutil.Process(pids[0]).ppid()
    process.kill()
    process.wait()
    begun_s = monotonic()
    await eventually(lambda: alive([*pids, keeper]) == [], 10)
    assert monotonic() - begun_s < 4


async def test_a_command_dies_with_its_keeper(tmp_path: Path) -> None:
    async with anyio.create_task_group() as group:
        outcomes: list[Outcome] = []

        async def keep() -> None:
            outcomes.append(await run(*python(NOTE + "note('command')\ntime.sleep(600)", tmp_path)))

        group.start_soon(keep)
        (pid,) = await noted(tmp_path, "command")
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    assert outcomes == [Outcome(ok=False, detail="its keeper was killed; it said nothing")]
    await eventually(lambda: alive([pid]) == [])


async def test_nothing_is_run_where_the_operator_has_not_allowed_it(tmp_path: Path) -> None:
    outcome = await Exec(allowed=False).run(attempt(command=("touch", str(tmp_path / "x"))))
    assert outcome == Outcome(ok=False, detail=NOT_ALLOWED)
    assert "HEALTH_ALLOW_EXEC" in outcome.detail
    assert not (tmp_path / "x").exists()


async def test_twenty_commands_at_once_all_end(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []

    async def keep(code: int) -> None:
        outcomes.append(await run(*python(f"raise SystemExit({code})")))

    async with anyio.create_task_group() as group:
        for code in range(20):
            group.start_soon(keep, code)
    assert sorted(int(one.detail.split()[2].strip(";")) for one in outcomes) == list(range(20))
