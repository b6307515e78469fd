"""What one supervised component is: the program, how it is watched, when it is ready, how it is stopped."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from healthmon.agent.readiness import Check, Lasting
from healthmon.errors import ConfigurationError

AGENT: Final = "agent"
STOP_TIMEOUT_S: Final = 10.0  # as container runtimes wait between asking and killing


@dataclass(frozen=True)
class Plan:
    """Everything that `healthmon run` is told. Durations in seconds.

    `policy`: the parts to register, as a policy's JSON has them; `restart` with method agent is added. `known_url`: the
    URL that the child is told, "" where nobody set one. `own_heartbeats`: the child sends them itself. `restarted`:
    False when nobody will restart it, so that its end is ours. `reporting`: False sends nothing at all.
    `hangup_stops`: a closed terminal means to end.
    """

    component_id: str
    command: tuple[str, ...]
    redis_url: str
    prefix: str
    interval_s: float
    role: str | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)
    check: Check = field(default_factory=Lasting)
    ready_timeout_s: float = 120.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = STOP_TIMEOUT_S
    journal: Path | None = None
    known_url: str = ""
    own_heartbeats: bool = False
    restarted: bool = True
    reporting: bool = True
    hangup_stops: bool = False
    name: str = field(default_factory=lambda: f"agent-{socket.gethostname()}-{os.getpid()}"[:128])

    def environment(self, incarnation: str) -> dict[str, str]:
        """The child's: ours, and what makes its own helper the same component and incarnation."""
        added = {"HEALTH_COMPONENT_ID": self.component_id, "HEALTH_INCARNATION": incarnation}
        if self.known_url:
            added |= {"HEALTH_REDIS_URL": self.known_url, "HEALTH_PREFIX": self.prefix}
        return {**os.environ, **added}


def signal_named(text: str) -> signal.Signals:
    """The signal of a name, with or without SIG, or of a number. Raises ConfigurationError."""
    name = text.strip().upper()
    try:
        return signal.Signals(int(name)) if name.isdigit() else signal.Signals[f"SIG{name.removeprefix('SIG')}"]
    except (ValueError, KeyError):
        raise ConfigurationError(f"{text!r:.50} is no signal: give a name such as TERM, INT or QUIT") from None
