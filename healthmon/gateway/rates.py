"""How often a caller and a component may come in: counted in whole seconds, so that nothing is kept of the past."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from healthmon import clock
from healthmon.core.refusal import Refusal


@dataclass
class Rates:
    """Heartbeats in any one second: of each token, and of each component. 0 is no limit."""

    per_token: int
    per_component: int
    _second: int = 0
    _tokens: Counter[str] = field(default_factory=Counter)
    _components: Counter[str] = field(default_factory=Counter)

    def count(self, token: str, component_id: str) -> None:
        """Count one. Raises Refusal with 429 when it is one too many; that one does not count."""
        second = int(clock.monotonic_s())
        if second != self._second:
            self._second = second
            self._tokens.clear()
            self._components.clear()
        if self.per_component and self._components[component_id] >= self.per_component:
            raise Refusal(
                429,
                "rate_limited",
                f"{component_id} sends more than {self.per_component} heartbeats a second: one every few is enough",
                1,
            )
        if self.per_token and self._tokens[token] >= self.per_token:
            raise Refusal(
                429,
                "rate_limited",
                f"{token} sends more than {self.per_token} heartbeats a second: send fewer, or raise HEALTH_HTTP_RATE",
                1,
            )
        self._components[component_id] += 1
        self._tokens[token] += 1
