"""One number for how well a component does: 1.00 is well, below 0.70 degraded, below 0.40 unhealthy.

Each metric has a row (good, warn, critical): 1.0 up to good, 0.7 at warn, 0.4 at critical, 0 at twice critical, linear
between. The score is the worst of the rows, so that a reason can name the metric. To score another metric by default,
add a row here; for one component, set `score` in its policy. A row that falls (good > warn > critical) scores a metric
of which less is worse; it reaches 0 at half of critical.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WARN_SCORE: Final = 0.7
CRITICAL_SCORE: Final = 0.4
# A silent component shows at most this score, by its stage: it may not look well because its last words were.
SILENT_SCORES: Final = (1.0, 0.69, 0.39, 0.0)


class Row(NamedTuple):
    """The values of one metric at which it stops being good, gives a warning, and is critical."""

    good: float
    warn: float
    critical: float


# latency: the specification's 450 ms must be degraded. cpu_percent is of what the component may use, and never makes
# it unhealthy: a busy worker is not ill. error_rate is per second.
DEFAULT_ROWS: Final[Mapping[str, Row]] = {
    "latency_ms": Row(50, 200, 1000),
    "cpu_percent": Row(70, 85, 95),
    "error_rate": Row(0.1, 1, 10),
}
FLOORS: Final[Mapping[str, float]] = {"cpu_percent": CRITICAL_SCORE}


def metric_score(value: float, row: Row) -> float:
    """The score of one value under one row, 0.0 to 1.0."""
    good, warn, critical = row
    if good > critical:
        value, good, warn, critical = -value, -good, -warn, -critical
        end = critical / 2
    else:
        end = critical * 2
    if value <= good:
        return 1.0
    if value <= warn:
        return WARN_SCORE + (1.0 - WARN_SCORE) * (warn - value) / (warn - good)
    if value <= critical:
        return CRITICAL_SCORE + (WARN_SCORE - CRITICAL_SCORE) * (critical - value) / (critical - warn)
    if value >= end:
        return 0.0
    return CRITICAL_SCORE * (end - value) / (end - critical)


def score_of(metrics: Mapping[str, float], rows: Mapping[str, Row]) -> tuple[float, str]:
    """The worst row's score, and the name of its metric ("" when every one is good)."""
    worst, name = 1.0, ""
    for metric, row in rows.items():
        value = metrics.get(metric)
        if value is None or (value <= row[0] and row[0] < row[2]):
            continue
        score = max(metric_score(value, row), FLOORS.get(metric, 0.0))
        if score < worst:
            worst, name = score, metric
    return worst, name


def band_of(score: float) -> int:
    """0 good, 1 degraded, 2 unhealthy."""
    if score >= WARN_SCORE:
        return 0
    return 1 if score >= CRITICAL_SCORE else 2


def good_bounds(names: Sequence[str], rows: Mapping[str, Row]) -> tuple[tuple[float, float], ...]:
    """Between which values each metric surely leaves the score in the good band; no other than a finite number does."""
    return _bounds(tuple(rows.get(name) for name in names))


@lru_cache(maxsize=1024)
def _bounds(rows: tuple[Row | None, ...]) -> tuple[tuple[float, float], ...]:
    """At the very warn value rounding decides, so that one is left out."""
    most = sys.float_info.max
    return tuple(
        (-most, most)
        if row is None
        else (-most, math.nextafter(row.warn, -math.inf))
        if row.good < row.critical
        else (math.nextafter(row.warn, math.inf), most)
        for row in rows
    )
