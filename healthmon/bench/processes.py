"""Replicas and floors as processes of their own: started, asked what they used, killed, and gone with their section."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio
import psutil

from healthmon import clock
from healthmon.bench.ground import Ground
from healthmon.bench.raw import Raw
from healthmon.errors import StoreUnavailable, TimedOut
from healthmon.store.keys import Keys

T = TypeVar("T")
START_S: Final = 20.0
LOOK_S: Final = 0.005
STOP_S: Final = 5.0


@dataclass
class Processes:
    """The processes of one section. `settings` are those of its replicas that differ from the defaults."""

    ground: Ground
    keys: Keys
    raw: Raw
    settings: dict[str, object]
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    async def replicas(self, *names: str) -> None:
        """Start these replicas; returns when each follows and one of all leads."""
        for name in names:
            given = {"redis_url": self.ground.url, "prefix": self.keys.prefix, "replica_id": name}
            self._start(name, "replica", {"log_level": "error", "mass_failure": False, **given, **self.settings})
        for name in names:
            await until(lambda name=name: self._follows(name), f"replica {name} follows")  # type: ignore[misc]  # a lambda's default
        await self.leader()

    def agent(self, name: str, **given: object) -> int:
        """Start `healthmon run` for a component of this id; its pid."""
        self._start(name, "agent", {"id": name, "url": self.ground.url, "prefix": self.keys.prefix, **given})
        return self._running[name].pid

    def floor(self, name: str, what: str, **given: object) -> None:
        """Start a floor."""
        self._start(name, "floor", {"what": what, "url": self.ground.url, **given})

    def web(self, what: str) -> int:
        """Start what serves HTTP; its port."""
        self._start(what, "web", {"what": what, "url": self.ground.url, "prefix": self.keys.prefix})
        lines = self._running[what].stdout
        return int(lines.readline()) if lines is not None else 0

    async def leader(self, *, other_than: str = "") -> str:
        """The replica that leads, as soon as it is another than the given one."""

        async def held() -> str:
            holder = (self.raw.call("GET", self.keys.leader) or b"").decode().partition("|")[0]
            return holder if holder in self._running and holder != other_than else ""

        return await until(held, "a replica leads")

    def kill(self, name: str) -> None:
        """Kill it as kill -9 does."""
        self._signal(name, signal.SIGKILL)

    def stop(self, name: str) -> None:
        """SIGTERM, as a service manager does."""
        self._signal(name, signal.SIGTERM)

    def cpu_s(self, name: str) -> float:
        """Seconds of processor time that it has used."""
        process = self._running[name]
        if process.stdin is None or process.stdout is None:
            raise TimedOut(f"{name} can't be asked")
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    def memory_bytes(self, name: str) -> int:
        """The memory that it holds."""
        return int(psutil.Process(self._running[name].pid).memory_info().rss)

    def switches(self, name: str) -> int:
        """How often it has waited for something, over all its threads; 0 where the system doesn't tell."""
        return int(psutil.Process(self._running[name].pid).num_ctx_switches().voluntary)

    def end(self) -> None:
        """No process is left."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _let_go(process)

    async def gone(self, name: str) -> None:
        """Returns when a process that was killed or stopped has ended."""
        process = self._running[name]

        async def ended() -> bool:
            return process.poll() is not None

        await until(ended, f"{name} ends")

    def _signal(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def _start(self, name: str, module: str, given: dict[str, object]) -> None:
        if name in self._running:
            _let_go(self._running[name])
        process = subprocess.Popen(
            [sys.executable, "-m", f"healthmon.bench.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # The user's own settings are for the user's own monitors.
            env={name: value for name, value in os.environ.items() if not name.startswith("HEALTH_")},
            start_new_session=True,
        )
        self._running[name] = process
        if process.stdin is not None:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()

    async def _follows(self, name: str) -> bool:
        if self._running[name].poll() is not None:
            raise StoreUnavailable(f"replica {name} ended with exit code {self._running[name].returncode}")
        pid = self.raw.call("HGET", self.keys.monitor(name), "pid")
        return pid is not None and int(pid) == self._running[name].pid


def _let_go(process: subprocess.Popen[str]) -> None:
    """Close our ends of its pipes."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@contextmanager
def stage(ground: Ground, name: str, **settings: object) -> Iterator[Processes]:
    """A section with processes, for `with`; whatever happens, none outlives it."""
    with ground.section(name) as (keys, raw):
        made = Processes(ground, keys, raw, settings)
        try:
            yield made
        finally:
            made.end()


async def until(look: Callable[[], Awaitable[T]], what: str, within_s: float = START_S) -> T:
    """What `look` gives as soon as that is true; it is asked every 5 ms. Raises TimedOut."""
    deadline_s = clock.monotonic_s() + within_s
    while True:
        found = await look()
        if found:
            return found
        if clock.monotonic_s() > deadline_s:
            raise TimedOut(f"the benchmark waited {within_s:g} s in vain: {what}")
        await anyio.sleep(LOOK_S)
