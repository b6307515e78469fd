"""How often and how soon a component may be restarted."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from healthmon.errors import Refused


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Attempt n waits min(max_delay, base_delay * exponential_base ** (n - 1)) seconds, +-16 % with jitter.

    After max_retries failed attempts the component has permanently failed; 0 never restarts. Defaults are the
    specification's. Raises Refused when the numbers contradict each other.
    """

    max_retries: int = 5
    base_delay: float = 5.0
    max_delay: float = 300.0
    exponential_base: float = 2.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise Refused(f"max_retries is {self.max_retries}; it is at least 0, which never restarts")
        if not (0 < self.base_delay <= self.max_delay and math.isfinite(self.max_delay)):
            raise Refused(
                f"base_delay {self.base_delay:g} s must be above 0 and at most max_delay {self.max_delay:g} s"
            )
        if not (self.exponential_base >= 1 and math.isfinite(self.exponential_base)):
            raise Refused(f"exponential_base is {self.exponential_base:g}; below 1 the delays would shrink")

    def to_policy(self) -> dict[str, Any]:
        """As a part of a component's policy."""
        return asdict(self)
