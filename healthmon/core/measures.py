"""What one process counts of its own work, as plain numbers: for `/metrics`, and for whoever else wants to look.

Counters only rise, from 0 at the start of the process. Nothing here is told to the other replicas: each counts what it
did itself, and Prometheus adds them up. Nothing is counted per heartbeat but by the length of what was read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from healthmon.core.component import Component, HealthState
from healthmon.core.event import Event, EventType
from healthmon.core.rules import UNTAKEN, Moment, dead_at_ms
from healthmon.errors import HealthmonError, NotPermitted, StoreUnavailable, UnfitServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from healthmon.core.heartbeat import Rejection

# The values of labels that are known in advance: their series are there, at zero, before anything has happened.
CHANNELS: Final = ("redis", "http", "websocket", "file", "beat")
FOLDERS: Final = ("watched", "standby", "absent")
ELECTIONS: Final = ("leader_gone", "no_leader")
ERROR_KINDS: Final = ("unavailable", "unfit", "not_permitted", "other")
RESTART_RESULTS: Final = ("succeeded", "failed", "untaken")
REJECTIONS: Final = (
    *("no_id", "bad_id", "not_a_map", "too_large", "dropped_metrics", "not_kept"),
    *("not_registered", "too_many_components", "too_many_new"),
)
ALERT_TYPES: Final = (*(f"component.{state}" for state in HealthState), "component.flapping", "shard.mass_failure")
DELIVERIES: Final = ("delivered", "failed", "dead")

# Upper bounds in seconds: a round takes 0.1 to 30 ms as a rule, a command on the network 0.2 to 20 ms.
ROUND_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
COMMAND_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0)
DETECTION_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
RESTART_S: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

HEARTBEATS: Final = "heartbeats"
ROLES_MAX: Final = 100
OTHER: Final = "(other)"


@dataclass(slots=True)
class Buckets:
    """A histogram: how many values were at most each bound, those beyond the last, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def quantile(self, share: float) -> float:
        """The value that this share of all does not exceed, as Prometheus estimates it; 0 before the first value."""
        wanted, below, least = share * sum(self.counts), 0, 0.0
        for most, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= wanted:
                return least + (most - least) * (wanted - below) / count
            below, least = below + count, most
        return least if below < wanted else 0.0


@dataclass(slots=True)
class Measures:
    """The counts of one process. Whoever does the work counts it; whoever shows it only reads.

    `elections`: terms won by this replica, by reason. `fenced_writes`: refused by the server because the lease was
    another's. `trimmed_unread`: how often heartbeats were gone before this replica had read them. `transitions`:
    (role, from, to). `restarts`: (role, result). `alert_deliveries`: (sink, result).
    `lag_entries`: what the stream holds beyond the last read. Durations are seconds.
    """

    rounds: Buckets = field(default_factory=lambda: Buckets(ROUND_S))
    commands: dict[str, Buckets] = field(default_factory=dict)
    detection: Buckets = field(default_factory=lambda: Buckets(DETECTION_S))
    restarting: Buckets = field(default_factory=lambda: Buckets(RESTART_S))
    elections: Counter[str] = field(default_factory=Counter)
    redis_errors: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    restarts: Counter[tuple[str, str]] = field(default_factory=Counter)
    alerts_published: Counter[str] = field(default_factory=Counter)
    alert_deliveries: Counter[tuple[str, str]] = field(default_factory=Counter)
    fenced_writes: int = 0
    trimmed_unread: int = 0
    blind_s: float = 0.0
    redis_up: bool = False
    lag_entries: int = 0
    _roles: dict[str, None] = field(default_factory=dict)

    def role_of(self, role: str) -> str:
        """The role as a label: of a hundred the own name, later ones are `(other)`, so that no fleet makes too many."""
        if role not in self._roles:
            if len(self._roles) >= ROLES_MAX:
                return OTHER
            self._roles[role] = None
        return role

    def note_command(self, name: str, took_s: float) -> None:
        """One trip to the server; the names are those of the scripts, and few."""
        if name not in self.commands:
            self.commands[name] = Buckets(COMMAND_S)
        self.commands[name].observe(took_s)

    def note_error(self, error: HealthmonError) -> None:
        """An error of the server's, where it ends; what says who leads, or what data this is, is none."""
        if isinstance(error, UnfitServer):
            self.redis_errors["unfit"] += 1
        elif isinstance(error, StoreUnavailable):
            self.redis_errors["unavailable"] += 1
        elif isinstance(error, NotPermitted):
            self.redis_errors["not_permitted"] += 1
        elif type(error) is HealthmonError:
            self.redis_errors["other"] += 1

    def note_event(self, before: Component, event: Event, moment: Moment, committed_ms: int) -> None:
        """An event that was committed at this time of the server's clock, and the record as it was before it."""
        if event.type is not EventType.TRANSITION:
            return
        role = self.role_of(str(event.set.get("role", before.role)))
        self.transitions[role, event.source, event.target] += 1
        if event.rule == "silence":
            self.detection.observe(max(0, committed_ms - due_ms(before, HealthState(event.target), moment)) / 1000)
        result = ended_restart(before, event)
        if result:
            self.restarts[role, result] += 1
        if result == "succeeded":
            claimed_ms = before.restart.deadline_ms - before.limits.restart.timeout_ms
            self.restarting.observe(max(0, event.at_ms - claimed_ms) / 1000)

    def note_batch(self, rejected: Iterable[Rejection], not_kept: int, stretches: Iterable[tuple[int, int]]) -> None:
        """What one commit stored beside events: refused heartbeats, and blind stretches."""
        self.rejected.update(one.reason for one in rejected if one.channel == HEARTBEATS)
        self.rejected["not_kept"] += not_kept
        self.blind_s += sum(to_ms - from_ms for from_ms, to_ms in stretches) / 1000

    def note_alerts(self, event: Event, alert: str) -> None:
        """An alert that was published with its event; "" for none."""
        if alert:
            kind = f"component.{event.target or event.type.value}" if event.id else f"shard.{event.rule}"
            self.alerts_published[kind] += 1


def due_ms(before: Component, target: HealthState, moment: Moment) -> int:
    """When silence was to make this of the component, by the thresholds and less blind time."""
    if target is HealthState.DEAD:
        return dead_at_ms(before, moment)
    limits = before.limits
    silence_ms = limits.timeout_ms if target is HealthState.DEGRADED else limits.degraded_ms
    return moment.blindness.deadline_ms(before.proof_ms, silence_ms)


def ended_restart(before: Component, event: Event) -> str:
    """How a restart attempt ended by this transition, "" when none did: what reported success is still to be heard."""
    restart, said = before.restart, event.set.get("restart", {})
    was = restart.rev or restart.awaiting_ms
    if not was or said.get("rev", restart.rev) or said.get("awaiting_ms", restart.awaiting_ms):
        return ""
    if event.target == HealthState.DEAD.value:
        return "untaken" if event.rule == UNTAKEN else "failed"
    return "succeeded"
