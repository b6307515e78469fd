"""From a record and a moment to the events that must be committed, and the next moment at which to look again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from healthmon.core.component import WORSE, Component, HealthState, Status, legal
from healthmon.core.event import Event, EventType
from healthmon.core.policy import NEVER_MS
from healthmon.core.rules import Moment, Verdict, judge

if TYPE_CHECKING:
    from healthmon.core.policy import Defaults, Policy

FIRING: Final = frozenset(
    (HealthState.DEGRADED, HealthState.UNHEALTHY, HealthState.DEAD, HealthState.PERMANENTLY_FAILED),
)


def decide(component: Component, moment: Moment, defaults: Defaults) -> tuple[Event, ...]:
    """The events that the record calls for at this moment, in order, with their revs; empty: nothing to commit.

    A component that was heard from after the moment is judged at a later one: no verdict rests on what was not yet so.
    """
    events: list[Event] = []
    if component.rev == 0:
        events.append(registered(component))
    if component.last_heartbeat_ms > moment.now_ms:
        return tuple(events)
    if component.respawn_count > component.respawns_told:
        events.append(_respawned(component, moment, component.rev + len(events) + 1))
    verdict = judge(component, moment)
    if verdict.state is not component.state and legal(component.state, verdict.state):
        events.append(_transition(component, verdict, moment, component.rev + len(events) + 1))
    elif not events and _aged(component, moment, defaults):
        events.append(_forgotten(component, moment))
    return tuple(events)


def registered(component: Component, cause: str = "", policy: Policy | None = None, reason: str = "") -> Event:
    """The event that makes a component known; by its first heartbeat unless a command is the cause."""
    given = {"policy": policy.to_json(), "declared": True} if policy is not None else {}
    role = (policy or component.policy).role or component.beat_role
    return Event(
        EventType.REGISTERED,
        component.id,
        rev=component.rev + 1,
        born_ms=component.born_ms,
        at_ms=component.born_ms,
        reason=reason or ("registered" if cause else "registered by its first heartbeat"),
        cause=cause,
        set={**given, **({"role": role} if role else {})},
    )


def look_at_ms(component: Component, moment: Moment, defaults: Defaults) -> int:
    """The earliest later moment at which time alone could change the verdict. Right after `decide` was applied."""
    now_ms = moment.now_ms
    if component.last_heartbeat_ms > now_ms:
        return component.last_heartbeat_ms
    times = [_silence_ms(component, moment), _ageing_ms(component, defaults)]
    if component.status is Status.STARTING:
        times.append(component.starting_ms + component.limits.startup_ms)
    times += [at_ms + component.limits.reset_after_ms for at_ms in component.respawns]
    return min((time for time in times if time > now_ms), default=NEVER_MS)


def _silence_ms(component: Component, moment: Moment) -> int:
    if component.silence_rests:
        return NEVER_MS
    limits, stage = component.limits, WORSE[component.state]
    if stage == 3:
        return NEVER_MS
    next_ms = (limits.timeout_ms, limits.degraded_ms, limits.dead_ms)[stage]
    deadline_ms = moment.blindness.deadline_ms(component.proof_ms, next_ms)
    if stage == 2:
        deadline_ms = max(deadline_ms, moment.observing_ms + limits.timeout_ms, moment.recovering_until_ms)
    return max(deadline_ms, moment.now_ms + 1)


def _ageing_ms(component: Component, defaults: Defaults) -> int:
    if component.declared or component.rev == 0:
        return NEVER_MS
    if component.state is HealthState.UNKNOWN:
        return component.since_ms + defaults.forget_after_unknown_ms
    if component.state in (HealthState.DEAD, HealthState.PERMANENTLY_FAILED):
        return component.since_ms + defaults.forget_after_ms
    return NEVER_MS


def _aged(component: Component, moment: Moment, defaults: Defaults) -> bool:
    return moment.now_ms >= _ageing_ms(component, defaults)


def _forgotten(component: Component, moment: Moment) -> Event:
    gone_s = (moment.now_ms - component.since_ms) / 1000
    return Event(
        EventType.FORGOTTEN,
        component.id,
        rev=component.rev + 1,
        born_ms=component.born_ms,
        at_ms=moment.now_ms,
        reason=f"{component.state} for {gone_s:.0f} s, and it had registered itself",
        rule="ageing",
    )


def make_room(component: Component, moment: Moment) -> Event:
    """Forget the longest gone when the table is full: a new component is worth more than a trace of an old one."""
    gone_s = (moment.now_ms - component.since_ms) / 1000
    return Event(
        EventType.FORGOTTEN,
        component.id,
        rev=component.rev + 1,
        born_ms=component.born_ms,
        at_ms=moment.now_ms,
        reason=f"{component.state} for {gone_s:.0f} s, and its place was needed (max_components)",
        rule="room",
    )


def _respawned(component: Component, moment: Moment, rev: int) -> Event:
    return Event(
        EventType.RESTART,
        component.id,
        rev=rev,
        born_ms=component.born_ms,
        at_ms=moment.now_ms,
        reason="it restarted by itself",
        rule="incarnation",
        set={"respawns_told": component.respawn_count},
    )


def _transition(component: Component, verdict: Verdict, moment: Moment, rev: int) -> Event:
    changes: dict[str, object] = {}
    if verdict.state in FIRING and not component.incident:
        changes["incident"] = f"{component.id}@{moment.now_ms}"
    elif verdict.state in (HealthState.HEALTHY, HealthState.UNKNOWN) and component.incident:
        changes["incident"] = ""
    role = component.policy.role or component.beat_role
    if role != component.role:
        changes["role"] = role
    return Event(
        EventType.TRANSITION,
        component.id,
        rev=rev,
        born_ms=component.born_ms,
        at_ms=moment.now_ms,
        reason=_bounded(verdict.reason),
        rule=verdict.rule,
        source=component.state.value,
        target=verdict.state.value,
        set=changes,
    )


def _bounded(reason: str, most: int = 120) -> str:
    return reason if len(reason) <= most else reason[: most - 1] + "…"


def shown_score(component: Component, silent_scores: tuple[float, ...]) -> float:
    """The score for people and programs: a silent component may not look well because its last words were."""
    stage = WORSE[component.state] if component.rule == "silence" else 0
    return math.floor(min(component.score, silent_scores[stage]) * 100 + 0.5) / 100
