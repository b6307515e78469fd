"""Who may become known by a first heartbeat, and who rests because it was forgotten."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from healthmon.core.component import HealthState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from healthmon.core.component import Component
    from healthmon.core.heartbeat import Heartbeat
    from healthmon.core.policy import Defaults

# A forgotten component that goes on beating is not new; only after a minute, or as another incarnation, it is.
FORGOTTEN_REST_MS: Final = 60_000
TOMBSTONE_MS: Final = 86_400_000
_GONE: Final = frozenset((HealthState.UNKNOWN, HealthState.DEAD, HealthState.PERMANENTLY_FAILED))


@dataclass(slots=True)
class Admission:
    """The limits on new components. `gone`: id -> when it was forgotten (ms), and as which incarnation."""

    defaults: Defaults
    gone: dict[str, tuple[int, str]] = field(default_factory=dict)
    wants_room: bool = False
    _admitted_ms: deque[int] = field(default_factory=deque)

    def forget(self, component_id: str, at_ms: int, incarnation: str) -> None:
        """Note a tombstone, and drop those of a day ago: no heartbeat so old is read any more."""
        self.gone.pop(component_id, None)
        self.gone[component_id] = (at_ms, incarnation)
        while (oldest := next(iter(self.gone))) != component_id and self.gone[oldest][0] < at_ms - TOMBSTONE_MS:
            del self.gone[oldest]

    def rests(self, beat: Heartbeat, now_ms: int) -> bool:
        """Whether this heartbeat is only the echo of a component that was forgotten."""
        gone_ms, incarnation = self.gone.get(beat.id, (0, ""))
        if not gone_ms:
            return False
        return now_ms <= gone_ms or (now_ms < gone_ms + FORGOTTEN_REST_MS and beat.incarnation == incarnation)

    def is_former(self, component: Component, at_ms: int, *, refolding: bool) -> bool:
        """Whether a heartbeat of this time belongs to a former life of the component's id.

        The same for whoever folded both lives in their turn and for whoever reads the second one's record back.
        """
        gone_ms = self.gone.get(component.id, (0, ""))[0]
        return at_ms <= gone_ms or (refolding and at_ms < component.born_ms)

    def refusal(self, known: int, now_ms: int) -> tuple[str, str] | None:
        """Why no further component is taken beside the `known` ones: the counted reason and the detail."""
        defaults = self.defaults
        if not defaults.auto_register:
            return "not_registered", "auto_register is off: register the component first"
        if known >= defaults.max_components:
            self.wants_room = True
            return "too_many_components", f"there are {known} components (max_components)"
        most = defaults.new_components_per_minute
        while self._admitted_ms and self._admitted_ms[0] <= now_ms - 60_000:
            self._admitted_ms.popleft()
        if most and len(self._admitted_ms) >= most:
            return "too_many_new", f"{most} new components in a minute (new_components_per_minute)"
        if most:
            self._admitted_ms.append(now_ms)
        return None


def longest_gone(components: Iterable[Component]) -> Component | None:
    """Who has been dead or unknown for longest, of those that registered themselves: the first to make room."""
    candidates = (one for one in components if one.state in _GONE and one.rev and not one.declared)
    return min(candidates, key=lambda one: one.since_ms, default=None)
