"""What a child process has of its parent: the lines that it sends, and the notice of its end.

The parent's end of the child's standard input is the lifeline: the kernel closes it when the parent is gone, however it
went.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from typing import Any, Final

from healthmon import clock

READ_BYTES: Final = 65_536
_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


def wake_when_orphaned() -> None:
    """Have the kernel continue this process when its parent ends: one that is stopped could not see that end.

    Linux only; elsewhere a stopped child outlives its parent until somebody continues it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


class ParentGone(Exception):
    """Standard input was closed: nobody is there to work for."""


class Inbox:
    """Lines of one JSON object each. They are read without a buffer that would hide one from `select`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read = b""

    def take(self, within_s: float | None = None) -> dict[str, Any] | None:
        """The next line, or None when none comes in time; without a time, it waits. Raises ParentGone."""
        until_s = None if within_s is None else clock.monotonic_s() + within_s
        while b"\n" not in self._read:
            left_s = None if until_s is None else until_s - clock.monotonic_s()
            if left_s is not None and left_s <= 0:
                return None
            self._read_within(left_s)
        line, _, self._read = self._read.partition(b"\n")
        given: dict[str, Any] = json.loads(line)
        return given

    def sleep(self, seconds: float) -> None:
        """Take nothing for so long; what comes meanwhile waits. Raises ParentGone."""
        until_s = clock.monotonic_s() + seconds
        while (left_s := until_s - clock.monotonic_s()) > 0:
            self._read_within(left_s)

    def _read_within(self, seconds: float | None) -> None:
        if not select.select([self._fd], [], [], seconds)[0]:
            return
        more = os.read(self._fd, READ_BYTES)
        if not more:
            raise ParentGone
        self._read += more
