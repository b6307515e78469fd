"""What rides along with a heartbeat: what the process uses, how late its event loop runs, what the component says."""

from __future__ import annotations

import logging
import math
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, SupportsFloat

import psutil

from healthmon import clock
from healthmon.core.heartbeat import METRICS_MAX, metric_name

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Mapping

NAME_BYTES_MAX: Final = 128  # 64 names of this length leave room in the 16 KiB that a heartbeat may have
LOOP_WAIT_S: Final = 0.05
WINDOW_S: Final = 0.5
TOLD_MAX: Final = 64
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUPS: Final = Path("/proc/self/cgroup")
_MIB: Final = 1024 * 1024
logger = logging.getLogger("healthmon.agent")


class Measures(Protocol):
    """What measures a component's process. Nothing in it waits."""

    def read(self) -> dict[str, float]:
        """`memory_mb`, and `cpu_percent` since the last read; what cannot be told is left out."""
        ...


class ProcessMetrics:
    """Memory and CPU of the process that makes this object. Nothing here waits."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cpus = usable_cpus()
        self._at_s = clock.monotonic_s()
        self._used_s = self._cpu_s()

    def read(self) -> dict[str, float]:
        """`memory_mb`, resident, and `cpu_percent` since the last read: of what the process may use, at most 100.

        CPU time is counted in hundredths of a second, so over less than half a second there is no `cpu_percent`. What
        the system refuses to tell is left out.
        """
        found = {}
        try:
            found["memory_mb"] = round(self._process.memory_info().rss / _MIB, 1)
        except (psutil.Error, OSError):
            return found
        at_s = clock.monotonic_s()
        if at_s - self._at_s >= WINDOW_S:
            used_s = self._cpu_s()
            share = (used_s - self._used_s) / ((at_s - self._at_s) * self._cpus)
            found["cpu_percent"] = round(max(0.0, min(100.0, 100.0 * share)), 1)
            self._at_s, self._used_s = at_s, used_s
        return found

    def _cpu_s(self) -> float:
        try:
            times = self._process.cpu_times()
        except (psutil.Error, OSError):
            return 0.0
        return float(times.user + times.system)


class LoopLag:
    """How late an asyncio loop runs what it is asked to run. Asked from another thread, so that a stall shows."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._asked_s = 0.0
        self._lag_s = 0.0
        self._answered = threading.Event()
        self._answered.set()

    @property
    def closed(self) -> bool:
        """Whether the loop has ended for good."""
        return self._loop.is_closed()

    def read(self) -> float | None:
        """Milliseconds, whole ones, so that an idle loop's heartbeats are equal. Waits 50 ms for the loop at most.

        While the loop does not answer, the time that it has not; when it answered since the last read, how late.
        Nothing once it is closed.
        """
        late_s = self._lag_s
        if self._answered.is_set():
            self._asked_s = clock.monotonic_s()
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # closed, perhaps just now
                self._answered.set()
                return None
            if self._answered.wait(LOOP_WAIT_S):
                # Only an answer that nobody waited for has not been reported yet.
                now_s, self._lag_s = self._lag_s, 0.0
                return _whole_ms(max(now_s, late_s))
        return _whole_ms(max(clock.monotonic_s() - self._asked_s, late_s))

    def _answer(self) -> None:
        self._lag_s = clock.monotonic_s() - self._asked_s
        self._answered.set()


def _whole_ms(seconds: float) -> float:
    return float(math.floor(seconds * 1000))


def usable_cpus(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> float:
    """How many CPUs this process may use: its affinity, and the quota of its control groups where there is one."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(cpus), *_quotas(cgroups, own)])


def _quotas(cgroups: Path, own: Path) -> list[float]:
    """The CPU quotas from the process's own group up to the root, of both versions of control groups."""
    found = []
    for line in _text_of(own).splitlines():
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = cgroups / controllers if controllers else cgroups
        group = mount / place.lstrip("/")
        for folder in (group, *group.parents):
            found += _quota_of(folder)
            if folder == mount:
                break
    return found


def _quota_of(folder: Path) -> list[float]:
    words = _text_of(folder / "cpu.max").split() or [
        *_text_of(folder / "cpu.cfs_quota_us").split(),
        *_text_of(folder / "cpu.cfs_period_us").split(),
    ]
    try:
        quota, period = (int(word) for word in words)
    except ValueError:  # `max`, which is no quota, or nothing at all
        return []
    return [quota / period] if quota > 0 and period > 0 else []


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


class GivenMetrics:
    """Metrics as a component gives them, made fit for a heartbeat. What is left out is told once a name."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def clean(self, given: Mapping[str, object] | None) -> dict[str, float]:
        """Finite numbers by their wire names; a name that is not standard becomes `m.<name>`. None means not measured.

        Left out, with one log line a name: NaN and infinite, what is no number (truth values are none), names beyond
        128 bytes, metrics beyond the 64th.
        """
        kept: dict[str, float] = {}
        for key, value in (given or {}).items():
            if value is None:
                continue
            name = metric_name(str(key))
            number = _number(value)
            if number is None:
                self._leave_out(name, "has no finite number as its value")
            elif len(name.encode()) > NAME_BYTES_MAX:
                self._leave_out(name, f"has a name of more than {NAME_BYTES_MAX} bytes")
            elif len(kept) >= METRICS_MAX and name not in kept:
                self._leave_out(name, f"is beyond the {METRICS_MAX} metrics of a heartbeat")
            else:
                kept[name] = number
        return kept

    def _leave_out(self, name: str, reason: str) -> None:
        if name not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(name)
            logger.warning("metric %.80r %s: it is left out", name, reason)


def _number(value: object) -> float | None:
    if isinstance(value, (bool, str, bytes)) or not isinstance(value, SupportsFloat):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
