"""The brake on mass failure: when much of the fleet falls silent at once, the likelier fault is ours.

[Eureka's self-preservation; kubelet's zone state FullDisruption.] Degraded and unhealthy are still told; deaths by
silence and restarts wait. Proof overrides: a reported exit, or a refused probe, is neither counted nor held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from healthmon.core.rules import BRAKE_MS_MAX

if TYPE_CHECKING:
    from healthmon.core.census import Census

LEAST: Final = 5
TRIPS_AT: Final = 0.30
ENDS_BELOW: Final = 0.15
RULE: Final = "mass_failure"


@dataclass(slots=True)
class Brake:
    """The decided half: since when it holds, 0 when off; and until when an earlier one counted, by guard events."""

    since_ms: int = 0
    lifted_ms: int = 0

    @property
    def on(self) -> bool:
        return self.since_ms > 0

    def learn(self, since_ms: int, at_ms: int) -> None:
        """What a committed event says: it tripped (`since_ms`), or it ended (0) at this moment.

        A replica that starts later is told of the end alone, and then knows as well for whom it does not trip again.
        """
        if not since_ms:
            self.lifted_ms = max(self.lifted_ms, at_ms)
        self.since_ms = since_ms

    def judge(self, census: Census, now_ms: int, timeout_ms: int) -> str:
        """Why it has to trip or to end now, in a sentence; "" when it stays as it is."""
        if self.on:
            return self._ends(census, now_ms, timeout_ms)
        fallen = len(census.fallen(max(now_ms - timeout_ms, self.lifted_ms)))
        fleet = _fleet(census, fallen)
        if fallen < LEAST or fallen < TRIPS_AT * fleet:
            return ""
        return (
            f"mass failure: {fallen} of {fleet} components fell silent within {timeout_ms / 1000:g} s; deaths and "
            f"restarts wait, {BRAKE_MS_MAX / 60_000:g} minutes at most"
        )

    def _ends(self, census: Census, now_ms: int, timeout_ms: int) -> str:
        held_ms = now_ms - self.since_ms
        if held_ms >= BRAKE_MS_MAX:
            return f"mass failure held for {held_ms / 1000:.0f} s, the longest: deaths and restarts go on"
        fallen = census.silent_since(self.since_ms - timeout_ms)
        fleet = _fleet(census, fallen)
        if fallen >= ENDS_BELOW * fleet:
            return ""
        return f"mass failure is over after {held_ms / 1000:.0f} s: {fallen} of {fleet} components are silent"


def _fleet(census: Census, fallen: int) -> int:
    """What was healthy, degraded or starting before they fell; those who are only degraded by it are running still."""
    return max(1, census.running + max(0, fallen - census.silent_running))
