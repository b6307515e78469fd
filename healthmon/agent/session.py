"""One start of a component: who it is, what it last said, what waits to be sent, and what its next heartbeat says."""

from __future__ import annotations

import secrets
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from os import getpid
from typing import TYPE_CHECKING, Any, Final

from healthmon import clock
from healthmon.agent.metrics import LoopLag, ProcessMetrics
from healthmon.core.component import Status
from healthmon.core.heartbeat import METRICS_MAX, TEXT_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.agent.metrics import Measures

WAITING_MAX: Final = 64
# The specification's heartbeat_timeout: for as long the monitor, too, keeps metrics that a heartbeat leaves out.
KEPT_S: Final = 45.0
MEASURE_S: Final = 1.0  # a shorter stretch says nothing of a process's CPU
TS_S: Final = 60.0  # heartbeats that repeat their bytes are the cheapest to read, and the time changes them
IDENTITY_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Said:
    """What a component said in one call. `at_s`: when, on this machine's steady clock."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    status: Status = Status.OK
    msg: str = ""
    at_s: float = 0.0


class Session:
    """What a sender needs to speak for one start of a component.

    `waiting`, `due_s`, `interval_s`, `leaving` and `mourned` belong to the sender and its lock. `due_s`: when the next
    heartbeat is due by itself, None when only what the component sends goes out. `left` is set when the last heartbeat
    is through, or was given up. `pid` and `measures` are those of the component where it is another process than this.
    """

    def __init__(
        self,
        component_id: str,
        *,
        role: str | None = None,
        version: str | None = None,
        incarnation: str | None = None,
        metrics: bool = True,
        max_stall_s: float | None = None,
        pid: int | None = None,
        measures: Measures | None = None,
    ) -> None:
        texts = {
            "role": role,
            "host": socket.gethostname(),
            "version": version,
            "incarnation": incarnation or secrets.token_hex(4),
        }
        named = {name: _utf8(text)[:IDENTITY_MAX] for name, text in texts.items() if text}
        self._identity: dict[str, Any] = {"id": component_id, "pid": pid or getpid(), **named}
        self._process_wanted = metrics
        self._process = measures
        self._lag: LoopLag | None = None
        self._measured: dict[str, float] = {}
        self._measured_s = float("-inf")
        self._ts_s = float("-inf")
        self._max_stall_s = max_stall_s
        self._ticked_s = clock.monotonic_s()
        self._standing = Said()
        self.waiting: deque[Said] = deque(maxlen=WAITING_MAX)
        self.due_s: float | None = None
        self.interval_s: float | None = None
        self.leaving = False
        self.mourned = False
        self.left = threading.Event()

    @property
    def orphaned(self) -> bool:
        """Whether the event loop that it was started in has ended: nothing of the component may be alive."""
        return self._lag is not None and self._lag.closed

    def watch(self, lag: LoopLag | None) -> None:
        """From now on heartbeats tell how late this loop runs."""
        self._lag = lag

    def tick(self) -> None:
        """The component got on with its work just now."""
        self._ticked_s = clock.monotonic_s()

    def remember(self, said: Said) -> None:
        """What was said last stands: the heartbeats in between repeat it."""
        self._standing = said

    def compose(self, said: Said | None) -> dict[str, Any]:
        """The heartbeat's names and values. For the sender's thread: this measures, and may wait 50 ms for the loop.

        Without `said`: what was said last, its metrics for 45 s.
        """
        now_s = clock.monotonic_s()
        told = said or self._standing
        given = told.metrics if now_s - told.at_s < KEPT_S else {}
        status, msg = told.status, told.msg
        stall_s = self._max_stall_s
        if stall_s is not None and status is Status.OK and now_s - self._ticked_s > stall_s:
            status, msg = Status.DEGRADED, f"no tick for more than {stall_s:g} s"
        beat = dict(self._identity)
        if self.interval_s is not None:
            beat["interval"] = self.interval_s
        if status is not Status.OK:
            beat["status"] = status.value
        if msg:
            beat["msg"] = _utf8(msg)[:TEXT_MAX]
        if now_s - self._ts_s >= TS_S:
            self._ts_s = now_s
            beat["ts"] = round(clock.unix_s(), 3)
        beat.update(given)
        room = METRICS_MAX - len(given)
        for name, value in self._measure(now_s).items():
            if name not in given and room > 0:
                beat[name] = value
                room -= 1
        return beat

    def _measure(self, now_s: float) -> dict[str, float]:
        if now_s - self._measured_s < MEASURE_S:
            return self._measured
        self._measured_s = now_s
        if self._process_wanted:
            if self._process is None:
                self._process = ProcessMetrics()
            self._measured = self._process.read()
            lag_ms = self._lag.read() if self._lag is not None else None
            if lag_ms is not None:
                self._measured["m.loop_lag_ms"] = lag_ms
        return self._measured


def _utf8(text: str) -> str:
    """The text with what UTF-8 cannot hold (lone surrogates of an undecodable path) as `?`."""
    return text.encode("utf-8", "replace").decode()
