"""The agent as process 1 of a pid namespace: nobody above it reaps, and no signal has a default."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import psutil
import pytest

from tests.agent.supervised import AS_PROCESS_1, Start, gone, starting
from tests.waiting import eventually


def _can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*AS_PROCESS_1, "true"], check=False, capture_output=True).returncode == 0


CAN_UNSHARE = _can_unshare()
if not CAN_UNSHARE:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("this machine makes no pid namespaces: `healthmon run` as process 1 is NOT tested", stacklevel=1)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.story,
    pytest.mark.skipif(not CAN_UNSHARE, reason="`unshare -rpf --mount-proc` is not permitted here"),
]


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Start]:
    with starting(tmp_path, url) as made:
        yield made


async def test_it_is_process_1_and_its_child_gets_signals(start: Start) -> None:
    run = start("bash", "-c", "trap 'exit 7' TERM; echo parent $PPID; while :; do sleep 0.05; done",
                wrapper=AS_PROCESS_1)  # fmt: skip
    await run.says("parent 1\n")
    assert await run.stop() == 7


async def test_a_child_that_ignores_the_signal_is_killed(start: Start) -> None:
    run = start("bash", "-c", "trap '' TERM INT; echo deaf; while :; do sleep 0.05; done",
                wrapper=AS_PROCESS_1, options=("--stop-timeout", "0.5"))  # fmt: skip
    await run.says("deaf")
    begun_s = monotonic()
    assert await run.stop(signal.SIGINT) == 128 + signal.SIGKILL
    assert monotonic() - begun_s < 2


async def test_orphans_are_reaped_and_the_childs_own_status_is_not_lost(start: Start) -> None:
    forking = "import os,sys,time\nfor _ in range(50):\n if os.fork() == 0:\n  if os.fork(): os._exit(0)\n"
    forking += (
        "  time.sleep(0.3); os._exit(9)\n else: os.wait()\nprint('forked', flush=True)\ntime.sleep(1.5)\nsys.exit(7)"
    )
    run = start(sys.executable, "-c", forking, wrapper=AS_PROCESS_1)
    await run.says("forked")
    await eventually(lambda: len(run.agent.children()) == 1, 5)
    assert (await run.reported("exit"))["code"] == "7"
    assert run.agent.children() == []


async def test_a_double_forked_daemon_ends_with_process_1_and_is_no_zombie_before(start: Start) -> None:
    run = start("bash", "-c", "(setsid sleep 300 &); sleep 300", wrapper=AS_PROCESS_1)
    await run.beat(status="ok")
    family = run.agent.children(recursive=True)
    assert len(family) == 2
    assert psutil.STATUS_ZOMBIE not in [one.status() for one in family]
    assert await run.stop() == 128 + signal.SIGTERM
    await gone(*[one.pid for one in family])


async def test_a_flood_and_closed_descriptors_do_it_no_harm(start: Start) -> None:
    wild = "sleep 1.2; yes | head -c 100000000; exec 0<&- 1>&- 2>&-; sleep 0.5; exit 5"
    run = start("bash", "-c", wild, wrapper=AS_PROCESS_1)
    await run.beat(status="ok")
    before = run.agent.memory_info().rss
    assert (await run.reported("exit", within_s=20))["code"] == "5"
    assert run.agent.memory_info().rss - before < 4 << 20
    assert len(run.out) == 100_000_000
    assert await run.stop() == 5


async def test_it_restarts_its_child(start: Start) -> None:
    run = start("sleep", "300", wrapper=AS_PROCESS_1)
    await run.beat()
    run.agent.children()[0].kill()
    assert (await run.reported("exit"))["signal"] == "SIGKILL"
    run.order()
    assert (await run.reported("restart"))["ok"] == "1"


async def test_kill_9_of_process_1_ends_everything(start: Start) -> None:
    run = start("bash", "-c", "setsid sleep 300 & sleep 300", wrapper=AS_PROCESS_1)
    await eventually(lambda: len(run.agent.children(recursive=True)) == 3, 10)
    family = [one.pid for one in run.agent.children(recursive=True)]
    run.agent.kill()
    await gone(*family)
