"""The output of a supervised program on its way through the agent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.supervised import Start, beside, starting

pytestmark = [pytest.mark.anyio, pytest.mark.story]


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Start]:
    with starting(tmp_path, url) as made:
        yield made


async def test_input_output_and_error_pass_through_byte_for_byte(start: Start, tmp_path: Path) -> None:
    given = bytes(range(256)) * 4000 + b"no line break at the end"
    (tmp_path / "in").write_bytes(given)
    with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("wb") as stdout:
        run = start("bash", "-c", "cat; printf beside >&2", options=("--max-retries", "0"), stdin=stdin, stdout=stdout)
        assert await run.code(10) == 0
    assert (tmp_path / "out").read_bytes() == given
    assert "beside" in run.err


@pytest.mark.parametrize("end", ["\\n", "x"], ids=["lines", "endless line"])
async def test_a_flood_of_100_mb_passes_whole_and_costs_the_agent_no_memory(start: Start, end: str) -> None:
    flood = f"import os\nos.read(0, 1)\nfor _ in range(1600): os.write(1, b'x' * 65535 + b'{end}')\nos.read(0, 1)"
    read, write = os.pipe()
    counted, ours = os.pipe()
    counting = beside("wc", "-c", stdin=counted, stdout=subprocess.PIPE)
    run = start(sys.executable, "-c", flood, stdin=read, stdout=ours)
    os.close(counted)
    os.close(ours)
    os.close(read)
    await run.beat(status="ok")
    before_mb = run.agent.memory_info().rss / 2**20
    os.write(write, b"g")
    os.write(write, b"o")
    os.close(write)
    await run.noted("exited", within_s=30)
    grown_mb = run.agent.memory_info().rss / 2**20 - before_mb
    assert await run.stop() == 0
    assert counting.stdout is not None
    assert int(counting.stdout.read()) == 1600 * 65536
    counting.stdout.close()
    assert counting.wait(5) == 0
    assert grown_mb < 4


async def test_a_child_goes_on_when_nobody_reads_its_output(start: Start) -> None:
    read, write = os.pipe()
    os.close(read)
    run = start("bash", "-c", "for i in {1..20000}; do echo $i; done; echo last >&2; exit 3", stdout=write)
    os.close(write)
    assert (await run.reported("exit"))["code"] == "3"


async def test_a_closed_output_is_nobodys_place(start: Start) -> None:
    run = start("bash", "-c", "echo lost; sleep 0.5; exit 3", wrapper=("bash", "-c", 'exec "$@" >&-', "-"))
    said = await run.reported("exit")
    assert (said["code"], said["lines"]) == ("3", "lost")
    assert run.journal("reported")


@pytest.mark.parametrize("error", ["", "exec 2>&1; "], ids=["output", "output and error"])
async def test_an_output_that_nobody_empties_holds_back_the_child_and_not_the_agent(start: Start, error: str) -> None:
    read, write = os.pipe()
    run = start("bash", "-c", "trap '' TERM; yes", options=("--interval", "0.1", "--stop-timeout", "0.5"),
                stdout=write, wrapper=("bash", "-c", f'{error}exec "$@"', "-"))  # fmt: skip
    os.close(write)
    await run.beat(15)
    assert await run.stop() == 128 + signal.SIGKILL
    os.close(read)
