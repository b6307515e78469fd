"""What a child process of the benchmark has of its parent: its orders, questions about what it used, and its end."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any, Final

from healthmon import clock

GRACE_S: Final = 3.0


def orders() -> dict[str, Any]:
    """The first line of standard input. From then on each further line is answered with the CPU seconds used so far.

    Standard input closes when the parent is gone, however it went: then SIGTERM at once, a hard exit 3 s later.
    """
    given: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_answer, name="benchmark", daemon=True).start()
    return given


def _answer() -> None:
    for _ in sys.stdin:
        print(clock.cpu_s(), flush=True)  # noqa: T201  # the parent reads it
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_S)
    os._exit(1)
