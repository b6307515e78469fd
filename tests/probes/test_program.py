"""Probes by real programs: their end, their output, and what is left of them."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from healthmon.probes.kinds import probe
from healthmon.probes.spec import ProbeResult, spec_of
from tests.servers import is_alive
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def run(*command: str, timeout_s: float = 10.0) -> ProbeResult:
    return await probe(spec_of({"exec": list(command)}), timeout_s)


async def test_a_program_that_ends_with_0_is_well_and_its_last_line_is_told() -> None:
    result = await run("printf", "one\\ntwo  \\n\\n")
    assert (result.outcome, result.detail) == ("ok", "two")
    assert (await run("true")).detail == "ended with exit code 0"


async def test_any_other_end_fails_and_says_how() -> None:
    said = await run("sh", "-c", "echo no disk left >&2; exit 3")
    assert (said.outcome, said.detail) == ("failed", "ended with exit code 3: no disk left")
    assert (await run("false")).detail == "ended with exit code 1"
    assert (await run("sh", "-c", "kill -9 $$")).detail == "was ended by SIGKILL"


async def test_arguments_reach_the_program_as_they_are() -> None:
    assert (await run("printf", "%s", "$HOME; `id` *")).detail == "$HOME; `id` *"


async def test_a_program_that_is_not_there_or_may_not_be_run_is_told_as_such(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    missing, forbidden = await run("no-such-program"), await run(str(script))
    assert (missing.outcome, missing.detail) == ("failed", "there is no program no-such-program")
    assert forbidden.outcome == "failed"
    assert forbidden.detail.endswith("/script may not be run by the monitor's user")


async def test_a_program_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    result = await run("sh", "-c", f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; wait", timeout_s=0.5)
    assert (result.outcome, result.detail) == ("failed", "did not end within 0.5 s")
    assert result.ms < 1500
    await eventually(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))


async def test_what_a_program_leaves_behind_neither_holds_the_probe_nor_lives_on(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    result = await run("sh", "-c", f"sleep 60 & echo $! > {pid}; echo done")
    assert (result.outcome, result.detail) == ("ok", "done")
    assert result.ms < 2000
    await eventually(lambda: not is_alive(int(pid.read_text())))


async def test_a_cancelled_probe_leaves_no_program_behind(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with anyio.create_task_group() as group:
        group.start_soon(run, "sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 60")
        await eventually(pid.exists)
        group.cancel_scope.cancel()
    await eventually(lambda: not is_alive(int(pid.read_text())))


async def test_a_flood_of_output_is_bounded_and_its_end_is_told() -> None:
    flood = "import sys\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)\nprint('\\nthe end')"
    result = await run(sys.executable, "-c", flood)
    assert (result.outcome, result.detail) == ("ok", "the end")
    endless_line = await run("sh", "-c", "printf begin; head -c 8000 /dev/zero | tr '\\0' x")
    assert endless_line.detail == "x" * 199 + "…"


async def test_a_program_that_closes_its_output_and_goes_on_is_bounded_too() -> None:
    result = await run("sh", "-c", "exec >&- 2>&-; sleep 60", timeout_s=0.4)
    assert (result.outcome, result.detail) == ("failed", "did not end within 0.4 s")


async def test_output_that_is_no_text_becomes_one_line_that_can_be_shown() -> None:
    detail = (await run("printf", "\\033[31mred\\377\\a" + "y" * 500)).detail
    assert detail == ("?[31mred\ufffd?" + "y" * 500)[:199] + "…"


async def test_the_settings_of_the_monitor_stay_with_the_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://:s3cret@somewhere")
    monkeypatch.setenv("OTHER", "kept")
    assert (await run("sh", "-c", "echo $OTHER; env | grep -c HEALTH_ || true")).detail == "0"
    assert (await run("sh", "-c", "echo $OTHER")).detail == "kept"
