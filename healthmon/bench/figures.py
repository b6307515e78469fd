"""A measured figure, its target, and whether it is kept. Pure, but for the turns that `take_turns` gives."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, Literal

ROUNDS_MIN: Final = 5
# A reference that differs by more from one round to another was disturbed: the whole measurement is made again.
SPREAD_MAX: Final = 2.0
TRIES_MAX: Final = 4

Verdict = Literal["within", "misses"]
# One side of a comparison: does its work once and returns what that cost.
Side = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Target:
    """The most that a figure may be: so many times its reference where it has one, else so much in its own unit."""

    most: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `against` names the reference; `said` is what the specification promised, `note` what to know.

    `reference` None: the target is absolute.
    """

    what: str
    ours: float
    unit: str
    target: Target
    reference: float | None = None
    against: str = ""
    said: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the reference; None where there is none."""
        if self.reference is None:
            return None
        return self.ours / self.reference if self.reference else math.inf

    @property
    def verdict(self) -> Verdict:
        """Whether the target is kept. What could not be measured misses it."""
        measured = self.ours if self.ratio is None else self.ratio
        return "within" if measured <= self.target.most else "misses"

    @property
    def target_text(self) -> str:
        """The target for people."""
        if self.target.text:
            return self.target.text
        return f"<= {self.target.most:g} {self.unit if self.reference is None else 'x'}"

    def to_dict(self) -> dict[str, Any]:
        """The row for a program; keys are stable."""
        return {
            "what": self.what,
            "ours": _finite(self.ours),
            "unit": self.unit,
            "reference": _finite(self.reference),
            "against": self.against or None,
            "ratio": _finite(self.ratio),
            "target": self.target_text,
            "specification": self.said or None,
            "verdict": self.verdict,
            "note": self.note or None,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of all do not exceed; NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def spread(values: Sequence[float]) -> float:
    """How many times the smallest value the greatest is; infinite where that can't be said."""
    return max(values) / min(values) if values and min(values) > 0 else math.inf


async def take_turns(sides: Sequence[Side], rounds: int, *, reference: int = 0) -> list[float]:
    """The median of each side, all taking turns; measured anew while the reference was disturbed, four times at most.

    Of several measurements the one whose reference was calmest counts.
    """
    calmest, medians = math.inf, [math.nan] * len(sides)
    for _ in range(TRIES_MAX):
        costs: list[list[float]] = [[] for _ in sides]
        for _ in range(max(rounds, ROUNDS_MIN)):
            for cost, side in zip(costs, sides, strict=True):
                cost.append(await side())
        seen = spread(costs[reference])
        if seen < calmest:
            calmest, medians = seen, [median(cost) for cost in costs]
        if calmest <= SPREAD_MAX:
            break
    return medians


def _finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return round(value, 4) if value is not None and math.isfinite(value) else None
