from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from healthmon.cli.app import main
from tests.cli.fleet import Fleet
from tests.waiting import eventually

QUICK = {
    "HEALTH_HEARTBEAT_TIMEOUT": "0.5",
    "HEALTH_DEGRADED_THRESHOLD": "1",
    "HEALTH_DEAD_THRESHOLD": "1.5",
}
Start = Callable[..., None]


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    out: str
    err: str
    code: int

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Command = Callable[..., Said]


@pytest.fixture(autouse=True)
def _quiet_place(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No URL left by somebody's `up`, a terminal that shows shapes, no colour."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def healthmon(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process: `healthmon("ls", "-o", "json")`."""

    def run(*words: str) -> Said:
        code = main(words)
        out, err = capsys.readouterr()
        return Said(out, err, code)

    return run


@pytest.fixture
def at(url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment names the server and the prefix."""
    monkeypatch.setenv("HEALTH_REDIS_URL", url)
    monkeypatch.setenv("HEALTH_PREFIX", prefix)
    return url


@pytest.fixture
def fleet(at: str, prefix: str) -> Fleet:
    """A fleet that is empty yet, four minutes ago."""
    return Fleet(at, prefix)


ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def start(at: str, fleet: Fleet, tmp_path: Path) -> Iterator[Start]:
    """Starts replicas as real processes; returns when one leads and all are seen."""
    processes: list[subprocess.Popen[bytes]] = []

    def started(*names: str, **environment: str) -> None:
        for name in names:
            words = [sys.executable, "-m", "healthmon", "monitor", "--replica-id", name]
            with (tmp_path / f"{name}.log").open("w") as log:
                environment = {**os.environ, **QUICK, **environment}
                processes.append(subprocess.Popen(words, stderr=log, cwd=ROOT, env=environment))

        def ready() -> bool:
            seen = fleet.do("ZCARD", fleet.keys.monitors)
            return bool(fleet.do("GET", fleet.keys.leader)) and seen == len(names)

        wait(ready)

    yield started
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(10)


def wait(check: Callable[[], object]) -> None:
    """Until a check that makes connections of its own holds."""

    async def holds() -> object:
        return await anyio.to_thread.run_sync(check)

    anyio.run(eventually, holds, 15.0)
