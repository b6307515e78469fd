"""`healthmon run` as real processes, and a leader's part played by hand: claims, orders, the reading of reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from healthmon.core.heartbeat import Heartbeat
from healthmon.store.codec import text_map
from healthmon.store.keys import Keys
from tests.agent.reading import ask, beats
from tests.servers import is_alive
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
# Starting Python takes a third of a second alone on a machine; a whole suite may share it.
STARTED_S = 10.0
# A new pid namespace, in which the agent is process 1; it is killed with `unshare`.
AS_PROCESS_1 = ("unshare", "-rpf", "--mount-proc", "--kill-child")


class Supervised:
    """One `healthmon run` with a journal, its output in files."""

    def __init__(self, folder: Path, url: str, id_: str, words: Sequence[str], options: Sequence[str], **more: Any):
        self.id, self._folder = id_, folder
        self._journal = folder / "journal"
        folder.mkdir(exist_ok=True)
        self.keys = Keys()
        self.url = url
        self._wrapped = more.get("wrapper") == AS_PROCESS_1
        command = [*more.get("wrapper", ()), sys.executable, "-m", "healthmon", "run", "--id", id_]
        command += ["--journal", str(self._journal), "--log-level", "info", *options, "--", *words]
        environment = {**os.environ, "HEALTH_REDIS_URL": url, **more.get("environment", {})}
        with (folder / "out").open("ab") as out, (folder / "err").open("ab") as err:
            self.process = subprocess.Popen(
                command,
                stdin=more.get("stdin", subprocess.DEVNULL),
                stdout=more.get("stdout", out),
                stderr=err,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
            )

    # -- the agent and its child -----------------------------------------------------------------------------------

    @property
    def agent(self) -> psutil.Process:
        """The agent itself, also where it is process 1 of a namespace."""
        found = psutil.Process(self.process.pid)
        if not self._wrapped:
            return found
        children = found.children()
        assert children, "unshare has not started it yet"
        return children[0]

    def send(self, number: signal.Signals) -> None:
        self.agent.send_signal(number)

    @property
    def out(self) -> str:
        return (self._folder / "out").read_text(errors="replace")

    @property
    def err(self) -> str:
        return (self._folder / "err").read_text(errors="replace")

    def journal(self, what: str = "", **wanted: object) -> list[dict[str, Any]]:
        """Its lines, those of one kind, with these values."""
        with suppress(FileNotFoundError):
            lines = [json.loads(line) for line in self._journal.read_text().splitlines()]
            return [
                line
                for line in lines
                if (not what or line["what"] == what) and all(line.get(k) == v for k, v in wanted.items())
            ]
        return []

    async def noted(self, what: str, number: int = 1, within_s: float = STARTED_S, **wanted: object) -> dict[str, Any]:
        """The line of this kind and number, as soon as it is there."""

        def look() -> list[dict[str, Any]]:
            found = self.journal(what, **wanted)
            assert len(found) >= number, f"{self.journal()}\n{self.err}"
            return found

        return (await eventually(look, within_s))[number - 1]

    async def says(self, text: str, within_s: float = STARTED_S) -> None:
        """Returns when the child has written this."""

        def look() -> bool:
            assert text in self.out, f"{self.out[-1000:]}\n{self.err}"
            return True

        await eventually(look, within_s)

    async def child_pid(self, number: int = 1) -> int:
        return int((await self.noted("started", number))["pid"])

    async def code(self, within_s: float = 5.0) -> int:
        """The exit code of the agent, which ends by itself."""

        def ended() -> bool:
            assert self.process.poll() is not None, f"it runs on\n{self.err}"
            return True

        await eventually(ended, within_s)
        return int(self.process.returncode)

    async def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = 5.0) -> int:
        self.send(number)
        return await self.code(within_s)

    def end(self) -> None:
        """Whatever it does, it and what it started end."""
        with suppress(psutil.Error, AssertionError):
            for each in reversed([self.agent, *self.agent.children(recursive=True)]):
                with suppress(psutil.Error):
                    each.kill()
        self.process.kill()
        self.process.wait(10)
        if self.process.stdin is not None:
            self.process.stdin.close()

    # -- the leader's part -----------------------------------------------------------------------------------------

    def order(self, rev: int = 7, **said: object) -> str:
        """Claim a restart and give the order; the id of its entry."""
        now_ms = self.now_ms()
        fields = {
            "cmd": "restart",
            "id": self.id,
            "rev": rev,
            "attempt": 1,
            "epoch": 5,
            "incarnation": "",
            "runner": "agent",
            "method": "agent",
            "not_after_ms": now_ms + 15_000,
            "reason": "a test",
        } | said
        claim = ("state", "restarting", "restart_rev", str(rev), "epoch", str(fields["epoch"]), "restart_taken", "")
        ask(self.url, "HSET", self.keys.component(self.id), *claim)
        ask(self.url, "ZADD", self.keys.state("restarting"), now_ms, self.id)
        return str(self.append_order(fields))

    def append_order(self, fields: dict[str, object]) -> str:
        parts = [str(part) for pair in fields.items() for part in pair]
        return str(ask(self.url, "XADD", self.keys.restarts, "*", *parts).decode())

    def now_ms(self) -> int:
        seconds, micros = ask(self.url, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def reports(self, kind: str = "", cmd: str = "report") -> list[dict[str, str]]:
        """The entries of the control stream that this component sent."""
        entries = [text_map(fields) for _, fields in ask(self.url, "XRANGE", self.keys.control, "-", "+")]
        mine = [entry for entry in entries if entry.get("id") == self.id and entry["cmd"] == cmd]
        return [entry for entry in mine if not kind or entry.get("kind") == kind]

    async def reported(self, kind: str, number: int = 1, within_s: float = STARTED_S) -> dict[str, str]:
        """The report of this kind and number; the marks of a taking are none."""

        def look() -> list[dict[str, str]]:
            found = [one for one in self.reports(kind) if "taken" not in one]
            assert len(found) >= number, f"{self.journal()}\n{self.err}"
            return found

        return (await eventually(look, within_s))[number - 1]

    def beats(self) -> list[Heartbeat]:
        return [beat for beat in beats(self.url) if beat.id == self.id]

    async def beat(self, number: int = 1, within_s: float = STARTED_S, **wanted: object) -> Heartbeat:
        """The heartbeat of this number that has these values."""

        def look() -> list[Heartbeat]:
            found = [one for one in self.beats() if all(getattr(one, k) == v for k, v in wanted.items())]
            assert len(found) >= number, f"{self.beats()}\n{self.err}"
            return found

        return (await eventually(look, within_s))[number - 1]


@dataclass
class Start:
    """Starts agents: `start("bash", "-c", ..., options=("--stop-timeout", "1"))`."""

    folder: Path
    url: str
    made: list[Supervised] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def __call__(self, *words: str, id_: str = "web-1", options: Sequence[str] = (), **more: Any) -> Supervised:
        url = more.pop("url", self.url)
        folder = more.pop("folder", None) or self.folder / str(next(self._numbers))
        self.made.append(Supervised(folder, url, id_, words, options, **more))
        return self.made[-1]


@contextmanager
def starting(folder: Path, url: str) -> Iterator[Start]:
    """None of what was started outlives the block."""
    start = Start(folder, url)
    try:
        yield start
    finally:
        for one in start.made:
            one.end()


async def gone(*pids: int, within_s: float = 5.0) -> None:
    """Returns when there is no such process any more."""
    await eventually(lambda: not [pid for pid in pids if is_alive(pid)], within_s)


def beside(*words: str, **more: Any) -> subprocess.Popen[bytes]:
    """Another process, of the test's own."""
    return subprocess.Popen(words, **more)
