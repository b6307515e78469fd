"""Agents and their programs under a cluster of real replicas: real processes, killed, stopped and started at will.

`agents(cl)` overhears what they say, and at its end kills them all: what they said and did is the cluster's to judge.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster import ROOT, Cluster
from tests.history import Fields
from tests.overhearing import Overhearing, overhearing
from tests.waiting import eventually

FOR_EVER = ("sleep", "1000")
UP_WITHIN_S = 20.0
# A second of life makes a program up; it starts in milliseconds.
QUICK_RESTARTS: dict[str, Any] = {"base_delay": 0.3, "max_delay": 2.0, "max_retries": 3, "timeout": 10}


@dataclass
class Agents:
    """The agents of one story by component id."""

    cl: Cluster
    nursery: subprocess.Popen[str]
    url: str
    heard: Overhearing
    pids: dict[str, int] = field(default_factory=dict)

    # -- processes -------------------------------------------------------------------------------------------------

    def start(
        self,
        id_: str,
        *command: str,
        interval: float = 0.5,
        stop_timeout: float = 1.0,
        depends_on: Sequence[str] = (),
        url: str = "",
        **restart: Any,
    ) -> None:
        """Start an agent with this program, `sleep` unless given; `restart` is laid over QUICK_RESTARTS."""
        policy: dict[str, Any] = {"restart": {**QUICK_RESTARTS, **restart}, "startup_timeout": 5}
        if depends_on:
            policy["depends_on"] = list(depends_on)
        given = {
            "id": id_,
            "command": command or FOR_EVER,
            "interval": interval,
            "stop_timeout": stop_timeout,
            "folder": str(self.cl.folder),
            "prefix": self.cl.keys.prefix,
            "url": url or self.url,
            "policy": policy,
        }
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(json.dumps(given) + "\n")
        self.nursery.stdin.flush()
        self.pids[id_] = json.loads(self.nursery.stdout.readline())["pid"]

    async def all_healthy(self, within_s: float = UP_WITHIN_S) -> None:
        """Returns when every component of an agent is healthy."""
        await self.all_in("healthy", *self.pids, within_s=within_s)

    async def all_in(self, state: str, *ids: str, within_s: float = UP_WITHIN_S) -> None:
        """Returns when these are in a state."""

        async def there() -> bool:
            members = set(await self.cl.client.zrange(self.cl.keys.state(state), 0, -1))
            missing = [one for one in ids if one not in members]
            assert not missing, f"not {state}: {missing[:5]} of {len(missing)}: {await self.record(missing[0])}"
            return True

        await eventually(there, within_s)

    def kill_children(self, *ids: str) -> None:
        """kill -9 the program of each, one right after the other."""
        for pid in [self.child(one) for one in ids]:
            os.kill(pid, signal.SIGKILL)

    def kill(self, id_: str) -> None:
        """kill -9 the agent; its program ends with it."""
        os.kill(self.pids.pop(id_), signal.SIGKILL)

    def freeze(self, id_: str) -> None:
        os.kill(self.pids[id_], signal.SIGSTOP)

    def thaw(self, id_: str) -> None:
        os.kill(self.pids[id_], signal.SIGCONT)

    def child(self, id_: str) -> int:
        """The pid of the program that it started last."""
        return int(self.journal(id_, "started")[-1]["pid"])

    # -- what is known ---------------------------------------------------------------------------------------------

    def journal(self, id_: str, what: str = "") -> list[dict[str, Any]]:
        """The lines of its journal, or those of one kind."""
        with suppress(FileNotFoundError):
            text = (self.cl.folder / f"{id_}.journal").read_text()
            lines = [json.loads(line) for line in text.splitlines()]
            return [line for line in lines if not what or line["what"] == what]
        return []

    async def noted(self, id_: str, what: str, number: int = 1, within_s: float = UP_WITHIN_S) -> dict[str, Any]:
        """The line of this kind and number, as soon as it is there."""

        def look() -> list[dict[str, Any]]:
            found = self.journal(id_, what)
            assert len(found) >= number, f"{id_}: {self.journal(id_)}"
            return found

        return (await eventually(look, within_s))[number - 1]

    async def record(self, id_: str) -> Fields:
        """Its hash."""
        return dict(await self.cl.client.hgetall(self.cl.keys.component(id_)))

    async def claims(self, id_: str) -> list[tuple[str, Fields]]:
        """The events by which its restarts were claimed."""
        return await self.cl.events(id=id_, type="transition", to="restarting")

    async def states(self, id_: str, after: str = "0-0") -> list[str]:
        """The states that it went through."""
        return [said["to"] for _, said in await self.cl.events(after, id=id_, type="transition")]

    def note_executions(self) -> None:
        """Tell the cluster what the journals say was executed."""
        for path in sorted(self.cl.folder.glob("*.journal")):
            lines = self.journal(path.stem, "taken")
            self.cl.executed += [{**line, "id": path.stem} for line in lines]

    async def end(self) -> None:
        """Kill every agent, and with it its program; returns when all that was said is known to the cluster."""
        self.nursery.kill()
        self.nursery.wait()
        await self.cl.passes(50)
        await self.heard.settle()
        self.note_executions()


@contextmanager
def _nursery(folder: Path, verbs: Path | None) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEALTH_")}
    environment |= {"VERBS_FROM": str(verbs)} if verbs else {}
    with (folder / "agents.log").open("ab") as log:
        nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.agents_process"],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    with nursery:
        try:
            yield nursery
        finally:
            nursery.kill()


@asynccontextmanager
async def agents(cl: Cluster, *, through: str = "", verbs: Path | None = None) -> AsyncIterator[Agents]:
    """Agents for components of this cluster, which they reach by `through`; none outlives the block."""
    with _nursery(cl.folder, verbs) as nursery:
        async with overhearing(cl) as heard:
            made = Agents(cl, nursery, through or cl.url, heard)
            yield made
            await made.end()
