"""Why a component is in its state: the evidence, what came before, what comes next, who decided.

Pure: a record, what is known around it, and now as an argument. The page and the command line say the same sentences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.alert import rfc3339
from healthmon.core.blindness import Blindness
from healthmon.core.component import WORSE, Component, HealthState, Status
from healthmon.core.event import Event, EventType
from healthmon.core.policy import Defaults
from healthmon.core.rules import SILENCE_STAGES
from healthmon.core.score import CRITICAL_SCORE, WARN_SCORE
from healthmon.views.states import word_of
from healthmon.views.words import ago, duration, moment, plural, printable, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from healthmon.core.lease import Lease

# A chain of more says less; `show` has the whole history.
BEFORE_MAX: Final = 3
# Refused entries are told as what goes on now when the latest is younger than this many heartbeat_timeouts.
REFUSED_TIMEOUTS: Final = 2


@dataclass(frozen=True, slots=True)
class Known:
    """What is known around a record. `history`: its events, the newest first. `refused`: the latest refused entry."""

    component: Component
    now_ms: int
    history: Sequence[Event] = ()
    blindness: Blindness = field(default_factory=Blindness)
    lease: Lease | None = None
    defaults: Defaults = field(default_factory=Defaults)
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier state: when it began and ended, 0 where that is not known any more."""

    state: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next: the state it leads to ("" for being forgotten), when (0: not known), on what condition."""

    state: str
    at_ms: int
    condition: str


@dataclass(frozen=True, slots=True)
class Why:
    """The whole explanation as values; `why_lines` says it to people, `why_json` to programs."""

    id: str
    state: str
    since_ms: int
    now_ms: int
    because: str
    blind_ms: int
    silent_ms: int
    last_ms: int
    last: str
    before: tuple[Before, ...]
    steps: tuple[Step, ...]
    decided_by: str
    epoch: int
    rev: int
    led: bool
    refused: str


def explain(known: Known) -> Why:
    """The explanation that follows from what is known."""
    component, now_ms = known.component, known.now_ms
    proof_ms = component.proof_ms if component.last_heartbeat_ms else component.born_ms
    return Why(
        id=component.id,
        state=component.state.value,
        since_ms=component.since_ms,
        now_ms=now_ms,
        because=_because(component),
        blind_ms=known.blindness.within(proof_ms, now_ms),
        silent_ms=known.blindness.silence_ms(proof_ms, now_ms),
        last_ms=component.last_heartbeat_ms,
        last=_last(component),
        before=_before(known),
        steps=tuple(_steps(known)),
        decided_by=_decided_by(known),
        epoch=component.epoch,
        rev=component.rev,
        led=known.lease is not None,
        refused=_refused(known),
    )


# -- because ---------------------------------------------------------------------------------------------------------


def _because(component: Component) -> str:
    """The stored reason, with the figures behind it that the reason does not carry."""
    reason = printable(component.reason) or "no reason was stored"
    limits = component.limits
    match component.rule:
        case "silence" | "not_observable":
            return reason
        case "score":
            bound = f"degraded below {WARN_SCORE:.2f}, unhealthy below {CRITICAL_SCORE:.2f}"
            return f"{reason}, score {component.score:.2f} ({bound})"
        case "own_words":
            return f"{reason}, in its own heartbeat"
    if component.silence_rests or component.rule == "starting" or not component.last_heartbeat_ms:
        return reason
    paced = component.policy.interval_ms or component.interval_ms
    pace = f"one is due every {seconds(paced)}, " if paced else ""
    return f"{reason}; {pace}degraded after {seconds(limits.timeout_ms)} without one"


def _last(component: Component) -> str:
    """What the last heartbeat said and where it came from."""
    if not component.last_heartbeat_ms:
        return ""
    words = [f"status={component.status.value}"]
    if component.msg:
        words.append(f'msg="{printable(component.msg)}"')
    words += [f"{name}={component.metrics[name]:g}" for name in component.limits.rows if name in component.metrics]
    if component.host:
        words.append(f"from {printable(component.host)}")
    if component.pid:
        words.append(f"pid {printable(component.pid)}")
    return " ".join(words)


def _refused(known: Known) -> str:
    """That it sends and is refused, when that goes on: a component may be silent only because of what it sends."""
    component, entry = known.component, known.refused
    if not entry or not component.refused_heartbeats:
        return ""
    at_ms = int(entry.get("entry", "0").partition("-")[0])
    if at_ms < component.last_heartbeat_ms or known.now_ms - at_ms > REFUSED_TIMEOUTS * component.limits.timeout_ms:
        return ""
    reason = f"{entry.get('reason', '?')}: {printable(entry.get('detail', ''))}".rstrip(": ")
    refused = plural(component.refused_heartbeats, "heartbeat")
    return f"it sends, but is refused: {reason} ({refused} so far, the latest {ago(at_ms, known.now_ms)})"


# -- before and decided ----------------------------------------------------------------------------------------------


def _before(known: Known) -> tuple[Before, ...]:
    """The states before this one, newest first, from the history's transitions."""
    transitions = [event for event in known.history if event.type is EventType.TRANSITION]
    chain = []
    for n, event in enumerate(transitions):
        earlier = transitions[n + 1 : n + 2]
        began_ms = earlier[0].at_ms if earlier else _first_ms(known.component, event)
        if event.source == HealthState.UNKNOWN and not earlier:
            break  # it was unknown only until it was first heard from
        chain.append(Before(event.source, began_ms, event.at_ms))
    if not transitions and known.component.previous not in ("", HealthState.UNKNOWN):
        chain.append(Before(known.component.previous, 0, known.component.since_ms))
    return tuple(chain[:BEFORE_MAX])


def _first_ms(component: Component, event: Event) -> int:
    """When the oldest known state began: history leaves out the first two events, registration and becoming healthy."""
    return component.born_ms if event.rev <= 3 else 0


def _decided_by(known: Known) -> str:
    component = known.component
    for event in known.history:
        if event.rev == component.rev and event.replica:
            return event.replica
    return known.lease.replica if known.lease and known.lease.epoch == component.epoch else ""


# -- what comes next -------------------------------------------------------------------------------------------------


def _steps(known: Known) -> list[Step]:
    component = known.component
    steps = [*_silence_steps(known), *_good_steps(component)]
    ageing_ms = _forgotten_ms(component, known.defaults)
    if ageing_ms:
        steps.append(Step("", ageing_ms, "unless it is heard from"))
    return steps


def _silence_steps(known: Known) -> list[Step]:
    """The stages that silence has yet to climb, each at its moment, blind time deducted."""
    component, limits = known.component, known.component.limits
    if component.silence_rests or component.state is HealthState.RESTARTING:
        return []
    bounds = (limits.timeout_ms, limits.degraded_ms, limits.dead_ms)
    steps = []
    for stage in range(WORSE[component.state], len(bounds)):
        target = SILENCE_STAGES[stage + 1]
        at_ms = known.blindness.deadline_ms(component.proof_ms, bounds[stage])
        steps.append(Step(target.value if target else "", at_ms, "if no heartbeat comes"))
    return steps


def _good_steps(component: Component) -> list[Step]:
    """How it gets well again."""
    healthy = HealthState.HEALTHY.value
    if component.state is HealthState.HEALTHY:
        return []
    if component.status is Status.STARTING and component.rule == "starting":
        late_ms = component.starting_ms + component.limits.startup_ms
        return [Step(healthy, 0, "when it says ok"), Step("degraded", late_ms, "if it still says starting")]
    if component.rule == "score":
        missing = max(1, component.limits.recovery_heartbeats - component.good_streak)
        return [Step(healthy, 0, f"after {plural(missing, 'more good heartbeat')}")]
    if component.rule == "own_words":
        return [Step(healthy, 0, "when it says ok")]
    if component.rule == "crash_loop":
        return [Step(healthy, 0, f"when it stays up: restarts count for {seconds(component.limits.reset_after_ms)}")]
    return [Step(healthy, 0, "at its next heartbeat")]


def _forgotten_ms(component: Component, defaults: Defaults) -> int:
    if component.declared or not component.rev:
        return 0
    match component.state:
        case HealthState.UNKNOWN:
            return component.since_ms + defaults.forget_after_unknown_ms
        case HealthState.DEAD | HealthState.PERMANENTLY_FAILED:
            return component.since_ms + defaults.forget_after_ms
        case _:
            return 0


# -- for people and for programs -------------------------------------------------------------------------------------


def why_lines(why: Why, zone: tzinfo | None = None) -> list[tuple[str, str]]:
    """The explanation as labelled sentences, the first without a label. `zone` None: times are local."""
    now_ms = why.now_ms
    since = f"since {moment(why.since_ms, now_ms, zone)} ({duration(now_ms - why.since_ms)})" if why.since_ms else ""
    lines = [("", f"{why.id} is {word_of(why.state)} {since}".rstrip())]
    lines.append(("because", f"{why.because}, blind time {seconds(why.blind_ms)}" if _silent(why) else why.because))
    if why.refused:
        lines.append(("but", why.refused))
    heard = f"{moment(why.last_ms, now_ms, zone, exact=True)} ({ago(why.last_ms, now_ms)}) {why.last}"
    lines.append(("last", heard if why.last_ms else "never heard from"))
    if why.before:
        lines.append(("before", _chain(why.before, now_ms, zone)))
    lines.append(("next", _next(why, zone)))
    lines.append(("decided", f"{why.decided_by or 'an earlier leader'}, epoch {why.epoch}, rev {why.rev}"))
    return lines


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
        "replica": why.decided_by or None,
        "epoch": why.epoch,
        "rev": why.rev,
    }


def _silent(why: Why) -> bool:
    """Whether the reason is a silence, from which blind time was deducted."""
    return why.because.startswith(("no heartbeat", "never heard from"))


def _chain(before: Sequence[Before], now_ms: int, zone: tzinfo | None) -> str:
    """`Unhealthy 14:29:32 ← Degraded 14:28:47 ← Healthy 2 d 4 h`: when each began, the oldest with its length."""
    told = [f"{word_of(one.state)} {moment(one.from_ms, now_ms, zone)}" for one in before[:-1] if one.from_ms]
    oldest = before[-1]
    length = f" {duration(oldest.to_ms - oldest.from_ms)}" if oldest.from_ms else ""
    return " ← ".join([*told, f"{word_of(oldest.state)}{length}"])


def _next(why: Why, zone: tzinfo | None) -> str:
    """The first thing that will happen, then the worst one, then how it gets well."""
    downward = [step for step in why.steps if step.state and step.at_ms]
    upward = [step for step in why.steps if step.state and not step.at_ms]
    leaving = [step for step in why.steps if not step.state]
    parts = []
    if downward:
        first, last = downward[0], downward[-1]
        parts.append(_step(why, first, zone) + (f" {first.condition}" if first.at_ms >= why.now_ms else ""))
        if last is not first:
            parts.append(_step(why, last, zone))
    if not downward and upward:
        parts.append("nothing: it is waited for")
    parts += [f"{word_of(step.state)} {step.condition}" for step in upward]
    parts += [f"forgotten at {moment(step.at_ms, why.now_ms, zone)} {step.condition}" for step in leaving]
    return "; ".join(parts) or "nothing"


def _step(why: Why, step: Step, zone: tzinfo | None) -> str:
    word, at = word_of(step.state), moment(step.at_ms, why.now_ms, zone)
    if step.at_ms >= why.now_ms:
        return f"{word} at {at}"
    return f"{word} is due since {at}" if why.led else f"{word} is due since {at}, but nobody leads"
