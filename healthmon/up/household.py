"""The child processes of `up`: started, greeted, listened to, and ended together.

Replicas are started again when they end; the demo's components only when that is ordered, which `up.agent` sees to.

One task group owns them all. A child's standard input is its lifeline: it carries the greeting, and more for the demo's
components, and closes with this process, however that ends.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.abc import ByteReceiveStream, Process, TaskGroup

from healthmon import clock
from healthmon.up.screen import Screen

STOP_S: Final = 3.0  # between asking the children to end and ending them
STEADY_S: Final = 10.0  # a child that lived as long is started again with the shortest pause
PAUSE_S: Final = 0.5
PAUSE_S_MAX: Final = 30.0
LINE_BYTES_MAX: Final = 16_384
_LEVELS: Final = ("WARNING", "ERROR", "CRITICAL")


@dataclass(eq=False)
class Child:
    """One child. `greeting` is known when `greeted` is set: the server's URL belongs to it.

    `heard` takes the lines that it writes, which go to the screen otherwise. `sockets`: what it has in common with
    this process, by number.
    """

    name: str
    module: str
    env: Mapping[str, str] | None = None
    greeting: Mapping[str, object] = field(default_factory=dict)
    greeted: anyio.Event = field(default_factory=anyio.Event)
    process: Process | None = None
    heard: Callable[[str], None] | None = None
    sockets: tuple[int, ...] = ()

    @property
    def pid(self) -> int:
        """0 while there is no process."""
        return self.process.pid if self.process is not None else 0

    def greet(self, greeting: Mapping[str, object]) -> None:
        """Say what it waits for, now and at each new start until `greeted` is another event."""
        self.greeting = greeting
        self.greeted.set()

    async def send(self, line: Mapping[str, object]) -> None:
        """One more line to its standard input; nothing happens when it is gone."""
        if self.process is not None and self.process.stdin is not None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self.process.stdin.send(json.dumps(line).encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens when it is gone."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


class Household:
    """All children, owned by `group`. What they say, and that one had to be started again, goes to the screen."""

    def __init__(self, screen: Screen, group: TaskGroup) -> None:
        self._screen = screen
        self._group = group
        self._children: dict[Child, None] = {}
        self._ending = anyio.Event()
        self._changed = anyio.Event()

    def pids(self) -> dict[str, int]:
        """The processes that run, by their names."""
        return {child.name: child.pid for child in self._children if child.pid}

    @property
    def ends(self) -> bool:
        """Whether all children are told to end."""
        return self._ending.is_set()

    def adopt(self, child: Child) -> None:
        """Start the child, and start it again whenever it ends, after a pause that doubles while it ends at once."""
        self._children[child] = None
        self._group.start_soon(self._keep, child)

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do this beside the children, and until they are gone."""
        self._group.start_soon(work)

    async def all_run(self, children: Iterable[Child]) -> None:
        """Returns when each of them has a process."""
        while not all(child.pid for child in children):
            await self._changed.wait()

    async def end(self) -> None:
        """Ask every child to end, and wait for that, STOP_S at most; what is left, ends with the task group."""
        self._ending.set()
        for child in self._children:
            child.signal(signal.SIGTERM)
            child.signal(signal.SIGCONT)  # a stopped process takes no SIGTERM
        with anyio.move_on_after(STOP_S):
            while self.pids():
                await self._changed.wait()

    async def _keep(self, child: Child) -> None:
        quick = 0
        while not self._ending.is_set():
            begun_s = clock.monotonic_s()
            pid, code = await self.live(child)
            if self._ending.is_set():
                break
            quick = 0 if clock.monotonic_s() - begun_s >= STEADY_S else quick + 1
            pause = pause_s(quick)
            self._screen.say(child.name, f"(pid {pid}) {how_ended(code)}; it is started again in {pause:g} s")
            await anyio.sleep(pause)

    async def live(self, child: Child) -> tuple[int, int]:
        """One life of the child: its pid, and its exit code (below 0: the signal). What it wrote was heard by then."""
        self._children[child] = None
        with anyio.CancelScope(shield=True):  # a process that is half begun could not be waited for
            process = await anyio.open_process(
                [sys.executable, "-m", child.module, child.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=child.env,
                pass_fds=child.sockets,
                start_new_session=True,  # Ctrl-C is for this process, which tells the children in its own way
            )
        async with process, anyio.create_task_group() as group:
            child.process = process
            self._tell_change()
            try:
                if process.stdout is not None:
                    group.start_soon(self._listen, child, process.stdout)
                async with anyio.create_task_group() as greeting:
                    greeting.start_soon(_greet, child)
                    code = await process.wait()
                    greeting.cancel_scope.cancel()
            finally:
                child.process = None
                self._tell_change()
        return process.pid, code

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _listen(self, child: Child, stream: ByteReceiveStream) -> None:
        async for line in _lines(stream):
            if child.heard is not None:
                child.heard(line)
                continue
            serious, text = read_log(line)
            (self._screen.warn if serious else self._screen.say)(child.name, text)


async def _greet(child: Child) -> None:
    await child.greeted.wait()
    await child.send(child.greeting)


def pause_s(quick: int) -> float:
    """Seconds before a child is started again that has ended so many times in a row at once."""
    return min(PAUSE_S * 2.0 ** min(quick, 10), PAUSE_S_MAX)


def how_ended(code: int) -> str:
    """An exit code as what happened to the process."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal_name(code)}{' (kill -9)' if code == -signal.SIGKILL else ''}"


def signal_name(code: int) -> str:
    """The signal of an exit code below 0, "" for any other code."""
    try:
        return signal.Signals(-code).name if code < 0 else ""
    except ValueError:
        return f"signal {-code}"


def read_log(line: str) -> tuple[bool, str]:
    """What a child wrote, for the screen, and whether it is serious: a log line in its JSON form, or any other text."""
    try:
        record: Any = json.loads(line)
        level, message = record["level"], str(record["message"])
    except (ValueError, TypeError, KeyError):
        return True, line
    trace = str(record.get("exception", "")).strip().splitlines()
    text = f"{message} ({trace[-1]})" if trace else message
    return level in _LEVELS, text if level in ("INFO", "DEBUG") else f"{str(level).lower()}: {text}"


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[str]:
    """Its lines that are not empty; one beyond the limit comes in pieces."""
    kept = b""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        while True:
            kept += await stream.receive()
            *lines, kept = kept.split(b"\n")
            if len(kept) > LINE_BYTES_MAX:
                lines, kept = [*lines, kept], b""
            for line in lines:
                if line.strip():
                    yield line.decode(errors="replace").rstrip()
    if kept.strip():
        yield kept.decode(errors="replace").rstrip()
