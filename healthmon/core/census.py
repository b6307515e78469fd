"""What is counted over all components of a shard, kept up to date as records come, go and change."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, TypeVar

from healthmon.core.blindness import canary_ms
from healthmon.core.component import SILENCE, WORSE, Component, HealthState
from healthmon.core.rules import is_refused

if TYPE_CHECKING:
    from healthmon.core.event import Event

_K = TypeVar("_K")
MINUTE_MS: Final = 60_000
_RUNNING: Final = (HealthState.HEALTHY, HealthState.DEGRADED, HealthState.INITIALIZING)


class Census:
    """Counts and indexes. Whoever changes a record lets it `leave` before and `enter` after.

    `silent`: whoever is silent by the rules; `silent_running` of them are only degraded. `fell`: who fell silent when.
    `due`: who is dead with a restart attempt to come. `probed`: who is probed, and in
    `news` who of them has changed since somebody looked. `dependants`: id -> who depends on it.
    `claims`: when restarts were claimed, the last minute of them. `unregistered`: heard from, and not registered yet.
    """

    def __init__(self) -> None:
        self.states: Counter[HealthState] = Counter()
        self.unregistered = 0
        self.silent: dict[str, Component] = {}
        self.silent_running = 0
        self.fell: deque[tuple[int, str]] = deque()
        self.due: dict[str, None] = {}
        self.probed: dict[str, None] = {}
        self.news: dict[str, None] = {}
        self.dependants: dict[str, dict[str, None]] = {}
        self.claims: deque[int] = deque()
        self.probed_ok_ms = 0
        self._timeouts: Counter[int] = Counter()

    def enter(self, component: Component) -> None:
        """Count a record as it now is."""
        self.states[component.state] += 1
        self.unregistered += not component.rev
        self._timeouts[component.limits.timeout_ms] += 1
        if component.rule in SILENCE and WORSE[component.state]:
            if component.id not in self.silent:
                self.fell.append((_silent_since_ms(component), component.id))
            self.silent[component.id] = component
            self.silent_running += component.state is HealthState.DEGRADED
        else:
            self.silent.pop(component.id, None)
        if component.state is HealthState.DEAD and component.restart.next_ms:
            self.due[component.id] = None
        if component.limits.probe is not None:
            self.probed[component.id] = None
        self.probed_ok_ms = max(self.probed_ok_ms, component.probes.ok_ms)
        for dependency in component.policy.depends_on:
            self.dependants.setdefault(dependency, {})[component.id] = None

    def leave(self, component: Component, *, for_good: bool = False) -> None:
        """Take a record out as it was; `for_good` False: it enters again at once, changed."""
        self._less(self.states, component.state)
        self.unregistered -= not component.rev
        self._less(self._timeouts, component.limits.timeout_ms)
        self.due.pop(component.id, None)
        self.silent_running -= component.id in self.silent and component.state is HealthState.DEGRADED
        if for_good:
            self.silent.pop(component.id, None)
        if component.limits.probe is not None:
            self.probed.pop(component.id, None)
        for dependency in component.policy.depends_on:
            dependants = self.dependants.get(dependency, {})
            dependants.pop(component.id, None)
            if not dependants:
                self.dependants.pop(dependency, None)

    def retime(self, before_ms: int, after_ms: int) -> None:
        """A heartbeat announced another interval, and so another heartbeat_timeout follows."""
        self._less(self._timeouts, before_ms)
        self._timeouts[after_ms] += 1

    def note(self, event: Event) -> None:
        """Count the restarts of the last minute; keep who is probed and has changed."""
        if event.id in self.probed:
            self.news[event.id] = None
        if event.target == HealthState.RESTARTING.value:
            self.claims.append(event.at_ms)

    @property
    def canary_ms(self) -> int:
        """How long nothing may be read before a replica appends a canary."""
        return canary_ms(min(self._timeouts, default=None))

    def longest_timeout_ms(self, otherwise_ms: int) -> int:
        """The longest heartbeat_timeout of any component: how far back a reader may have to look."""
        return max(self._timeouts, default=otherwise_ms)

    @property
    def running(self) -> int:
        """How many are healthy, degraded or starting."""
        return sum(self.states[state] for state in _RUNNING)

    def fallen(self, after_ms: int) -> set[str]:
        """Who fell silent after this moment and is silent still; older ones are forgotten for good."""
        while self.fell and self.fell[0][0] <= after_ms:
            self.fell.popleft()
        return {one for at_ms, one in self.fell if at_ms > after_ms and self._is_silent_since(one, at_ms)}

    def silent_since(self, after_ms: int) -> int:
        """How many have been silent since after this moment."""
        return sum(1 for one in self.silent.values() if _silent_since_ms(one) > after_ms and self._is_likely_ours(one))

    def _is_silent_since(self, component_id: str, at_ms: int) -> bool:
        component = self.silent.get(component_id)
        return component is not None and _silent_since_ms(component) == at_ms and self._is_likely_ours(component)

    def _is_likely_ours(self, component: Component) -> bool:
        """Whether the fault may be ours; a refused probe proves that it is the component's."""
        return not is_refused(component, self.probed_ok_ms)

    def claimed(self, now_ms: int) -> int:
        """How many restarts were claimed in the last minute."""
        while self.claims and self.claims[0] <= now_ms - MINUTE_MS:
            self.claims.popleft()
        return len(self.claims)

    @staticmethod
    def _less(counts: Counter[_K], key: _K) -> None:
        counts[key] -= 1
        if counts[key] <= 0:
            del counts[key]


def _silent_since_ms(component: Component) -> int:
    """Since when it is silent, whatever the stage; a record of an older version knows only that of its stage."""
    return component.silent_ms or component.since_ms
