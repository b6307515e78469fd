"""Programs for tests to run, and how to find those that they left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from healthmon.restarts.attempt import Attempt
from tests.servers import is_alive
from tests.waiting import eventually

# Each process notes its pid as `<name>.<pid>` in the folder that it is given.
NOTE = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def note(name):
    (folder / f"{name}.{os.getpid()}").touch()
"""
# It takes no SIGTERM, and neither does what it leaves in its group, nor what leaves its session by a double fork and
# closes what it inherited.
STUBBORN = (
    NOTE
    + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    note("sibling")
elif os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 64)
    note("daemon")
else:
    print("stubborn", flush=True)
    note("command")
while True:
    signal.pause()
"""
)


def attempt(component_id: str = "a", *, timeout_s: float = 20.0, **other: Any) -> Attempt:
    said = {"rev": 7, "number": 2, "reason": "no heartbeat for 180.0 s", "incarnation": "old", **other}
    return Attempt(id=component_id, timeout_s=timeout_s, **said)


def python(source: str, *arguments: str | Path) -> tuple[str, ...]:
    """The argument list that runs this source."""
    return (sys.executable, "-I", "-c", source, *map(str, arguments))


async def noted(folder: Path, *names: str) -> list[int]:
    """The pids that were noted under these names, as soon as all are."""

    def pids() -> list[int]:
        found = {path.name.partition(".")[0]: int(path.suffix[1:]) for path in folder.iterdir() if path.suffix}
        return [found[name] for name in names] if found.keys() >= set(names) else []

    return list(await eventually(pids, 10))


def pids_in(folder: Path) -> list[int]:
    """The pids that were noted so far."""
    return [int(path.suffix[1:]) for path in folder.iterdir() if path.suffix]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]
