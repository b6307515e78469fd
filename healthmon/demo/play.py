"""Who plays in the demo, and what befalls whom when: a fixed timetable without an end, the same in every run.

The first two minutes have a scene every ten seconds, so that whoever watches sees everything; then one comes every
SCENE_EVERY_S. Nobody ceases to be healthy three times in ten minutes, which would be flapping, but the one that is
meant to show it. VIEWERS is left alone: it is for whoever watches to kill. Never do more than three of the twelve fall
silent within one heartbeat_timeout, so that the demo never looks like a mass failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import count
from typing import Any, Final, Literal

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
VIEWERS: Final = "worker-1"
FLAPPER: Final = "cache"
DEPENDS_ON: Final[Mapping[str, tuple[str, ...]]] = {"reactor_core": ("j_prime",)}
# The demo's thresholds, seconds: the specification's ratios, with every stage within ten seconds.
THRESHOLDS: Final[Mapping[str, float]] = {"heartbeat_timeout": 2.0, "degraded_threshold": 4.0, "dead_threshold": 6.0}
STARTUP_S: Final = 10.0
# Attempts after 1, 2 and 4 s: a crash loop gives up within a quarter of a minute.
RESTART: Final[Mapping[str, Any]] = {"method": "agent", "max_retries": 3, "base_delay": 1.0, "timeout": 15.0}
BREAKER: Final[Mapping[str, Any]] = {"failure_threshold": 5, "recovery_timeout": 4.0}

Kind = Literal["mood", "stall", "kill", "crash", "restart"]


@dataclass(frozen=True, slots=True)
class Act:
    """What befalls a component. `line`: for people. `lasts_s`: until it is well, or can be started again.

    `mood`: it goes on and says `status`, `msg` and `metrics`. `stall`: it hangs. `kill`: its process is killed.
    `crash`: it fails by an error, `msg`, and so does each start of it. `restart`: its restart is ordered, for `msg`.
    """

    kind: Kind
    lasts_s: float
    line: str
    status: str = "ok"
    msg: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def silent(self) -> bool:
        """Whether nothing is heard of it for a while though somebody waits for it."""
        return self.kind != "mood"


SLOW: Final = Act("mood", 6.0, "the demo slows it down for 6 s", metrics={"latency_ms": 450})
FULL: Final = Act("mood", 6.0, "the demo fills its queue for 6 s", status="degraded", msg="900 jobs wait")
ERRORS: Final = Act("mood", 5.0, "the demo has its requests fail for 5 s", metrics={"error_rate": 4.0})
FAILING: Final = Act("mood", 6.0, "the demo takes away its database for 6 s", status="failing", msg="no database")
STALL: Final = Act("stall", 5.0, "the demo hangs it for 5 s")
HANG: Final = Act("stall", 30.0, "the demo hangs it for 30 s: nobody waits as long")
KILL: Final = Act("kill", 0.0, "the demo kills it (kill -9)")
CRASH: Final = Act("crash", 45.0, "the demo takes away its disk for 45 s", msg="no disk")
ORDERED: Final = Act("restart", 0.0, "the demo orders a restart", msg="a new version")
ACTS: Final = (SLOW, KILL, STALL, CRASH, FULL, HANG, FAILING, ORDERED, ERRORS)


@dataclass(frozen=True, slots=True)
class Scene:
    """`at_s`: seconds from the beginning of the play."""

    at_s: float
    who: str
    act: Act


OPENING: Final = (
    Scene(0, "j_prime", SLOW),
    Scene(3, "worker-2", KILL),
    Scene(13, FLAPPER, ERRORS),
    Scene(20, "search", CRASH),
    Scene(37, FLAPPER, ERRORS),
    Scene(45, "billing", FAILING),
    Scene(57, "api-1", STALL),
    Scene(66, FLAPPER, ERRORS),
    Scene(75, "mailer", ORDERED),
    Scene(85, "j_prime", KILL),
    Scene(85, "reactor_core", KILL),
    Scene(97, "worker-3", FULL),
    Scene(107, "api-2", HANG),
)
STEADY_FROM_S: Final = 160.0
SCENE_EVERY_S: Final = 50.0
# In the order in which the opening leaves them; as many as share no divisor with the acts, so that all meet all.
STEADY: Final = (
    "worker-2",
    "search",
    "billing",
    "api-1",
    "mailer",
    "worker-3",
    "api-2",
    "reactor_core",
    "jarvis_body",
    "j_prime",
)
FLAPS_EVERY_S: Final = 1200.0


def play() -> Iterator[Scene]:
    """Every scene in its order, for ever."""
    yield from OPENING
    yield from merge(_steady(), _flaps(), key=lambda scene: scene.at_s)


def _steady() -> Iterator[Scene]:
    for n in count():
        yield Scene(STEADY_FROM_S + n * SCENE_EVERY_S, STEADY[n % len(STEADY)], ACTS[n % len(ACTS)])


def _flaps() -> Iterator[Scene]:
    flaps = [scene for scene in OPENING if scene.who == FLAPPER]
    for n in count(1):
        for scene in flaps:
            yield Scene(scene.at_s + n * FLAPS_EVERY_S, scene.who, scene.act)
