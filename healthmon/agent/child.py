"""The supervised program as a process: started in a session of its own, signalled with its group, and reaped."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import anyio

from healthmon import clock
from healthmon.errors import HealthmonError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COULD_NOT_START: Final = 125
LOOK_S: Final = 0.02
KILLED_WITHIN_S: Final = 5.0  # of SIGKILL; longer takes only who hangs in the kernel
_PR_SET_CHILD_SUBREAPER: Final = 36  # <linux/prctl.h>
_MIB: Final = 1024 * 1024
# ru_maxrss is in KiB, on macOS in bytes.
_MAXRSS_BYTES: Final = 1 if sys.platform == "darwin" else 1024


class CouldNotStart(HealthmonError):
    """The program could not be started."""

    exit_code = COULD_NOT_START


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. `code` is as a shell says it: 128 + n for signal n. `signal`: its name, "" for none."""

    code: int
    signal: str
    uptime_s: float
    peak_mb: float

    def __str__(self) -> str:
        return f"killed by {self.signal}" if self.signal else f"exited with code {self.code}"


class Child:
    """One process. It leads a session and a group of its own, so that signals from a terminal reach it once."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.started_s = clock.monotonic_s()
        self.ended = anyio.Event()
        self.exit: Exit | None = None

    @property
    def running(self) -> bool:
        return self.exit is None

    def signal(self, number: int) -> None:
        """To the process alone. Nothing happens once it was reaped."""
        if self.running:
            with suppress(OSError):
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> bool:
        """To the process and what it started in its group; False when nobody of them is there. 0 only asks."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except OSError:  # somebody is there who may not be signalled
            return True
        return True

    async def end_group(self, number: int, within_s: float) -> None:
        """Ask what is left of the group to end, and kill what has not within the time."""
        if not self.signal_group(number):
            return
        with anyio.move_on_after(within_s):
            while self.signal_group(0):  # noqa: ASYNC110  # the kernel tells nobody when a group is empty
                await anyio.sleep(LOOK_S)
        self.signal_group(signal.SIGKILL)

    def note_end(self, status: int, usage: resource.struct_rusage) -> None:
        """It was reaped with this status."""
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code  # reaped here: the object must not try to
        self.exit = Exit(
            code=code if code >= 0 else 128 - code,
            signal=_name(-code) if code < 0 else "",
            uptime_s=clock.monotonic_s() - self.started_s,
            peak_mb=_peak_mb(usage),
        )
        self.ended.set()


def start(command: Sequence[str], env: Mapping[str, str], out: int, err: int) -> Child:
    """Start the program with these descriptors as output and error, and our own standard input.

    Raises CouldNotStart: not found, not executable, no program, no memory.
    """
    try:
        process = subprocess.Popen(list(command), stdout=out, stderr=err, env=env, start_new_session=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in a word
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CouldNotStart(f"{command[0]!r:.200} could not be started: {reason}") from None
    return Child(process)


def adopt_orphans() -> None:
    """Have those whose parent ends become children of this process, as process 1 has anyway. Linux only.

    Then they are reaped, also where process 1 does not, and count as the component's.
    """
    if sys.platform == "linux" and os.getpid() != 1:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(child: Child | None) -> None:
    """Take the status of every child that has ended; the one of `child` is noted, the others were orphans."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if child is not None and pid == child.pid:
            child.note_end(status, usage)


class Lifeline:
    """Ends the group that is told to it when this process is gone. As process 1 the kernel does that for everybody."""

    def __init__(self) -> None:
        self._write = -1
        self.pid = 0

    def __enter__(self) -> Self:
        if os.getpid() == 1:
            return self
        read, self._write = os.pipe()
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guardian.py")), str(read)]
        null = subprocess.DEVNULL
        try:
            process = subprocess.Popen(
                command, stdin=null, stdout=null, stderr=null, pass_fds=(read,), start_new_session=True
            )
        finally:
            os.close(read)
        self.pid = process.pid
        process.returncode = 0  # it outlives this process, or is reaped with the orphans
        return self

    def hold(self, group: int) -> None:
        """From now on this group ends with this process; 0 for none."""
        if self._write >= 0:
            with suppress(OSError):  # the guardian was killed: then there is none
                os.write(self._write, b"%d\n" % group)

    def __exit__(self, *_: object) -> None:
        if self._write >= 0:
            self.hold(0)
            os.close(self._write)
            self._write = -1


def _peak_mb(usage: resource.struct_rusage) -> float:
    """What the kernel kept of the process and those it waited for; 0 where that may be our own, before it was itself.

    A process begins within its parent's memory, which counts.
    """
    peak_bytes = usage.ru_maxrss * _MAXRSS_BYTES
    return peak_bytes / _MIB if peak_bytes > _own_peak_bytes() else 0.0


def _own_peak_bytes() -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
