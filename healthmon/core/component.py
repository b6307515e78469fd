"""What is known of one component: its states, the legal edges between them, and its record.

A record has two halves. *Evidence* is folded from heartbeats, by every replica alike. *Decided* fields change only by
a committed event (`healthmon.core.event`), so that a follower at the tail of the events equals the stored hash.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from healthmon.core.attempts import NO_ATTEMPTS, Attempts
from healthmon.core.circuit import CLOSED, Breaker
from healthmon.core.failures import NO_FAILURES, NO_PROBES, Failures, Probes
from healthmon.core.policy import Limits, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class HealthState(StrEnum):
    """The stages a component degrades by. A component is never called dead at the first missed heartbeat."""

    UNKNOWN = "unknown"
    INITIALIZING = "initializing"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    DEAD = "dead"
    RESTARTING = "restarting"
    PERMANENTLY_FAILED = "permanently_failed"


class Status(StrEnum):
    """What a component says of itself in a heartbeat."""

    OK = "ok"
    STARTING = "starting"
    DEGRADED = "degraded"
    FAILING = "failing"
    STOPPING = "stopping"


def _edges(text: str) -> Mapping[HealthState, frozenset[HealthState]]:
    table = {}
    for line in text.strip().splitlines():
        source, targets = line.split("->")
        table[HealthState(source.strip())] = frozenset(HealthState(target) for target in targets.split())
    return table


# No other edge is ever committed; commits are checked against this table by `legal`.
LEGAL_EDGES: Final = _edges("""
    unknown            -> initializing healthy degraded unhealthy restarting
    initializing       -> healthy degraded unhealthy dead unknown restarting
    healthy            -> degraded unhealthy initializing unknown restarting
    degraded           -> healthy unhealthy initializing unknown restarting
    unhealthy          -> healthy degraded dead initializing unknown restarting
    dead               -> restarting initializing healthy degraded unhealthy permanently_failed unknown
    restarting         -> initializing healthy degraded unhealthy dead
    permanently_failed -> restarting initializing healthy degraded unhealthy unknown
""")

# How bad a state is when several rules speak at once: the worst wins.
WORSE: Final = {
    HealthState.HEALTHY: 0,
    HealthState.UNKNOWN: 0,
    HealthState.INITIALIZING: 0,
    HealthState.RESTARTING: 0,
    HealthState.DEGRADED: 1,
    HealthState.UNHEALTHY: 2,
    HealthState.DEAD: 3,
    HealthState.PERMANENTLY_FAILED: 3,
}


T = TypeVar("T")
V = TypeVar("V", bound=Hashable)
NOTHING: Final[Mapping[str, Any]] = {}  # shared, so never written to


@lru_cache(maxsize=4096)
def shared(value: V) -> V:
    """What many components have in common, kept once."""
    return value


# The rules that tell of silence.
SILENCE: Final = ("silence", "not_observable")


def legal(source: HealthState, target: HealthState) -> bool:
    """Whether a transition may be committed."""
    return target in LEGAL_EDGES[source]


class Layout(Protocol):
    """Where the metrics stand in entries, while nothing else of them changes. Components of a kind share one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, in their order."""

    @property
    def place(self) -> int:
        """From where on the fields may differ."""

    def values(self, fields: list[bytes], known: list[bytes]) -> tuple[float, ...] | None:
        """The metrics' values, of any number, or None when more than they differs from the known entry."""


def _nothing() -> Mapping[str, Any]:
    return NOTHING


class Seldom(Generic[T]):
    """A field that most components have as it was at first. It takes memory only where it differs."""

    def __init__(self, first: T) -> None:
        self._first = first
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: Record | None, owner: type | None = None) -> T:
        kept: T = self._first if record is None else record.differs.get(self._name, self._first)
        return kept

    def __set__(self, record: Record, value: T) -> None:
        """Records share what differs with their copies, so it is never changed in place."""
        if value == self._first:
            if self._name in record.differs:
                record.differs = {name: one for name, one in record.differs.items() if name != self._name} or NOTHING
        else:
            record.differs = {**record.differs, self._name: value}


@dataclass(slots=True)
class Record:
    """What a record holds for itself. `differs`: the fields of `Component` that are not as they were at first."""

    id: str
    born_ms: int
    policy: Policy
    limits: Limits
    declared: bool = False

    # Decided: changed by events only.
    state: HealthState = HealthState.UNKNOWN
    since_ms: int = 0
    reason: str = "not heard from yet"
    rule: str = ""
    previous: str = ""
    rev: int = 0
    epoch: int = 0
    role: str = ""
    control_folded: str = ""
    breaker: Breaker = CLOSED
    restart: Attempts = NO_ATTEMPTS
    failure: Mapping[str, Any] = field(default_factory=_nothing)

    # Evidence: folded from heartbeats.
    last_heartbeat_ms: int = 0
    total_heartbeats: int = 0
    missed_heartbeats: int = 0
    era: int = 0
    last_id: bytes = b""
    status: Status = Status.OK
    msg: str = ""
    interval_ms: int = 0
    host: str = ""
    pid: str = ""
    version: str = ""
    incarnation: str = ""
    beat_role: str = ""
    skew_ms: int = 0
    metric_names: tuple[str, ...] = ()
    metric_values: bytes = b""
    metrics_ms: int = 0
    score: float = 1.0
    worst_metric: str = ""
    band: int = 0
    good_streak: int = 0
    alive_since_ms: int = 0

    # Evidence: folded from the control stream, through `reports_folded`.
    failures: Failures = NO_FAILURES
    probes: Probes = NO_PROBES

    # Not stored: what makes the next fold of the same bytes cheap, and when to look next (`healthmon.core.table`).
    raw_id: bytes = b""
    repeat: list[bytes] | None = None
    layout: Layout | None = None
    bounds: tuple[tuple[float, float], ...] = ()
    values: tuple[float, ...] | None = None
    repeats: int = 0
    late_ms: int = 0
    late_after_ms: int = 0
    look_at_ms: int = 0

    differs: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass
class Component(Record):
    """One component's record. Times are milliseconds of the Redis clock; 0 means never."""

    __slots__ = ()

    # Decided: changed by events only.
    incident: Seldom[str] = Seldom("")
    respawns_told: Seldom[int] = Seldom(0)
    held: Seldom[str] = Seldom("")
    silenced_until_ms: Seldom[int] = Seldom(0)
    silenced_by: Seldom[str] = Seldom("")
    silenced_reason: Seldom[str] = Seldom("")
    acknowledged_by: Seldom[str] = Seldom("")
    watch_ms: Seldom[int] = Seldom(0)
    silent_ms: Seldom[int] = Seldom(0)
    flapping: Seldom[int] = Seldom(0)
    turns: Seldom[tuple[int, ...]] = Seldom(())
    down: Seldom[tuple[str, ...]] = Seldom(())
    acts: Seldom[tuple[str, ...]] = Seldom(())

    # Evidence: folded from heartbeats.
    refused_heartbeats: Seldom[int] = Seldom(0)
    starting_ms: Seldom[int] = Seldom(0)
    respawns: Seldom[tuple[int, ...]] = Seldom(())
    respawn_count: Seldom[int] = Seldom(0)
    restart_count: Seldom[int] = Seldom(0)
    unwell_heartbeats: Seldom[int] = Seldom(0)
    changes: Seldom[tuple[str, ...]] = Seldom(())
    probed_latency: Seldom[bool] = Seldom(False)

    # Evidence: folded from the control stream.
    reports_folded: Seldom[str] = Seldom("")

    def __copy__(self) -> Component:
        """A record of its own. Every commit copies some: this is a quarter of what `copy` takes by itself."""
        made = Component.__new__(Component)
        Record.__init__(made, *_values_of(self))
        return made

    @property
    def metrics(self) -> dict[str, float]:
        """The last metrics, in the order in which they were said. Kept packed: a mapping takes four times as much."""
        values = struct.unpack(f"{len(self.metric_names)}d", self.metric_values)
        return dict(zip(self.metric_names, values, strict=True))

    @metrics.setter
    def metrics(self, metrics: Mapping[str, float]) -> None:
        self.keep_metrics(shared(tuple(metrics)), metrics.values())

    def keep_metrics(self, names: tuple[str, ...], values: Iterable[float]) -> None:
        """Keep the metrics under names that components of a kind share."""
        self.metric_names = names
        self.metric_values = struct.pack(f"{len(names)}d", *values)

    @property
    def silence_rests(self) -> bool:
        """After a goodbye nobody is waited for, unless it is always expected or meant to be restarted."""
        expected = self.policy.always_expected or self.policy.restarts
        return self.status is Status.STOPPING and not expected

    @property
    def waits_for_time(self) -> bool:
        """Whether time alone can change how a component that beats is judged."""
        return bool(self.restart.done or (self.differs and (self.respawns or self.flapping)))

    @property
    def expected_interval_ms(self) -> int:
        """The pace by which missed heartbeats are counted: announced, else the policy's, else 0: none are."""
        return self.interval_ms or self.policy.interval_ms

    @property
    def proof_ms(self) -> int:
        """The moment from which silence is measured: the last proof of life, or the end of the time given to start."""
        if self.heard_ms > self.watch_ms:
            return self.heard_ms
        return (self.watch_ms or self.born_ms) + self.limits.startup_ms

    @property
    def heard_ms(self) -> int:
        """The last proof of life: a heartbeat or a good probe."""
        return max(self.last_heartbeat_ms, self.probes.ok_ms)

    @property
    def answered_ms(self) -> int:
        """The last ok heartbeat or good probe: it answers what failed before."""
        ok_ms = self.last_heartbeat_ms if self.status is Status.OK else self.failures.ok_ms
        return max(ok_ms, self.probes.ok_ms)

    @property
    def good_words(self) -> int:
        """Heartbeats in all that said ok."""
        return self.total_heartbeats - self.unwell_heartbeats


_values_of: Final = attrgetter(*(one.name for one in fields(Record)))
