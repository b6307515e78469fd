"""What one heartbeat changes in a record. Every entry is folded by itself, so that slicing changes nothing.

Only evidence is touched here: what a heartbeat proves. What follows from it is decided in `healthmon.core.decide`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from healthmon.core.component import Component, HealthState, Status, shared
from healthmon.core.score import band_of, score_of

if TYPE_CHECKING:
    from healthmon.core.heartbeat import Heartbeat
    from healthmon.core.policy import Defaults

# Enough times to recognise a crash loop; older ones say nothing that a rule asks for.
RESPAWNS_KEPT: Final = 16
CHANGES_KEPT: Final = 8


def missed_in(gap_ms: int, blind_ms: int, interval_ms: int) -> int:
    """How many heartbeats a gap swallowed: those that were due in it and not sent. Blind time is taken out."""
    if not interval_ms:
        return 0
    return max(0, round((gap_ms - blind_ms) / interval_ms) - 1)


def fold_heartbeat(component: Component, beat: Heartbeat, arrival_ms: int, blind_ms: int, defaults: Defaults) -> None:
    """Fold one heartbeat that arrived at `arrival_ms`; `blind_ms` of the gap before it were blind."""
    _fold_incarnation(component, beat, arrival_ms, blind_ms)
    _fold_identity(component, beat, defaults, arrival_ms)
    _fold_status(component, beat, arrival_ms)
    if beat.metrics:
        fold_metrics(component, _with_measured(component, beat.metrics), arrival_ms)
    elif component.metric_names and arrival_ms - component.metrics_ms >= component.limits.timeout_ms:
        _drop_metrics(component)
    if not component.alive_since_ms:
        component.alive_since_ms = arrival_ms
    if beat.sent_ms:
        component.skew_ms = beat.sent_ms - arrival_ms
    component.last_heartbeat_ms = max(arrival_ms, component.last_heartbeat_ms)
    component.total_heartbeats += 1


def fold_metrics(component: Component, metrics: dict[str, float], arrival_ms: int) -> None:
    """Score the metrics. A bad score counts at once; it clears after `recovery_heartbeats` good ones."""
    component.metrics = metrics
    component.metrics_ms = arrival_ms
    component.score, component.worst_metric = score_of(metrics, component.limits.rows)
    band = band_of(component.score)
    if band >= component.band:
        component.band, component.good_streak = band, 0
        return
    component.good_streak += 1
    if component.good_streak >= component.limits.recovery_heartbeats:
        component.band, component.good_streak = band, 0


def _with_measured(component: Component, said: dict[str, float]) -> dict[str, float]:
    """What it says, and beside it the latency that probes measure, unless it reports its own."""
    component.probed_latency &= "latency_ms" not in said and component.limits.probe is not None
    return {**said, "latency_ms": component.metrics["latency_ms"]} if component.probed_latency else said


def _drop_metrics(component: Component) -> None:
    component.metrics, component.metrics_ms = {}, 0
    component.score, component.worst_metric = 1.0, ""
    component.band, component.good_streak = 0, 0
    component.probed_latency = False


def _fold_incarnation(component: Component, beat: Heartbeat, arrival_ms: int, blind_ms: int) -> None:
    """A new incarnation is a restart, ours or its own; without a goodbye before it, one to be told of."""
    respawned = bool(beat.incarnation) and beat.incarnation != component.incarnation
    if respawned and component.incarnation:
        component.restart_count += 1
        if component.status is not Status.STOPPING:
            component.respawn_count += 1
            component.respawns = (*component.respawns, arrival_ms)[-RESPAWNS_KEPT:]
    if respawned:
        component.alive_since_ms = arrival_ms
        if component.incarnation:
            _note(component, arrival_ms, f"another incarnation: {component.incarnation} -> {beat.incarnation}")
        component.incarnation = beat.incarnation
    elif component.last_heartbeat_ms:
        gap_ms = arrival_ms - component.last_heartbeat_ms
        component.missed_heartbeats += missed_in(gap_ms, blind_ms, component.expected_interval_ms)


def _note(component: Component, at_ms: int, what: str) -> None:
    """Keep what changed: it may be the cause of a failure soon after."""
    component.changes = (*component.changes, f"{at_ms} {what}")[-CHANGES_KEPT:]


def _fold_identity(component: Component, beat: Heartbeat, defaults: Defaults, arrival_ms: int) -> None:
    if beat.version and component.version and beat.version != component.version:
        _note(component, arrival_ms, f"version {component.version} -> {beat.version}")
    if beat.host and component.host and beat.host != component.host:
        _note(component, arrival_ms, f"host {component.host} -> {beat.host}")
    component.host = beat.host or component.host
    component.pid = beat.pid or component.pid
    component.version = beat.version or component.version
    component.beat_role = beat.role or component.beat_role
    if beat.interval_ms and beat.interval_ms != component.interval_ms:
        component.interval_ms = shared(beat.interval_ms)
        component.limits = component.policy.limits(defaults, beat.interval_ms)


def _fold_status(component: Component, beat: Heartbeat, arrival_ms: int) -> None:
    if beat.status is not Status.STARTING:
        component.starting_ms = 0
    elif component.status is not Status.STARTING or not component.starting_ms:
        component.starting_ms = arrival_ms
    failures = component.failures
    if beat.status is not Status.OK and component.status is Status.OK and component.last_heartbeat_ms:
        failures = component.failures = replace(failures, ok_ms=component.last_heartbeat_ms)
    component.status = beat.status
    component.msg = beat.msg
    if beat.status is Status.OK:
        if failures.words or failures.recorded:
            component.failures = replace(failures, words=0, recorded=0)
        return
    component.unwell_heartbeats += 1
    if beat.status is Status.FAILING:
        component.failures = replace(
            failures,
            words=failures.words + 1,
            total=failures.total + 1,
            source="words",
            detail=f"it says failing: {beat.msg}" if beat.msg else "it says failing",
            at_ms=arrival_ms,
        )


def settled(component: Component) -> bool:
    """Whether folding the last heartbeat again could change nothing but the clock and the count."""
    return (
        component.state is HealthState.HEALTHY
        and component.status is Status.OK
        and component.band == 0
        and component.good_streak == 0
        and (not component.differs or component.respawn_count == component.respawns_told)
        and component.rev > 0
        and component.breaker.state == "closed"
        and not (component.failures.words or component.failures.recorded or component.restart.awaiting_ms)
    )
