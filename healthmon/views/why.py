"""Why a component is in its state: the evidence, what came before, what comes next, who decided.

Pure: a record, what is known around it, and now as an argument. The page and the command line say the same sentences,
those of `healthmon.views.why_told`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from healthmon.core.blindness import Blindness
from healthmon.core.component import WORSE, Component, HealthState, Status
from healthmon.core.event import Event, EventType
from healthmon.core.flapping import COMMIT_EVERY_MS, held_until_ms
from healthmon.core.guard import Brake
from healthmon.core.policy import Defaults
from healthmon.core.rules import BRAKE_MS_MAX, SILENCE_STAGES
from healthmon.core.score import CRITICAL_SCORE, WARN_SCORE
from healthmon.views.checks import BreakerView, ProbeView, breaker_of, probe_of
from healthmon.views.schedule import Schedule, schedule_of
from healthmon.views.words import ago, figures, plural, printable, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthmon.core.lease import Lease

# A chain of more says less; `show` has the whole history.
BEFORE_MAX: Final = 3
# Refused entries are told as what goes on now when the latest is younger than this many heartbeat_timeouts.
REFUSED_TIMEOUTS: Final = 2
# Of a heartbeat with many metrics of its own the first are told; `show` has all.
METRICS_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Known:
    """What is known around a record. `history`: its events, the newest first. `refused`: the latest refused entry.

    `dependencies`: what it depends on, each with its state, "" where there is no such component.
    """

    component: Component
    now_ms: int
    history: Sequence[Event] = ()
    blindness: Blindness = field(default_factory=Blindness)
    lease: Lease | None = None
    defaults: Defaults = field(default_factory=Defaults)
    refused: Mapping[str, str] = field(default_factory=dict)
    dependencies: Mapping[str, str] = field(default_factory=dict)
    brake: Brake = field(default_factory=Brake)


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
    """The whole explanation as values; `why_lines` says it to people, `why_json` to programs.

    `component` is the record that it explains. `braked_ms`: since when a mass failure holds deaths and restarts.
    """

    component: Component
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
    schedule: Schedule | None
    breaker: BreakerView
    probe: ProbeView | None
    dependencies: Mapping[str, str]
    braked_ms: int


def explain(known: Known) -> Why:
    """The explanation that follows from what is known."""
    component, now_ms = known.component, known.now_ms
    proof_ms = component.proof_ms if component.heard_ms else component.born_ms
    return Why(
        component=component,
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
        schedule=schedule_of(component, known.dependencies, now_ms, braked=known.brake.on),
        breaker=breaker_of(component),
        probe=probe_of(component),
        dependencies=known.dependencies,
        braked_ms=known.brake.since_ms,
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
    if component.state is not HealthState.HEALTHY or not component.last_heartbeat_ms:
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
    ranks = {name: rank for rank, name in enumerate(component.limits.rows)}
    names = sorted(component.metrics, key=lambda name: ranks.get(name, len(ranks)))  # those that are judged come first
    words += [figures({name: component.metrics[name] for name in names}, METRICS_MAX)] if names else []
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
    awaited = component.restart.awaiting_ms
    steps = _awaited_steps(known) if awaited else [*_silence_steps(known), *_good_steps(component)]
    ageing_ms = _forgotten_ms(component, known.defaults)
    if ageing_ms:
        steps.append(Step("", ageing_ms, "unless it is heard from"))
    return [_held(step, component) for step in steps] if held_until_ms(component) > known.now_ms else steps


def _held(step: Step, component: Component) -> Step:
    """While it flaps, every change but to dead waits until the last one is old enough."""
    if step.state in ("", HealthState.DEAD):
        return step
    if step.at_ms:
        return replace(step, at_ms=max(step.at_ms, held_until_ms(component)))
    return replace(step, condition=f"{step.condition}, {seconds(COMMIT_EVERY_MS)} after its last change at the soonest")


def _awaited_steps(known: Known) -> list[Step]:
    """After a restart: it is heard from in time, or the attempt has failed."""
    component = known.component
    late_ms = known.blindness.deadline_ms(component.restart.awaiting_ms, component.limits.startup_ms)
    return [
        Step(HealthState.DEAD.value, late_ms, "if it is not heard from"),
        Step(HealthState.HEALTHY.value, 0, "at its first heartbeat"),
    ]


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
        if target is HealthState.DEAD and known.brake.on:
            at_ms += BRAKE_MS_MAX
        probed = " and its last probe fails" if target is HealthState.DEAD and limits.probe else ""
        steps.append(Step(target.value if target else "", at_ms, f"if no heartbeat comes{probed}"))
    return steps


def _good_steps(component: Component) -> list[Step]:
    """How it gets well again."""
    healthy = HealthState.HEALTHY.value
    if component.state in (HealthState.HEALTHY, HealthState.RESTARTING):
        return []
    if component.status is Status.STARTING and component.rule == "starting":
        late_ms = component.starting_ms + component.limits.startup_ms
        return [Step(healthy, 0, "when it says ok"), Step("degraded", late_ms, "if it still says starting")]
    return [Step(healthy, 0, _cure(component))]


def _cure(component: Component) -> str:
    """What the rule that holds it down waits for."""
    match component.rule:
        case "score":
            missing = max(1, component.limits.recovery_heartbeats - component.good_streak)
            return f"after {plural(missing, 'more good heartbeat')}"
        case "own_words":
            return "when it says ok"
        case "crash_loop":
            return f"when it stays up: restarts count for {seconds(component.limits.reset_after_ms)}"
        case "breaker":
            return "when its circuit breaker is closed"
        case "probe":
            return "at its next good probe"
    return "at its next heartbeat" + (" or good probe" if component.limits.probe else "")


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
