"""Runs one restart command: its output is drained, and it dies with the monitor, however that ends, kill -9 included.

Run as a program (`python -I -S keeper.py COMMAND…`). Standard input is the lifeline: only the monitor holds its other
end. The kernel closes that when the monitor is gone, and the monitor itself when the time is up; then the command is
ended, and all that it started: SIGTERM, and 2 s later SIGKILL. At the end one JSON object is written to standard
output: `code` (below 0: the signal), `error` (errno, where the command could not be started) and `tail`, the last of
what it said.

What a command that succeeds leaves running, such as a daemon, is left alone: it is the component. Its output goes on
being read and thrown away, since a closed pipe would kill it at its next line.

A process of its own, because a parent-death signal reaches a child but not what that started, and because output of any
amount must not keep the monitor from its rounds. It imports the standard library only, and little of that.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from contextlib import suppress

GRACE_S = 2.0
LOOK_S = 0.05
READ_BYTES = 65_536
# Twenty long lines; as JSON they fit into an empty pipe, so that telling them never waits.
TAIL_BYTES = 8_192
LEFT_IN_PIPE_READS = 64
LIFELINE = 0
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>


def keep(command: list[str]) -> None:
    """Run the command to its end, or to the monitor's, and tell how it ended."""
    _linux_prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what the command orphans becomes ours, so that it can be found
    try:
        running = _Running(command)
    except OSError as error:
        _tell({"error": error.errno})
        return
    while running.code is None and running.look(None):
        pass
    if running.code != 0:
        running.end()
    running.empty()
    _tell({"code": running.code, "tail": running.tail.decode("utf-8", "replace")})
    if running.output is not None:
        _drain(running.output)


class _Running:
    """The command. `code`: how it ended, None before; `output`: what it says, None when all its ends are closed."""

    def __init__(self, command: list[str]) -> None:
        self.code: int | None = None
        self.tail = b""
        self._wake = _wake_on_signals()
        self.output: int | None
        self.output, given = os.pipe()
        self._pid = _start(command, given)
        os.close(given)
        self._asked: set[int] = set()
        self._overdue: list[int] = []

    def look(self, seconds: float | None) -> bool:
        """Wait for something to happen; note it. False when the command is to end."""
        watched = [LIFELINE, self._wake, *([] if self.output is None else [self.output])]
        ready, _, _ = select.select(watched[1:] if seconds is not None else watched, [], [], seconds)
        if self.output in ready:
            self._read()
        told = os.read(self._wake, 4096) if self._wake in ready else b""
        self._reap()
        return LIFELINE not in ready and signal.SIGTERM not in told

    def end(self) -> None:
        """End all that the command started: ask once, and use force after the grace. Gives up 2 s after that."""
        signal.signal(signal.SIGALRM, lambda number, _: self._overdue.append(number))
        signal.setitimer(signal.ITIMER_REAL, GRACE_S, GRACE_S)
        while len(self._overdue) < 2 and (left := self._left()):
            for target in left:
                self._end(target)
            self.look(LOOK_S)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def empty(self) -> None:
        """Read what is in the pipe; one who goes on writing is not waited for."""
        for _ in range(LEFT_IN_PIPE_READS):
            if self.output is None or not select.select([self.output], [], [], 0)[0]:
                return
            self._read()

    def _read(self) -> None:
        if self.output is None:
            return
        said = os.read(self.output, READ_BYTES)
        self.tail = (self.tail + said)[-TAIL_BYTES:]
        if not said:
            os.close(self.output)
            self.output = None

    def _reap(self) -> None:
        """Of those that ended, adopted orphans included, only the command's own end is of interest."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._pid:
                    self.code = os.waitstatus_to_exitcode(ended[1])

    def _end(self, target: int) -> None:
        with suppress(OSError):
            if self._overdue:
                os.kill(target, signal.SIGKILL)
            elif target not in self._asked:  # many programs take a second SIGTERM for impatience
                os.kill(target, signal.SIGTERM)
                os.kill(target, signal.SIGCONT)  # a stopped process takes no SIGTERM
        self._asked.add(target)

    def _left(self) -> list[int]:
        """Who still lives of what the command started: each by itself on Linux, elsewhere its process group."""
        if sys.platform == "linux":
            with suppress(OSError):
                return _descendants(os.getpid())
        with suppress(OSError):
            os.kill(-self._pid, 0)
            return [-self._pid]
        return []


def _start(command: list[str], output: int) -> int:
    """The pid of the command, in a session of its own. Raises OSError when it can't be started."""
    failed, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)  # what Python, or who started us, ignores is not for commands
            _linux_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.execvp(command[0], command)  # noqa: S606  # no shell is what is promised
        except OSError as error:
            os.write(tell, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(tell)
    said = os.read(failed, 16)
    os.close(failed)
    if said:
        os.waitpid(pid, 0)
        raise OSError(int(said), os.strerror(int(said)))
    return pid


def _descendants(pid: int) -> list[int]:
    """Everybody below this process who is no zombie. Raises OSError where there is no /proc."""
    children: dict[int, list[int]] = {}
    ended = set()
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            children.setdefault(int(parent), []).append(int(name))
            if state in (b"Z", b"X"):
                ended.add(int(name))
    found, look_at = [], [pid]
    while look_at:
        below = children.get(look_at.pop(), [])
        look_at += below
        found += [one for one in below if one not in ended]
    return found


def _wake_on_signals() -> int:
    """A pipe that tells of SIGCHLD, SIGTERM and SIGALRM, so that waiting for output sees them too."""
    wake, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return wake


def _linux_prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _tell(said: dict[str, object]) -> None:
    with suppress(OSError):
        os.write(1, json.dumps(said).encode())
        os.close(1)


def _drain(output: int) -> None:
    """Leave somebody behind who reads what is still said, for as long as it is. It holds nothing of the monitor's."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        while os.read(output, READ_BYTES):
            pass
    os._exit(0)


if __name__ == "__main__":
    keep(sys.argv[1:])
