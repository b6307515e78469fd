"""What a replica tells of itself when Redis can't carry it: blind, leaderless or not committing for a minute.

Told straight to the log, and to the alert sinks where there are any, by each replica, without Redis; resolved the same
way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

logger = logging.getLogger("healthmon.self")
TOLD_AFTER_S: Final = 60.0


@dataclass
class Vigil:
    """Conditions that should not last, since when each holds, and which were told. Times are local seconds.

    `tell` hears of a condition and for how many seconds it has held; 0 when it is over.
    """

    tell: Callable[[str, float], object] = lambda _condition, _holds_s: None
    _since_s: dict[str, float] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def watch(self, conditions: dict[str, bool], now_s: float) -> None:
        """Take in what holds now; tell what has held for a minute, and once what ended."""
        for condition, holds in conditions.items():
            since_s = self._since_s.setdefault(condition, now_s)
            if not holds:
                self._since_s[condition] = now_s
                if condition in self._told:
                    self._told.discard(condition)
                    logger.warning("healthmon/self resolved: no longer %s", condition)
                    self.tell(condition, 0.0)
            elif now_s - since_s >= TOLD_AFTER_S and condition not in self._told:
                self._told.add(condition)
                logger.error("healthmon/self firing: %s for %d s", condition, round(now_s - since_s))
                self.tell(condition, now_s - since_s)
