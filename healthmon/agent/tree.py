"""Memory and CPU of the supervised program with all that descends from it."""

from __future__ import annotations

import threading
from typing import Final

import psutil

from healthmon import clock
from healthmon.agent.metrics import WINDOW_S, usable_cpus

_MIB: Final = 1024 * 1024


class TreeMetrics:
    """Measures every descendant of this process but those in `apart`. One whose parent ended is one of them on Linux.

    Resident memory is summed, so that pages which several share count in each.
    """

    def __init__(self, apart: frozenset[int] = frozenset()) -> None:
        self._agent = psutil.Process()
        self._apart = apart
        self._cpus = usable_cpus()
        self._reading = threading.Lock()
        self._at_s = clock.monotonic_s()
        self._used_s = 0.0
        self.peak_mb = 0.0

    def read(self) -> dict[str, float]:
        """`memory_mb`, and `cpu_percent` since the last read: of what may be used, at most 100. Costs milliseconds.

        CPU time of a descendant that ended counts once its parent has waited for it.
        """
        with self._reading:
            memory_bytes, used_s = self._sum()
            if not memory_bytes:
                return {}
            found = {"memory_mb": round(memory_bytes / _MIB, 1)}
            self.peak_mb = max(self.peak_mb, found["memory_mb"])
            at_s = clock.monotonic_s()
            if at_s - self._at_s >= WINDOW_S:
                share = (used_s - self._used_s) / ((at_s - self._at_s) * self._cpus)
                found["cpu_percent"] = round(max(0.0, min(100.0, 100.0 * share)), 1)
                self._at_s, self._used_s = at_s, used_s
            return found

    def note_peak(self) -> None:
        """Look how much memory is used now."""
        with self._reading:
            self.peak_mb = max(self.peak_mb, round(self._sum()[0] / _MIB, 1))

    def _sum(self) -> tuple[int, float]:
        """Bytes of resident memory, and seconds of CPU time so far."""
        memory_bytes, used_s = 0, 0.0
        try:
            descendants = self._agent.children(recursive=True)
        except (psutil.Error, OSError):
            return 0, 0.0
        for process in descendants:
            if process.pid in self._apart:
                continue
            try:
                with process.oneshot():
                    memory_bytes += process.memory_info().rss
                    times = process.cpu_times()
            except (psutil.Error, OSError):  # it has ended meanwhile
                continue
            used_s += times.user + times.system
            used_s += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return memory_bytes, used_s
