"""Whether the machine had the time for a test.

Promises about time hold where processes get a processor when they ask for one. The kernel counts for how long somebody
had to wait for one; a test that failed while that was a large share of its time says little, and is run again. One that
fails for a reason of its own fails every time.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic

PRESSURE = Path("/proc/pressure/cpu")
# Of a test's time; one of times is run again sooner.
SHARE_MAX, SHARE_MAX_OTHERWISE = 0.1, 0.4
REPEATS_MAX = 3


def waited_s() -> float:
    """Seconds since the machine's start in which somebody waited for a processor. Where nobody counts, by the load."""
    if PRESSURE.exists():
        return int(PRESSURE.read_text().splitlines()[0].rpartition("total=")[2]) / 1e6
    return monotonic() * (os.getloadavg()[0] > (os.cpu_count() or 1))


class Stopwatch:
    """Started when a test is."""

    def __init__(self) -> None:
        self._begun_s, self._waited_s = monotonic(), waited_s()

    def share(self) -> float:
        """Of the time since then, the share in which somebody waited for a processor."""
        return (waited_s() - self._waited_s) / max(1e-6, monotonic() - self._begun_s)
