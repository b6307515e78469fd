"""`healthmon run` from the command line: what is refused before anything starts, and a whole healing with a monitor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthmon.store.codec import text_map
from tests.agent.reading import ask
from tests.agent.supervised import Start, Supervised, starting
from tests.cli.conftest import ROOT, Command
from tests.waiting import eventually

QUICK = {
    "HEALTH_HEARTBEAT_TIMEOUT": "1",
    "HEALTH_DEGRADED_THRESHOLD": "2",
    "HEALTH_DEAD_THRESHOLD": "3",
    "HEALTH_STARTUP_TIMEOUT": "10",
}


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Start]:
    with starting(tmp_path, url) as made:
        yield made


@pytest.fixture
def monitor(url: str, tmp_path: Path) -> Iterator[None]:
    """One real replica."""
    words = [sys.executable, "-m", "healthmon", "monitor", "--replica-id", "mon-a"]
    with (tmp_path / "monitor.log").open("w") as log:
        environment = {**os.environ, **QUICK, "HEALTH_REDIS_URL": url}
        process = subprocess.Popen(words, stderr=log, cwd=ROOT, env=environment)
    yield
    process.terminate()
    process.wait(10)


# -- before anything starts --------------------------------------------------------------------------------------------


def test_a_missing_executable_ends_with_125_and_a_sentence(healthmon: Command) -> None:
    said = healthmon("run", "--id", "a", "--", "no-such-program", "--help")
    assert (said.code, said.out) == (125, "")
    assert said.err == "healthmon: 'no-such-program' could not be started: No such file or directory\n"


def test_what_is_no_program_ends_with_125_and_a_sentence(healthmon: Command, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert healthmon("run", "--id", "a", "--", str(plain)).err.endswith("could not be started: Permission denied\n")
    plain.chmod(0o755)
    said = healthmon("run", "--id", "a", "--", str(plain))
    assert (said.code, said.err.endswith("could not be started: Exec format error\n")) == (125, True)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "a component needs an id, as --id or in HEALTH_COMPONENT_ID"),
        (("--id", "a b"), "'a b'"),
        (("--id", "a", "--ready-log", "["), "'[' is no regular expression: unterminated character set"),
        (("--id", "a", "--ready-http", "localhost:80"), "'localhost:80' is no address to ask"),
        (("--id", "a", "--ready-http", "http://h/", "--ready-log", "x"), "give --ready-http or --ready-log, not both"),
        (("--id", "a", "--ready-timeout", "5"), "--ready-timeout needs --ready-http or --ready-log"),
        (("--id", "a", "--stop-signal", "TREM"), "'TREM' is no signal"),
        (("--id", "a", "--max-delay", "1", "--base-delay", "2"), "base_delay 2 s is above max_delay 1 s"),
        (("--id", "a", "--reset-after", "1"), "restart policy could never give up"),
        (("--id", "a", "--depends-on", "b,no way"), "'no way', which is no component id"),
        (("--id", "a", "--journal", "/nowhere/at/all"), "the journal /nowhere/at/all cannot be written"),
        (("--id", "a", "--log-level", "loud"), "the log level is 'loud'"),
        (("--id", "a", "--redis-url", "http://x"), "give redis://HOST:PORT/DB"),
    ],
)
def test_bad_options_are_a_usage_error_and_nothing_is_started(
    healthmon: Command, tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    said = healthmon("run", *options, "--", "touch", str(tmp_path / "started"))
    assert (said.code, said.out) == (2, "")
    assert complaint in said.err
    assert not (tmp_path / "started").exists()


def test_a_program_is_needed(healthmon: Command) -> None:
    assert healthmon("run", "--id", "a").code == 2


# -- a whole healing ---------------------------------------------------------------------------------------------------


def record(run: Supervised) -> dict[str, str]:
    return text_map([part for pair in _pairs(ask(run.url, "HGETALL", run.keys.component(run.id))) for part in pair])


def _pairs(reply: Any) -> Any:
    return reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)


def past(run: Supervised) -> list[str]:
    """The states that it went through, from its history."""
    entries = [text_map(fields) for _, fields in ask(run.url, "XRANGE", run.keys.history(run.id), "-", "+")]
    return [entry["to"] for entry in entries if entry.get("type") == "transition"]


async def state(run: Supervised, wanted: str, within_s: float = 15.0) -> dict[str, str]:
    def look() -> dict[str, str]:
        found = record(run)
        assert found.get("state") == wanted, f"{found}\n{run.journal()}\n{run.err}"
        return found

    return dict(await eventually(look, within_s))


@pytest.mark.story
@pytest.mark.usefixtures("monitor")
@pytest.mark.anyio
async def test_a_killed_program_is_dead_at_once_restarted_and_healthy_again(start: Start) -> None:
    run = start("bash", "-c", "echo working; sleep 300", options=("--interval", "0.3", "--base-delay", "0.5"))
    await state(run, "healthy")
    os.kill(await run.child_pid(), signal.SIGKILL)
    died_ms = (await run.noted("exited"))["at_ms"]
    dead = await state(run, "dead", 2.0)
    assert "killed by SIGKILL" in dead["reason"]
    reported = await run.noted("reported", kind="restart", ok=True)
    healed = await state(run, "healthy")
    assert healed["pid"] == str(await run.child_pid(2))
    assert healed["restart_count"] == "1"
    assert past(run)[-5:] == ["unhealthy", "dead", "restarting", "initializing", "healthy"]
    assert reported["at_ms"] - died_ms < 5000


@pytest.mark.story
@pytest.mark.usefixtures("monitor")
@pytest.mark.anyio
async def test_a_program_that_always_crashes_is_given_up_with_its_last_words(start: Start) -> None:
    options = ("--interval", "0.3", "--base-delay", "0.2", "--max-delay", "0.3", "--max-retries", "2")
    run = start("bash", "-c", "echo no configuration; exit 78", options=options)
    given_up = await state(run, "permanently_failed", 30.0)
    assert "no configuration" in given_up["failure"]
    assert [line["attempt"] for line in run.journal("taken")] == [1, 2]
    assert len(run.journal("started")) == 3
    assert await run.stop() == 78
