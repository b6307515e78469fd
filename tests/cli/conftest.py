from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from healthmon.cli.app import main
from tests.cli.fleet import Fleet


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
