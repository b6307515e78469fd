"""What a component's evidence says about its state. A rule is a small function; the order of the tuples is the policy.

The overriding rules come first: one that holds decides alone. Of the others the worst state wins, ties by order. Only
silence makes dead, and proof: an agent's report of the process's exit, or a restart that failed. Metrics and a
component's own words never do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from healthmon.core.attempts import REPORT_SLACK_MS, TAKE_WITHIN_MS
from healthmon.core.blindness import EXCUSED_MS_MAX, Blindness
from healthmon.core.circuit import HALF_OPEN_TEXT, OPEN_TEXT
from healthmon.core.component import SILENCE, WORSE, Component, HealthState, Status
from healthmon.core.event import FAILED_RESTART
from healthmon.core.failures import REFUSED

if TYPE_CHECKING:
    from healthmon.core.score import Row

UNTAKEN: Final = "restart_untaken"
PROOFS: Final = frozenset(("exit", FAILED_RESTART, UNTAKEN))
# However often the brake trips, no silence is held longer than this [Eureka #1267: a brake that never lets go].
BRAKE_MS_MAX: Final = 300_000
NEVER_HEARD: Final = "never heard from"
SILENCE_STAGES: Final = (None, HealthState.DEGRADED, HealthState.UNHEALTHY, HealthState.DEAD)


@dataclass(frozen=True, slots=True)
class Moment:
    """When and with what knowledge is judged.

    `now_ms`: the Redis clock, never later than the last entry that was read. `observing_ms`: since when this data set
    has been watched without a break. `recovering_until_ms`: nobody dies before, while lost data is being put back.
    `braked`: much of the fleet fell silent at once, so that the likelier fault is ours: silence makes nobody dead.
    `probed_ok_ms`: when a probe of anybody last succeeded.
    """

    now_ms: int
    blindness: Blindness
    observing_ms: int = 0
    recovering_until_ms: int = 0
    braked: bool = False
    probed_ok_ms: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state that one rule asks for, the rule's name, and the sentence for people."""

    state: HealthState
    rule: str
    reason: str


Rule = Callable[[Component, Moment], Verdict | None]


def gave_up(component: Component, _: Moment) -> Verdict | None:
    """All attempts failed: it stays so until it is heard from."""
    if component.state is not HealthState.PERMANENTLY_FAILED or came_back(component, component.since_ms):
        return None
    return Verdict(HealthState.PERMANENTLY_FAILED, component.rule, component.reason)


def restarting(component: Component, moment: Moment) -> Verdict | None:
    """Until the report, the deadline, or evidence of a new incarnation."""
    attempts = component.restart
    if component.state is not HealthState.RESTARTING or not is_awaited(component):
        return None
    if moment.now_ms < report_until_ms(component):
        return Verdict(HealthState.RESTARTING, component.rule, component.reason)
    what = f"restart {attempts.done} of {component.limits.restart.max_retries}"
    if not attempts.taken:
        who = f"an agent of {component.id}" if attempts.runner == "agent" else attempts.runner
        return Verdict(HealthState.DEAD, UNTAKEN, f"{what} was not taken by {who}: is it running?")
    limit_s = (attempts.deadline_ms - component.since_ms) / 1000
    return Verdict(HealthState.DEAD, FAILED_RESTART, f"{what} gave no report within {limit_s:g} s")


def started(component: Component, moment: Moment) -> Verdict | None:
    """A restart reported success: it must be heard from within startup_timeout."""
    attempts, limits = component.restart, component.limits
    if not attempts.awaiting_ms or not is_awaited(component):
        return None
    what = f"restart {attempts.done} of {limits.restart.max_retries}"
    if moment.now_ms < started_until_ms(component, moment):
        return Verdict(HealthState.INITIALIZING, "restart", f"{what} succeeded, waiting for its first heartbeat")
    return Verdict(
        HealthState.DEAD, FAILED_RESTART, f"{what}: not heard from in {limits.startup_ms / 1000:g} s after it"
    )


def gone(component: Component, _: Moment) -> Verdict | None:
    """Dead by proof: what was heard before proves nothing, nor does what an exited process left on its way."""
    by_proof = component.state is HealthState.DEAD and component.rule in PROOFS
    if not by_proof or came_back(component, component.since_ms):
        return None
    return Verdict(HealthState.DEAD, component.rule, component.reason)


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
    if component.rule == "silence" and component.heard_ms < component.since_ms:
        reached = max(reached, min(here, 3))  # what silence did, only a proof of life undoes
    if not reached:
        return None
    stage = min(reached, here + 1)
    if stage == 3 and here != 3 and moment.now_ms < dead_at_ms(component, moment):
        stage = 2
    state = SILENCE_STAGES[stage]
    if state is None:
        return None
    silent_ms = moment.blindness.silence_ms(component.proof_ms, moment.now_ms)
    limit_ms = (0, component.limits.timeout_ms, component.limits.degraded_ms, component.limits.dead_ms)[stage]
    heard = "no heartbeat" if component.last_heartbeat_ms else "no good probe" if component.heard_ms else NEVER_HEARD
    return Verdict(state, "silence", f"{heard} for {silent_ms / 1000:.1f} s ({state} after {limit_ms / 1000:g} s)")


def not_observable(component: Component, moment: Moment) -> Verdict | None:
    """Excused for a quarter of an hour in all: nobody can vouch for it any more."""
    blind_ms = moment.blindness.within(component.proof_ms, moment.now_ms)
    if blind_ms < EXCUSED_MS_MAX:
        return None
    reason = f"not observable: blind for {blind_ms / 1000:.0f} s since its last heartbeat"
    return Verdict(HealthState.UNHEALTHY, "not_observable", reason)


def breaker(component: Component, _: Moment) -> Verdict | None:
    """An open breaker is unhealthy at least; half open it is on trial."""
    now = component.breaker
    if now.state == OPEN_TEXT:
        return Verdict(HealthState.UNHEALTHY, "breaker", f"circuit breaker open: {_failed(component)}")
    if now.state == HALF_OPEN_TEXT:
        return Verdict(HealthState.DEGRADED, "breaker", "circuit breaker half open: on trial")
    return None


def probe(component: Component, _: Moment) -> Verdict | None:
    """One failed probe is a warning; the breaker makes more of several."""
    probes = component.probes
    if component.limits.probe is None or not probes.failed or probes.generation != component.breaker.generation:
        return None
    times = f" ({probes.failed} in a row)" if probes.failed > 1 else ""
    return Verdict(HealthState.DEGRADED, "probe", f"probe failed{times}: {probes.detail}")


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


OVERRIDING: Final[tuple[Rule, ...]] = (gave_up, restarting, started, gone, goodbye, starting)
RULES: Final[tuple[Rule, ...]] = (silence, not_observable, breaker, probe, score, own_words, crash_loop)


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
    if component.heard_ms <= component.watch_ms:
        return Verdict(HealthState.UNKNOWN, "", "not heard from yet")
    restart = component.restart
    if component.state in (HealthState.DEAD, HealthState.PERMANENTLY_FAILED) or restart.rev or restart.awaiting_ms:
        return Verdict(HealthState.HEALTHY, "heartbeat", _back(component, moment))
    if WORSE[component.state] and component.rule in SILENCE:
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


def _back(component: Component, moment: Moment) -> str:
    """How it came back: by a restart of ours, or by itself before one was due."""
    attempts = component.restart
    if attempts.rev or attempts.awaiting_ms:
        return f"heard from after restart {attempts.done} of {component.limits.restart.max_retries}"
    gone_s = max(0, moment.now_ms - component.since_ms) / 1000
    itself = ", by itself before the next restart" if attempts.next_ms else ""
    return f"heard from again, after {gone_s:.1f} s of being {component.state}{itself}"


def _failed(component: Component) -> str:
    later = component.probes.failed and component.probes.at_ms >= component.failures.at_ms
    detail = component.probes.detail if later else component.failures.detail
    return detail or "too many failures in a row"


def came_back(component: Component, after_ms: int) -> bool:
    """Whether there is a proof of life after this moment; the process whose end was reported gives none."""
    heard_ms = component.last_heartbeat_ms
    if component.incarnation and component.incarnation == component.restart.exited:
        heard_ms = 0
    return max(heard_ms, component.probes.ok_ms) > after_ms


def is_awaited(component: Component) -> bool:
    """Whether a restart alone decides: its report is waited for, or the first heartbeat after it."""
    attempts = component.restart
    if component.state is HealthState.RESTARTING:
        return not _is_anew(component, component.since_ms)
    return bool(attempts.awaiting_ms) and not _is_anew(component, attempts.awaiting_ms)


def _is_anew(component: Component, after_ms: int) -> bool:
    """Whether a restarted one was heard from as another one than before.

    While restarting, the former process counts for nothing; without incarnations only what comes after the report
    does, as does a good probe.
    """
    attempts, named = component.restart, component.incarnation
    heard = component.last_heartbeat_ms > after_ms
    if named and named not in (attempts.exited, attempts.incarnation):
        return heard
    if not attempts.awaiting_ms:
        return False
    return (heard and not named) or component.probes.ok_ms > after_ms


def report_until_ms(component: Component) -> int:
    """Until when a restart's report is waited for: untaken, as long as it may be taken; then its own deadline."""
    attempts = component.restart
    if not attempts.taken:
        return min(component.since_ms + TAKE_WITHIN_MS, attempts.deadline_ms) + REPORT_SLACK_MS
    return attempts.deadline_ms + REPORT_SLACK_MS


def started_until_ms(component: Component, moment: Moment) -> int:
    """Until when a restarted one may take to be heard from; blind time is not counted."""
    return moment.blindness.deadline_ms(component.restart.awaiting_ms, component.limits.startup_ms)


def silence_ends_ms(component: Component, moment: Moment) -> int:
    """The deadline by silence alone: nothing dies unwatched, nor while lost data is being put back."""
    at_ms = moment.blindness.deadline_ms(component.proof_ms, component.limits.dead_ms)
    return max(at_ms, moment.observing_ms + component.limits.timeout_ms, moment.recovering_until_ms)


def dead_at_ms(component: Component, moment: Moment) -> int:
    """When silence may make it dead: no brake holds it, and a probed one was probed once more."""
    at_ms, probes, probe = silence_ends_ms(component, moment), component.probes, component.limits.probe
    braked_ms = at_ms + BRAKE_MS_MAX if moment.braked and not is_refused(component, moment.probed_ok_ms) else at_ms
    if probe is not None and probes.at_ms < at_ms:  # where nobody can probe it, silence alone must do
        return max(at_ms + 2 * probe.timeout_ms + REPORT_SLACK_MS, braked_ms)
    return braked_ms


def is_refused(component: Component, probed_ok_ms: int) -> bool:
    """Whether its last probe was refused while we did get through to others: it is really gone."""
    probe, probes = component.limits.probe, component.probes
    return probe is not None and probes.outcome == REFUSED and probed_ok_ms >= probes.at_ms - probe.every_ms


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


def _beyond(name: str, value: float, row: Row) -> str:
    good, warn, critical = row
    rises = critical > good
    limit = critical if (value > critical if rises else value < critical) else warn
    return f"{name} {value:g} {'above' if rises else 'below'} {limit:g}"


def _with_words(component: Component, sentence: str) -> str:
    return f"{sentence}: {component.msg}" if component.msg else sentence
