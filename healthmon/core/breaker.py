"""The circuit breaker of a component: closed, open, half open. It is a part of the record, so every replica shares it.

closed -> open after `failures` unanswered failures; open for `recovery_ms`, doubling at each reopening; then half open:
`successes` successes close it, one failure opens it for longer [specification; doubling as in resilience4j].

Evidence keeps to its source: probe failures are answered by good probes only; `status failing` by ok heartbeats; what
was recorded, and failed restarts, by either. A heartbeat half-opens only a breaker that no probe opened: otherwise a
process that beats with a closed port would never open its breaker.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.circuit import CLOSED_TEXT, HALF_OPEN_TEXT, OPEN_TEXT, Breaker
from healthmon.core.policy import NEVER_MS, RECOVERY_MS_MAX

if TYPE_CHECKING:
    from healthmon.core.component import Component

# What a permit to probe lasts beyond the probe's own time-out: its result comes by way of the control stream.
PERMIT_SLACK_MS: Final = 5_000
PROBE: Final = "probe"


@dataclass(frozen=True, slots=True)
class Turn:
    """A breaker's next state and the sentence for people."""

    breaker: Breaker
    reason: str

    @property
    def fields(self) -> dict[str, Any]:
        """As an event says it."""
        return asdict(self.breaker)


def failures_of(component: Component) -> int:
    """Failures in a row that nothing has answered, since the breaker last turned."""
    breaker, failures, probes = component.breaker, component.failures, component.probes
    others = min(failures.words + failures.recorded, failures.total - breaker.failures_base)
    return max(0, others) + (probes.failed if probes.generation == breaker.generation else 0)


def turn(component: Component, now_ms: int) -> Turn | None:
    """The turn that the evidence calls for, if any."""
    breaker, limits = component.breaker, component.limits.breaker
    if not limits.on:
        return None if breaker.state == CLOSED_TEXT else closed(component, now_ms, "circuit breakers are off")
    if breaker.state == CLOSED_TEXT:
        count = failures_of(component)
        if count < limits.failures:
            return None
        return _open(component, now_ms, 0, f"{count} failures in a row{_last(component)}")
    if breaker.state == OPEN_TEXT:
        return _from_open(component, now_ms)
    return _from_half_open(component, now_ms)


def closed(component: Component, now_ms: int, reason: str) -> Turn:
    """The turn to closed, whatever the evidence says: it counts anew from here."""
    return Turn(_turned(component, now_ms, state=CLOSED_TEXT), reason)


def next_turn_ms(component: Component) -> int:
    """When time alone turns it."""
    breaker = component.breaker
    if breaker.state == OPEN_TEXT:
        return breaker.until_ms
    if breaker.state == HALF_OPEN_TEXT:
        return _permit_ms(component)
    return NEVER_MS


def _from_open(component: Component, now_ms: int) -> Turn | None:
    breaker, failures = component.breaker, component.failures
    if _hears(component) and component.good_words > breaker.words_base:
        # That heartbeat is the first of the successes, and what failed after it is of the trial already.
        half = replace(
            breaker,
            state=HALF_OPEN_TEXT,
            generation=breaker.generation + 1,
            at_ms=now_ms,
            failures_base=failures.total - failures.words - failures.recorded,
        )
        return Turn(half, "heard ok again: half open")
    ours = component.probes.generation == breaker.generation
    if now_ms < breaker.until_ms and not (ours and component.probes.good):
        return None
    # A good probe in spite of it: the one that a restart or a last look before dead is allowed.
    half = _turned(component, now_ms, state=HALF_OPEN_TEXT, by=breaker.by, reopened=breaker.reopened)
    return Turn(half, f"half open after {(now_ms - breaker.at_ms) / 1000:.0f} s: one try")


def _from_half_open(component: Component, now_ms: int) -> Turn | None:
    breaker, probes, wanted = component.breaker, component.probes, component.limits.breaker.successes
    ours = probes.generation == breaker.generation
    if (ours and probes.failed) or component.failures.total > breaker.failures_base:
        return _open(component, now_ms, breaker.reopened + 1, f"failed while half open{_last(component)}")
    words = component.good_words - breaker.words_base if _hears(component) else 0
    successes = (probes.good if ours else 0) + words
    if successes >= wanted:
        return closed(component, now_ms, f"{successes} successes in a row")
    if now_ms >= _permit_ms(component):
        return _open(component, now_ms, breaker.reopened + 1, "the probe that was permitted gave no result")
    return None


def _permit_ms(component: Component) -> int:
    """When the permit of the running probe ends; never where no probe can be made: heartbeats will tell."""
    probe = component.limits.probe
    if probe is None:
        return NEVER_MS
    breaker, probes = component.breaker, component.probes
    tried_ms = probes.at_ms if probes.generation == breaker.generation else 0
    return max(breaker.at_ms, tried_ms) + probe.timeout_ms + PERMIT_SLACK_MS


def _hears(component: Component) -> bool:
    """Whether heartbeats can answer what opened it; once it is probed no more, nothing else could."""
    return component.breaker.by != PROBE or component.limits.probe is None


def _open(component: Component, now_ms: int, reopened: int, why: str) -> Turn:
    open_ms = min(component.limits.breaker.recovery_ms << min(reopened, 20), RECOVERY_MS_MAX)
    breaker = _turned(
        component,
        now_ms,
        state=OPEN_TEXT,
        by=component.breaker.by if reopened else _source(component),
        reopened=reopened,
        until_ms=now_ms + open_ms,
    )
    return Turn(breaker, f"{why}; tried again in {open_ms / 1000:g} s")


def _source(component: Component) -> str:
    ours = component.probes.generation == component.breaker.generation
    return PROBE if ours and component.probes.failed else component.failures.source


def _turned(component: Component, now_ms: int, *, state: str, **fields: str | int) -> Breaker:
    known = Breaker(
        state=state,
        generation=component.breaker.generation + 1,
        at_ms=now_ms,
        failures_base=component.failures.total,
        words_base=component.good_words,
    )
    return replace(known, **fields)  # type: ignore[arg-type]  # the fields' kinds are those of the callers above


def _last(component: Component) -> str:
    probe_is_later = component.probes.failed and component.probes.at_ms >= component.failures.at_ms
    detail = component.probes.detail if probe_is_later else component.failures.detail
    return f", the last: {detail}" if detail else ""
