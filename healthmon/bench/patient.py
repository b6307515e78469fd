"""`python -m healthmon.bench.patient`: a component of the campaign, which `healthmon run` starts and restarts.

It sends its own heartbeats four times a second. SIGUSR1 makes it slow until SIGUSR2; what else befalls it, it does not
notice.
"""

from __future__ import annotations

import signal
import threading
from typing import Final

from healthmon.agent.helper import HeartbeatHelper

INTERVAL_S: Final = 0.25
# Well and slow; the latter is the specification's own example of a degraded component.
LATENCY_MS: Final = (12.0, 450.0)


def main() -> None:
    """Run until SIGTERM. Who and where it is stands in the environment, as `healthmon run` has put it."""
    slow, over = threading.Event(), threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: slow.set())
    signal.signal(signal.SIGUSR2, lambda *_: slow.clear())
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with HeartbeatHelper(heartbeat_interval=INTERVAL_S, metrics=False) as helper:
        while not over.wait(INTERVAL_S):
            helper.send({"latency_ms": LATENCY_MS[slow.is_set()]})


if __name__ == "__main__":
    main()
