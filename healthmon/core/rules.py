"""What a component's evidence says about its state. A rule is a small function; the order of the tuples is the policy.

The overriding rules come first: one that holds decides alone. Of the others the worst state wins, ties by order. Only
silence makes dead: metrics and a component's own words never do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from healthmon.core.blindness import EXCUSED_MS_MAX, Blindness
from healthmon.core.component import WORSE, Component, HealthState, Status

if TYPE_CHECKING:
    from healthmon.core.score import Row

SILENCE_STAGES: Final = (None, HealthState.DEGRADED, HealthState.UNHEALTHY, HealthState.DEAD)


@dataclass(frozen=True, slots=True)
class Moment:
    """When and with what knowledge is judged.

    `now_ms`: the Redis clock, never later than the last entry that was read. `observing_ms`: since when this data set
    has been watched without a break. `recovering_until_ms`: nobody dies before, while lost data is being put back.
    """

    now_ms: int
    blindness: Blindness
    observing_ms: int = 0
    recovering_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state that one rule asks for, the rule's name, and the sentence for people."""

    state: HealthState
    rule: str
    reason: str


Rule = Callable[[Component, Moment], Verdict | None]


def goodbye(component: Component, _: Moment) -> Verdict | None:
    """It said `stopping`: nobody waits for it until it is heard from again."""
    if component.silence_rests:
        return Verdict(HealthState.UNKNOWN, "goodbye", _with_words(component, "it said goodbye"))
    return None


def starting(component: Component, moment: Moment) -> Verdict | None:
    """It says `starting` and is heard: wait for it, at most startup_timeout."""
    if component.status is not Status.STARTING or _stage(component, moment):
        return None
    if moment.now_ms - component.starting_ms >= component.limits.startup_ms:
        return None
    return Verdict(HealthState.INITIALIZING, "starting", _with_words(component, "it is starting"))


def silence(component: Component, moment: Moment) -> Verdict | None:
    """One stage at a time, whatever was missed, measured from the last proof of life."""
    reached = _stage(component, moment)
    here = WORSE[component.state]
    if component.rule == "silence" and component.last_heartbeat_ms < component.since_ms:
        reached = max(reached, min(here, 3))  # what silence did, only a proof of life undoes
    if not reached:
        return None
    stage = min(reached, here + 1)
    if stage == 3 and here != 3 and not _may_die(component, moment):
        stage = 2
    state = SILENCE_STAGES[stage]
    if state is None:
        return None
    silent_ms = moment.blindness.silence_ms(component.proof_ms, moment.now_ms)
    limit_ms = (0, component.limits.timeout_ms, component.limits.degraded_ms, component.limits.dead_ms)[stage]
    heard = "no heartbeat" if component.last_heartbeat_ms else "never heard from"
    return Verdict(state, "silence", f"{heard} for {silent_ms / 1000:.1f} s ({state} after {limit_ms / 1000:g} s)")


def not_observable(component: Component, moment: Moment) -> Verdict | None:
    """Excused for a quarter of an hour in all: nobody can vouch for it any more."""
    blind_ms = moment.blindness.within(component.proof_ms, moment.now_ms)
    if blind_ms < EXCUSED_MS_MAX:
        return None
    reason = f"not observable: blind for {blind_ms / 1000:.0f} s since its last heartbeat"
    return Verdict(HealthState.UNHEALTHY, "not_observable", reason)


def score(component: Component, _: Moment) -> Verdict | None:
    """A bad score degrades at once; the band clears after enough good heartbeats (in the fold)."""
    if not component.band:
        return None
    state = HealthState.DEGRADED if component.band == 1 else HealthState.UNHEALTHY
    if component.good_streak:
        want = component.limits.recovery_heartbeats
        return Verdict(state, "score", f"metrics are good again ({component.good_streak} of {want} heartbeats)")
    name = component.worst_metric
    row = component.limits.rows.get(name)
    if row is None:
        return Verdict(state, "score", f"score {component.score:.2f}")
    return Verdict(state, "score", _beyond(name, component.metrics.get(name, 0.0), row))


def own_words(component: Component, moment: Moment) -> Verdict | None:
    """What the component says of itself; `starting` for too long is a complaint too."""
    if component.status is Status.DEGRADED:
        return Verdict(HealthState.DEGRADED, "own_words", _with_words(component, "it says degraded"))
    if component.status is Status.FAILING:
        return Verdict(HealthState.UNHEALTHY, "own_words", _with_words(component, "it says failing"))
    if component.status is Status.STARTING and moment.now_ms - component.starting_ms >= component.limits.startup_ms:
        return Verdict(
            HealthState.DEGRADED, "own_words", f"still starting after {component.limits.startup_ms / 1000:g} s"
        )
    return None


def crash_loop(component: Component, moment: Moment) -> Verdict | None:
    """Too many restarts of its own within reset_after: it beats, and is not well."""
    most, within_ms = component.limits.crash_loop, component.limits.reset_after_ms
    recent = sum(1 for at_ms in component.respawns if moment.now_ms - at_ms < within_ms)
    if recent <= most:
        return None
    return Verdict(
        HealthState.DEGRADED, "crash_loop", f"crash loop: it restarted {recent} times in {within_ms / 1000:g} s"
    )


OVERRIDING: Final[tuple[Rule, ...]] = (goodbye, starting)
RULES: Final[tuple[Rule, ...]] = (silence, not_observable, score, own_words, crash_loop)


def judge(component: Component, moment: Moment) -> Verdict:
    """The one verdict of all rules."""
    for rule in OVERRIDING:
        verdict = rule(component, moment)
        if verdict is not None:
            return verdict
    worst = _base(component, moment)
    for rule in RULES:
        verdict = rule(component, moment)
        if verdict is not None and WORSE[verdict.state] > WORSE[worst.state]:
            worst = verdict
    return worst


def _base(component: Component, moment: Moment) -> Verdict:
    if component.status is Status.STOPPING:
        return Verdict(HealthState.UNKNOWN, "goodbye", _with_words(component, "it said goodbye, and is expected back"))
    if not component.last_heartbeat_ms:
        return Verdict(HealthState.UNKNOWN, "", "not heard from yet")
    if WORSE[component.state] and component.rule in ("silence", "not_observable"):
        silent_ms = max(0, moment.now_ms - component.since_ms)
        return Verdict(
            HealthState.HEALTHY,
            "heartbeat",
            f"heard from again, after {silent_ms / 1000:.1f} s of being {component.state}",
        )
    if WORSE[component.state]:
        return Verdict(HealthState.HEALTHY, "heartbeat", _recovered(component))
    return Verdict(
        HealthState.HEALTHY, "heartbeat", "first heartbeat" if not component.previous else "heartbeats arrive"
    )


def _recovered(component: Component) -> str:
    if component.rule == "score" and component.metrics:
        name = next((n for n in component.limits.rows if n in component.metrics and component.reason.startswith(n)), "")
        if name:
            return f"{name} is {component.metrics[name]:g} again"
        return "metrics are good again"
    return "it says ok again" if component.rule == "own_words" else "well again"


def _stage(component: Component, moment: Moment) -> int:
    """The stage that silence has reached by itself: 0 none, 1 degraded, 2 unhealthy, 3 dead."""
    limits = component.limits
    if moment.now_ms - component.proof_ms < limits.timeout_ms or component.silence_rests:
        return 0
    silent_ms = moment.blindness.silence_ms(component.proof_ms, moment.now_ms)
    return (silent_ms >= limits.timeout_ms) + (silent_ms >= limits.degraded_ms) + (silent_ms >= limits.dead_ms)


def _may_die(component: Component, moment: Moment) -> bool:
    """Nothing dies before one heartbeat_timeout of watching, nor while lost data is being put back."""
    watched = moment.now_ms - moment.observing_ms >= component.limits.timeout_ms
    return watched and moment.now_ms >= moment.recovering_until_ms


def _beyond(name: str, value: float, row: Row) -> str:
    good, warn, critical = row
    rises = critical > good
    limit = critical if (value > critical if rises else value < critical) else warn
    return f"{name} {value:g} {'above' if rises else 'below'} {limit:g}"


def _with_words(component: Component, sentence: str) -> str:
    return f"{sentence}: {component.msg}" if component.msg else sentence
