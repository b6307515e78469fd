"""`python -m healthmon.demo.component ID`: a small component of the demo, a child of `healthmon up`.

It is real in what counts: a process of its own whose heartbeats the HeartbeatHelper sends. Its work is made up, and so
are its troubles, which the parent asks for in lines on standard input.

It says `READY` on standard output when it could begin, and begins when it is greeted: so its parent can report a
restart before the first heartbeat. With a text in the environment as FAULT it fails with that text instead.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from healthmon import clock
from healthmon.agent.helper import HeartbeatHelper
from healthmon.core.component import Status
from healthmon.demo.lifeline import Inbox, ParentGone, wake_when_orphaned
from healthmon.demo.play import INTERVAL_S

if TYPE_CHECKING:
    from collections.abc import Mapping

READY: Final = "ready"
FAULT: Final = "DEMO_FAULT"
STARTING_S: Final = 1.5
_LATENCY_MS: Final = 12.0


@dataclass(frozen=True)
class Mood:
    """What the component says of itself until a moment of the local clock."""

    until_s: float
    status: Status = Status.OK
    msg: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


WELL: Final = Mood(float("inf"))


class Component:
    """Sends its heartbeats from its own loop: when the loop stalls, so do the heartbeats."""

    def __init__(self, helper: HeartbeatHelper, inbox: Inbox) -> None:
        self._helper = helper
        self._inbox = inbox
        self._mood = Mood(clock.monotonic_s() + STARTING_S, Status.STARTING, "warming up")

    def run(self) -> None:
        """Until the parent is gone (ParentGone), a crash is asked for (OSError), or SIGTERM comes (SystemExit)."""
        while True:
            if clock.monotonic_s() >= self._mood.until_s:
                self._mood = WELL
            self._beat()
            asked = self._inbox.take(INTERVAL_S)
            if asked is not None:
                self._obey(asked)

    def _beat(self) -> None:
        metrics = {
            "latency_ms": round(random.gauss(_LATENCY_MS, 2.0), 1),
            "request_rate": round(random.gauss(80.0, 9.0), 1),
            "error_rate": 0.0,
        }
        self._helper.send(metrics | dict(self._mood.metrics), status=self._mood.status, msg=self._mood.msg)

    def _obey(self, asked: Mapping[str, Any]) -> None:
        lasts_s = float(asked["lasts_s"])
        if asked["kind"] == "stall":
            # Whatever is asked meanwhile waits in the pipe, as it would for a program that hangs.
            self._inbox.sleep(lasts_s)
            return
        if asked["kind"] == "crash":
            raise OSError(asked["msg"])
        until_s = clock.monotonic_s() + lasts_s
        self._mood = Mood(until_s, Status(asked["status"]), asked["msg"], asked["metrics"])


def main() -> int:
    """Be the component that the greeting names until the parent is gone or sends SIGTERM; then say goodbye.

    1 when a fault ended it, after its last words.
    """
    wake_when_orphaned()
    try:
        if fault := os.environ.get(FAULT):
            _say("opening /srv/data")
            raise OSError(fault)
        inbox = Inbox(sys.stdin.fileno())
        _say(READY)
        given = inbox.take() or {}
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)
        helper = HeartbeatHelper(given["id"], given["role"], redis_url=given["redis_url"], prefix=given["prefix"])
        with closing(helper):
            Component(helper, inbox).run()
    except ParentGone:
        return 0
    except OSError as error:
        _say(f"OSError: {error}")
    return 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the last lines of its output are part of a failure's context


def _leave(*_: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
