"""The only file that reads a clock. Redis time, in milliseconds, never comes from here: it arrives in replies."""

from __future__ import annotations

import time

# CLOCK_BOOTTIME goes on while the machine sleeps, as the lease in Redis does; macOS's monotonic clock has no such twin.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic_s() -> float:
    """Seconds of the local clock that never steps: for measuring how long, never for what time it is."""
    return time.clock_gettime(_CLOCK)


def unix_s() -> float:
    """Seconds since 1970 by this machine's calendar: for display and for reporting skew, never for judging silence."""
    return time.time()


def cpu_s() -> float:
    """Seconds of processor time that this process has used so far: for measuring what work costs."""
    return time.process_time()
