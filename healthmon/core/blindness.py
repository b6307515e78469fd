"""Blind time is not silence: when nothing at all reached the stream, nobody can be said to have been silent.

Read from the stream itself, so that every replica, also a later one, knows the same. A replica that has seen no entry
for one `canary` appends one; a stretch of more than three without any entry is therefore Redis's or the monitors'
absence, and is blind from its first millisecond.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY_MS_MAX: Final = 1000
CANARY_MS_MIN: Final = 5
CANARIES_MISSED: Final = 3
# What has been excused for this long in all is "not observable": blindness must not hide a real death for ever.
EXCUSED_MS_MAX: Final = 900_000
KEPT_MS: Final = 7 * 86_400_000


class Stretch(NamedTuple):
    """A blind stretch, from its first to past its last millisecond."""

    from_ms: int
    to_ms: int


def canary_ms(shortest_timeout_ms: int | None) -> int:
    """The pace of canaries: a sixth of the shortest heartbeat_timeout of any component, at most a second."""
    if shortest_timeout_ms is None:
        return CANARY_MS_MAX
    return max(CANARY_MS_MIN, min(CANARY_MS_MAX, shortest_timeout_ms // 6))


def gaps_in(time_ms: Callable[[int], int], count: int, before_ms: int, limit_ms: int) -> list[int]:
    """The places, of so many rising times, before which nothing came for longer than the limit.

    A stretch that is no longer than the limit as a whole has no gap in it: most places are not looked at.
    """
    gaps, parts = list[int](), [(-1, before_ms, count - 1, time_ms(count - 1))]
    while parts:
        low, low_ms, high, high_ms = parts.pop()
        if high_ms - low_ms <= limit_ms:
            continue
        if high - low == 1:
            gaps.append(high)
            continue
        middle = (low + high) // 2
        middle_ms = max(low_ms, time_ms(middle))
        parts += [(middle, middle_ms, high, high_ms), (low, low_ms, middle, middle_ms)]
    return gaps


@dataclass(slots=True)
class Blindness:
    """The known blind stretches: rising, disjoint."""

    stretches: list[Stretch] = field(default_factory=list)

    def add(self, from_ms: int, to_ms: int) -> bool:
        """Note a stretch, joined with those that it touches. False when all of it was known already."""
        if to_ms <= from_ms:
            return False
        joined = Stretch(from_ms, to_ms)
        for known in self.stretches:
            if known.from_ms <= from_ms and to_ms <= known.to_ms:
                return False
            if known.from_ms <= joined.to_ms and joined.from_ms <= known.to_ms:
                joined = Stretch(min(known.from_ms, joined.from_ms), max(known.to_ms, joined.to_ms))
        apart = [known for known in self.stretches if known.to_ms < joined.from_ms or known.from_ms > joined.to_ms]
        self.stretches = sorted([*apart, joined])
        return True

    def forget_before(self, ms: int) -> None:
        """Drop stretches that ended before: nobody's silence reaches that far back."""
        if self.stretches and self.stretches[0].to_ms < ms:
            self.stretches = [known for known in self.stretches if known.to_ms >= ms]

    def within(self, from_ms: int, to_ms: int) -> int:
        """Blind milliseconds between the two moments."""
        if not self.stretches or to_ms <= self.stretches[0].from_ms or from_ms >= self.stretches[-1].to_ms:
            return 0
        return sum(max(0, min(s.to_ms, to_ms) - max(s.from_ms, from_ms)) for s in self.stretches)

    def silence_ms(self, proof_ms: int, now_ms: int) -> int:
        """How long a component was silent while somebody could have heard it."""
        return max(0, now_ms - proof_ms - self.within(proof_ms, now_ms))

    def deadline_ms(self, proof_ms: int, silence_ms: int) -> int:
        """The earliest moment at which the silence since the proof of life has lasted so long, by what is known now."""
        deadline = proof_ms + silence_ms
        for stretch in self.stretches[max(0, bisect_right(self.stretches, Stretch(proof_ms, proof_ms)) - 1) :]:
            if stretch.to_ms <= proof_ms:
                continue
            if stretch.from_ms >= deadline:
                break
            deadline += stretch.to_ms - max(stretch.from_ms, proof_ms)
        return deadline
