"""From a record and a moment to the events that must be committed, and the next moment at which to look again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.breaker import next_turn_ms, turn
from healthmon.core.component import WORSE, Component, HealthState, Status, legal
from healthmon.core.death import context, gives_up, schedule
from healthmon.core.draft import Draft
from healthmon.core.event import Event, EventType
from healthmon.core.flapping import WITHIN_MS, change_in, held_until_ms, next_change_ms, turns_within
from healthmon.core.policy import NEVER_MS
from healthmon.core.rules import (
    UNTAKEN,
    Moment,
    Verdict,
    dead_at_ms,
    is_awaited,
    judge,
    report_until_ms,
    started_until_ms,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.core.policy import Defaults, Policy

FIRING: Final = frozenset(
    (HealthState.DEGRADED, HealthState.UNHEALTHY, HealthState.DEAD, HealthState.PERMANENTLY_FAILED),
)


RESTART: Final = "restart"  # the rule of what attempts themselves do
AGENT: Final = "agent"
_GONE: Final = WORSE[HealthState.DEAD]
_WELL: Final = frozenset((HealthState.HEALTHY, HealthState.UNKNOWN))


def decide(component: Component, moment: Moment, defaults: Defaults) -> tuple[Event, ...]:
    """The events that the record calls for at this moment, in order, with their revs; empty: nothing to commit.

    A component that was heard from after the moment is judged at a later one: no verdict rests on what was not yet so.
    """
    draft = Draft(component, moment.now_ms, defaults)
    if component.rev == 0:
        draft.add(registered(component))
    if component.last_heartbeat_ms > moment.now_ms:
        return draft.done()
    _tell_respawns(draft)
    _turn_breaker(draft, moment)
    _judge(draft, moment)
    _tell_flapping(draft, moment)
    _reset_attempts(draft, moment)
    if not draft.events and _aged(component, moment, defaults):
        draft.add(_forgotten(component, moment))
    return draft.done()


def _tell_respawns(draft: Draft) -> None:
    record = draft.record
    if record.respawn_count > record.respawns_told:
        ours = record.restart.rev or record.restart.awaiting_ms
        reason = f"restarted by attempt {record.restart.done}" if ours else "it restarted by itself"
        draft.say(EventType.RESTART, reason, "incarnation", respawns_told=record.respawn_count)


def _turn_breaker(draft: Draft, moment: Moment) -> None:
    turned = turn(draft.record, moment.now_ms)
    if turned is not None:
        draft.say(EventType.BREAKER, turned.reason, turned.breaker.state, breaker=turned.fields)


def _judge(draft: Draft, moment: Moment) -> None:
    """The transition that the rules ask for, and giving up at once where no attempt is left."""
    record = draft.record
    verdict = judge(record, moment)
    if verdict.state is record.state or not legal(record.state, verdict.state):
        return
    if verdict.state is HealthState.DEAD:
        die(draft, verdict.rule, verdict.reason)
    elif moment.now_ms >= held_until_ms(record):
        draft.move(verdict.state, verdict.reason, verdict.rule, **_changes(record, verdict, draft.at_ms))


def die(draft: Draft, rule: str, reason: str, exited: Mapping[str, Any] | None = None) -> None:
    """Move to dead, over unhealthy where that is the only way, with what follows: the next attempt, or giving up."""
    if not legal(draft.record.state, HealthState.DEAD):
        verdict = Verdict(HealthState.UNHEALTHY, rule, reason)
        draft.move(verdict.state, reason, rule, **_changes(draft.record, verdict, draft.at_ms))
    record = draft.record
    done = (
        max(0, record.restart.done - 1) if rule == UNTAKEN and record.restart.runner == AGENT else record.restart.done
    )
    changes = _changes(record, Verdict(HealthState.DEAD, rule, reason), draft.at_ms)
    restart = schedule(record, draft.at_ms, record.rev + 1, done)
    restart["exited"] = (exited or {}).get("incarnation") or record.restart.exited
    restart = {name: value for name, value in restart.items() if value != getattr(record.restart, name)}
    changes["failure"] = context(record, draft.at_ms, exited)
    changes.pop("restart", None)
    draft.move(HealthState.DEAD, reason, rule, **changes, **({"restart": restart} if restart else {}))
    if gives_up(draft.record, done):
        what = f"gave up after {done} of {record.limits.restart.max_retries} restarts: {reason}"
        draft.move(HealthState.PERMANENTLY_FAILED, what, "gave_up")


def _tell_flapping(draft: Draft, moment: Moment) -> None:
    record = draft.record
    change = change_in(record, moment.now_ms)
    if change == "ends":
        closed = {"incident": ""} if record.state in _WELL else {}
        draft.say(EventType.FLAPPING, f"no longer flapping: {record.state}", "ends", flapping=0, **closed)
    elif change:
        count = turns_within(record, moment.now_ms)
        opened = {} if record.incident else {"incident": f"{record.id}@{draft.at_ms}"}
        reason = f"flapping: {count} times no longer healthy in {WITHIN_MS // 60_000} minutes"
        draft.say(EventType.FLAPPING, reason, change, flapping=draft.at_ms, **opened)


def _reset_attempts(draft: Draft, moment: Moment) -> None:
    record = draft.record
    if record.restart.done and moment.now_ms >= _reset_ms(record):
        reason = f"healthy for {record.limits.reset_after_ms / 1000:g} s: restart attempts count from 0 again"
        draft.say(EventType.RESTART, reason, "reset", restart={"done": 0})


def _reset_ms(record: Component) -> int:
    """When attempts count anew; never while it is not healthy [kubelet; systemd #43813]."""
    return record.since_ms + record.limits.reset_after_ms if record.state is HealthState.HEALTHY else NEVER_MS


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
    times += [
        next_turn_ms(component),
        next_change_ms(component),
        held_until_ms(component),
        _restart_ms(component, moment),
    ]
    return min((time for time in times if time > now_ms), default=NEVER_MS)


def _silence_ms(component: Component, moment: Moment) -> int:
    if component.silence_rests or is_awaited(component):
        return NEVER_MS
    limits, stage = component.limits, WORSE[component.state]
    if stage == 3:
        return NEVER_MS
    if stage == 2:
        return max(dead_at_ms(component, moment), moment.now_ms + 1)
    next_ms = (limits.timeout_ms, limits.degraded_ms)[stage]
    next_ms = moment.blindness.deadline_ms(component.proof_ms, next_ms)
    return max(next_ms, held_until_ms(component), moment.now_ms + 1)


def _restart_ms(component: Component, moment: Moment) -> int:
    """When time alone moves its restart on: due, its report overdue, not heard from after it, or long healthy."""
    restart = component.restart
    if component.state is HealthState.DEAD:
        return restart.next_ms or NEVER_MS
    if restart.rev:
        return report_until_ms(component)
    if restart.awaiting_ms:
        return started_until_ms(component, moment)
    return _reset_ms(component) if restart.done else NEVER_MS


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


def _changes(record: Component, verdict: Verdict, at_ms: int) -> dict[str, Any]:
    """What else a transition changes: the incident, the role, and restart attempts that came to their end by it."""
    changes: dict[str, Any] = {}
    if verdict.state in FIRING and not record.incident:
        changes["incident"] = f"{record.id}@{at_ms}"
    elif verdict.state in _WELL and record.incident and not record.flapping:
        changes["incident"] = ""
    role = record.policy.role or record.beat_role
    if role != record.role:
        changes["role"] = role
    restart = record.restart
    if verdict.rule != RESTART and (restart.rev or restart.awaiting_ms or restart.next_ms):
        itself = {"by_itself": restart.by_itself + 1} if restart.next_ms else {}
        changes["restart"] = {"rev": 0, "awaiting_ms": 0, "next_ms": 0, "waits": "", "taken": "", **itself}
    return changes


def shown_score(component: Component, silent_scores: tuple[float, ...]) -> float:
    """The score for people and programs: a silent or dead one may not look well because its last words were."""
    stage = WORSE[component.state] if component.rule == "silence" or WORSE[component.state] == _GONE else 0
    return math.floor(min(component.score, silent_scores[stage]) * 100 + 0.5) / 100
