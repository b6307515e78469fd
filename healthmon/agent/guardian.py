"""Ends the supervised process group when the agent is gone, kill -9 included.

Run as a program (`python -I -S guardian.py FD`), it reads the group's number from a pipe whose other end only the agent
holds. The kernel closes that end when the agent is gone, however it went. A parent-death signal would reach the child
alone, not what it started, and macOS has none.

It imports the standard library only, and little of that: it lives as long as the agent.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def guard(fd: int) -> None:
    """Wait until the pipe is closed, then kill the group that was named last; 0 for none.

    Signals that ask to end are ignored: what they end, ends the agent, and that is what is waited for.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    said = b""
    while more := os.read(fd, 4096):
        # The last whole line counts; what follows it may be the beginning of the next.
        *lines, rest = (said + more).split(b"\n")
        said = b"\n".join([*lines[-1:], rest])
    group = int(said.split(b"\n")[0] or b"0") if b"\n" in said else 0
    if group > 0:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    guard(int(sys.argv[1]))
