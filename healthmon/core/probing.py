"""When the next probe of a component is wanted: at its pace, as the breaker allows, and once more before it is dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from healthmon.core.circuit import HALF_OPEN_TEXT, OPEN_TEXT
from healthmon.core.component import HealthState
from healthmon.core.policy import NEVER_MS
from healthmon.core.rules import silence_ends_ms

if TYPE_CHECKING:
    from healthmon.core.component import Component
    from healthmon.core.policy import ProbeLimits
    from healthmon.core.rules import Moment

# Half open, the successes that close the breaker follow each other so fast at most.
TRIAL_EVERY_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Wish:
    """When the next probe is due, by the Redis clock. `urgent`: a verdict waits for it, to the millisecond."""

    due_ms: int
    urgent: bool = False


def next_probe(component: Component, moment: Moment) -> Wish:
    """The next probe that the record calls for; `NEVER_MS` while the breaker is open.

    Before silence makes it dead one last probe is made at the deadline, whatever the breaker says.
    """
    probe, probes = component.limits.probe, component.probes
    if probe is None or component.state is HealthState.RESTARTING:
        return Wish(NEVER_MS)
    last_ms = silence_ends_ms(component, moment) if component.state is HealthState.UNHEALTHY else 0
    usual = _by_breaker(component, probe, moment)
    if probes.at_ms < last_ms <= usual.due_ms and not component.silence_rests:
        return Wish(last_ms, urgent=True)
    return usual


def _by_breaker(component: Component, probe: ProbeLimits, moment: Moment) -> Wish:
    probes, breaker = component.probes, component.breaker
    soon_ms = probes.at_ms + min(probe.every_ms, TRIAL_EVERY_MS)
    if component.restart.awaiting_ms:  # what was wrong with the process before says nothing of the new one
        return Wish(max(component.restart.awaiting_ms, soon_ms))
    if breaker.state == OPEN_TEXT:
        return Wish(NEVER_MS)
    if breaker.state == HALF_OPEN_TEXT:
        tried = probes.generation == breaker.generation
        return Wish(soon_ms if tried else breaker.at_ms, urgent=True)
    return Wish(probes.at_ms + probe.every_ms if probes.at_ms else max(component.born_ms, moment.observing_ms))
