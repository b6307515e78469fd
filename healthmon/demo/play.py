"""Who plays in the demo, and what befalls whom when: a fixed timetable without an end, the same in every run.

Scenes begin SCENE_EVERY_S apart, and each silence is over within 9 s: never do more than two of the twelve fall silent
within one heartbeat_timeout, so that the demo never looks like a mass failure. The acts take turns faster than the
components, so that everybody meets every act, and nobody crashes more than twice in ten minutes, which would be a
crash loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal

SCENE_EVERY_S: Final = 5.0
INTERVAL_S: Final = 0.5  # between two heartbeats of a component
# id -> role. The first three are the specification's own.
CAST: Final[Mapping[str, str]] = {
    "j_prime": "jarvis_prime",
    "jarvis_body": "jarvis_body",
    "reactor_core": "reactor_core",
    "api-1": "api",
    "api-2": "api",
    "worker-1": "batch",
    "worker-2": "batch",
    "worker-3": "batch",
    "search": "search",
    "billing": "billing",
    "mailer": "mail",
    "cache": "cache",
}
# The demo's thresholds, seconds: the specification's ratios, with every stage within ten seconds.
THRESHOLDS: Final[Mapping[str, float]] = {"heartbeat_timeout": 2.0, "degraded_threshold": 4.0, "dead_threshold": 6.0}

Kind = Literal["mood", "stall", "kill", "leave"]


@dataclass(frozen=True, slots=True)
class Act:
    """What befalls a component. `line`: for people. `lasts_s`: until it is well, or is started again.

    `mood`: it goes on and says `status`, `msg` and `metrics`. `stall`: it hangs. `kill`: its process is killed.
    `leave`: its process is asked to end, and says goodbye.
    """

    kind: Kind
    lasts_s: float
    line: str
    status: str = "ok"
    msg: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def silent_s(self) -> float:
        """How long nothing is heard of it though somebody waits for it; a goodbye is no such silence."""
        return self.lasts_s if self.kind in ("stall", "kill") else 0.0


ACTS: Final = (
    Act("mood", 6.0, "the demo slows it down for 6 s", metrics={"latency_ms": 450}),
    Act("stall", 5.0, "the demo hangs it for 5 s"),
    Act("kill", 8.0, "the demo kills it (kill -9), to start it again in 8 s"),
    Act("leave", 6.0, "the demo stops it (SIGTERM), to start it again in 6 s"),
    Act("mood", 6.0, "the demo fills its queue for 6 s", status="degraded", msg="900 jobs wait"),
    Act("mood", 6.0, "the demo has half of its requests fail for 6 s", metrics={"error_rate": 12.0}),
    Act("stall", 3.0, "the demo hangs it for 3 s"),
)
# Neither shares a divisor with the other: every component comes before any comes twice, each time with another act.
_STRIDE: Final = 5


@dataclass(frozen=True, slots=True)
class Scene:
    """`at_s`: seconds from the beginning of the play."""

    at_s: float
    who: str
    act: Act


def play() -> Iterator[Scene]:
    """Every scene in its order, for ever."""
    cast = tuple(CAST)
    for n in count():
        yield Scene(n * SCENE_EVERY_S, cast[n * _STRIDE % len(cast)], ACTS[n % len(ACTS)])
