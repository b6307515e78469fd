"""The explanation of `healthmon.views.why` in labelled sentences for people, and as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from healthmon.core.alert import rfc3339
from healthmon.core.component import HealthState
from healthmon.core.overlays import is_silenced
from healthmon.core.rules import BRAKE_MS_MAX
from healthmon.views.checks import (
    breaker_json,
    breaker_sentence,
    flapping_sentence,
    probe_json,
    probe_sentence,
)
from healthmon.views.failure import failure_json, failure_line, failure_lines
from healthmon.views.schedule import attempts_sentence, next_attempt, schedule_json
from healthmon.views.states import word_of
from healthmon.views.words import ago, duration, moment, printable, seconds, when

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from healthmon.views.why import Before, Step, Why

Lines = list[tuple[str, str]]


def why_lines(why: Why, zone: tzinfo | None = None, *, wide: bool = False) -> Lines:
    """The explanation as labelled sentences, the first without a label. `zone` None: times are local.

    `wide`: with all that is known of the last failure.
    """
    now_ms = why.now_ms
    lines = [("", _headline(why, zone)), ("because", _because(why))]
    if why.refused:
        lines.append(("but", why.refused))
    heard = f"{moment(why.last_ms, now_ms, zone, exact=True)} ({ago(why.last_ms, now_ms)}) {why.last}"
    lines.append(("last", heard if why.last_ms else "never heard from"))
    lines += _failure(why, zone, wide=wide)
    if why.before:
        lines.append(("before", _chain(why.before, now_ms, zone)))
    lines.append(("next", _next(why, zone)))
    lines += _healing(why, zone)
    lines.append(("decided", f"{why.decided_by or 'an earlier leader'}, epoch {why.epoch}, rev {why.rev}"))
    return lines


def _headline(why: Why, zone: tzinfo | None) -> str:
    if why.state == HealthState.PERMANENTLY_FAILED:
        return f"{why.id} gave up at {when(why.since_ms, why.now_ms, zone)}" if why.since_ms else f"{why.id} gave up"
    told = f"{why.id} is {word_of(why.state)}"
    length = duration(why.now_ms - why.since_ms)
    return f"{told} since {moment(why.since_ms, why.now_ms, zone)} ({length})" if why.since_ms else told


def _because(why: Why) -> str:
    return f"{why.because}, blind time {seconds(why.blind_ms)}" if _silent(why) and why.blind_ms else why.because


def _failure(why: Why, zone: tzinfo | None, *, wide: bool) -> Lines:
    """How it failed: all of it while that matters, one line when it is well again."""
    failure = why.component.failure
    if not failure:
        return []
    if why.state == HealthState.HEALTHY and not wide:
        return failure_line(failure, why.now_ms, zone)
    return failure_lines(failure, why.component.metrics, why.now_ms, zone, wide=wide)


def _healing(why: Why, zone: tzinfo | None) -> Lines:
    """What is done about it, and what lies upon it; nothing to tell leaves its line out."""
    component, now_ms = why.component, why.now_ms
    until = f"until {when(why.braked_ms + BRAKE_MS_MAX, now_ms, zone)} at most"
    needs = [f"{one} {word_of(state) or 'not known'}" for one, state in why.dependencies.items()]
    lines = [
        ("attempts", attempts_sentence(why.schedule, now_ms, zone) if why.schedule else ""),
        ("acknowledged", f"by {printable(component.acknowledged_by)}" if component.acknowledged_by else ""),
        ("silenced", _silence(why, zone)),
        ("held", printable(component.held)),
        ("brake", f"mass failure: deaths by silence and restarts wait, {until}" if why.braked_ms else ""),
        ("needs", ", ".join(needs)),
        ("breaker", breaker_sentence(why.breaker, now_ms, zone)),
        ("probe", probe_sentence(why.probe, now_ms, zone) if why.probe else ""),
        ("flapping", flapping_sentence(component, now_ms, zone)),
    ]
    return [(label, words) for label, words in lines if words]


def _silence(why: Why, zone: tzinfo | None) -> str:
    component = why.component
    if not is_silenced(component, why.now_ms):
        return ""
    by, reason = printable(component.silenced_by), printable(component.silenced_reason)
    return f"until {when(component.silenced_until_ms, why.now_ms, zone)} by {by}: {reason}"


def _silent(why: Why) -> bool:
    """Whether the reason is a silence, from which blind time was deducted."""
    return why.component.rule == "silence"


def _chain(before: Sequence[Before], now_ms: int, zone: tzinfo | None) -> str:
    """`Unhealthy 14:29:32 ← Degraded 14:28:47 ← Healthy 2 d 4 h`: when each began, the oldest with its length."""
    told = [f"{word_of(one.state)} {moment(one.from_ms, now_ms, zone)}" for one in before[:-1] if one.from_ms]
    oldest = before[-1]
    length = f" {duration(oldest.to_ms - oldest.from_ms)}" if oldest.from_ms else ""
    return " ← ".join([*told, f"{word_of(oldest.state)}{length}"])


# -- what comes next -------------------------------------------------------------------------------------------------


def _next(why: Why, zone: tzinfo | None) -> str:
    """The attempt that comes next, or the first thing that will happen, then the worst, then how it gets well."""
    downward = [step for step in why.steps if step.state and step.at_ms]
    upward = [step for step in why.steps if step.state and not step.at_ms]
    leaving = [step for step in why.steps if not step.state]
    parts = next_attempt(why.schedule, why.now_ms, zone, led=why.led) if why.schedule else []
    if downward:
        first, last = downward[0], downward[-1]
        parts.append(_step(why, first, zone) + (f" {first.condition}" if first.at_ms >= why.now_ms else ""))
        if last is not first:
            parts.append(_step(why, last, zone))
    if not parts and upward:
        parts.append(_nothing(why))
    parts += [f"{word_of(step.state)} {step.condition}" for step in upward]
    parts += [f"forgotten at {moment(step.at_ms, why.now_ms, zone)} {step.condition}" for step in leaving]
    return "; ".join(parts) or "nothing"


def _nothing(why: Why) -> str:
    """That nobody does anything, and who could."""
    if why.state == HealthState.PERMANENTLY_FAILED:
        return f"nothing by itself: `healthmon revive {why.id}` restarts it"
    return "nothing: it is waited for"


def _step(why: Why, step: Step, zone: tzinfo | None) -> str:
    word, at = word_of(step.state), moment(step.at_ms, why.now_ms, zone)
    if step.at_ms >= why.now_ms:
        return f"{word} at {at}"
    return f"{word} is due since {at}" if why.led else f"{word} is due since {at}, but nobody leads"


# -- for programs ----------------------------------------------------------------------------------------------------


def why_json(why: Why) -> dict[str, Any]:
    """The explanation for a program: RFC 3339 times, null where nothing is known."""
    return {
        "id": why.id,
        "state": why.state,
        "since": rfc3339(why.since_ms) or None,
        "because": why.because,
        "refused": why.refused or None,
        "silent_ms": why.silent_ms,
        "blind_ms": why.blind_ms,
        "last_heartbeat": rfc3339(why.last_ms) or None,
        "last": why.last or None,
        "before": [
            {"state": one.state, "from": rfc3339(one.from_ms) or None, "to": rfc3339(one.to_ms)} for one in why.before
        ],
        "next": [
            {"state": one.state or None, "at": rfc3339(one.at_ms) or None, "condition": one.condition}
            for one in why.steps
        ],
        **_healing_json(why),
        "replica": why.decided_by or None,
        "epoch": why.epoch,
        "rev": why.rev,
    }


def _overlays_json(why: Why) -> dict[str, Any]:
    """A silence that is over is none."""
    component = why.component
    is_on = is_silenced(component, why.now_ms)
    return {
        "acknowledged_by": component.acknowledged_by or None,
        "silenced_until": rfc3339(component.silenced_until_ms) if is_on else None,
        "silenced_by": component.silenced_by if is_on else None,
        "silenced_reason": component.silenced_reason if is_on else None,
    }


def _healing_json(why: Why) -> dict[str, Any]:
    component = why.component
    return {
        "restart": schedule_json(why.schedule) if why.schedule else None,
        **_overlays_json(why),
        "held": component.held or None,
        "mass_failure_since": rfc3339(why.braked_ms) or None,
        "breaker": breaker_json(why.breaker),
        "probe": probe_json(why.probe) if why.probe else None,
        "flapping_since": rfc3339(component.flapping) or None,
        "dependencies": {one: state or None for one, state in why.dependencies.items()},
        "failure": failure_json(component.failure),
    }
