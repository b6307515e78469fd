"""Evidence from the control stream: what probes found, and what somebody recorded as a failure.

Folded by every replica alike, in the order of the stream's ids; a record's own mark says through which it is folded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from healthmon.core.failures import OK, REFUSED
from healthmon.core.fold import fold_metrics
from healthmon.core.marks import mark

if TYPE_CHECKING:
    from healthmon.core.component import Component

OUTCOMES: Final = (OK, "failed", REFUSED)


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What one probe found. `ms`: how long it took."""

    id: str
    generation: int
    outcome: str
    ms: float
    detail: str
    registers: ClassVar[bool] = False

    def fold(self, component: Component, arrival_ms: int) -> None:
        """Change the evidence of the record that it is of."""
        fold_probe(component, self, arrival_ms)


@dataclass(frozen=True, slots=True)
class FailureReport:
    """A failure that somebody recorded."""

    id: str
    detail: str
    registers: ClassVar[bool] = True

    def fold(self, component: Component, arrival_ms: int) -> None:
        """Change the evidence of the record that it is of."""
        fold_failure(component, self.detail, arrival_ms)


Report = ProbeReport | FailureReport


def report_mark(component: Component) -> tuple[int, int, int]:
    """How far the reports of a component are folded."""
    return mark(0, component.reports_folded.encode()) if component.reports_folded else (0, 0, 0)


def fold_probe(component: Component, report: ProbeReport, arrival_ms: int) -> None:
    """Fold one probe's result. One of an earlier generation than was seen already is late, and changes nothing."""
    known = component.probes
    if report.generation < known.generation:
        return
    if report.generation > known.generation:
        known = replace(known, generation=report.generation, failed=0, good=0)
    good = report.outcome == OK
    component.probes = replace(
        known,
        at_ms=arrival_ms,
        ok_ms=arrival_ms if good else known.ok_ms,
        outcome=report.outcome,
        detail=report.detail,
        failed=0 if good else known.failed + 1,
        good=known.good + 1 if good else 0,
    )
    if not good:
        return
    component.alive_since_ms = component.alive_since_ms or arrival_ms
    component.failures = replace(component.failures, recorded=0)
    if component.probed_latency or "latency_ms" not in component.metrics:
        fold_metrics(component, {**component.metrics, "latency_ms": report.ms}, arrival_ms)
        component.probed_latency = True


def fold_failure(component: Component, detail: str, arrival_ms: int) -> None:
    """Fold a failure that somebody recorded; an ok heartbeat or a good probe answers it."""
    known = component.failures
    component.failures = replace(
        known, recorded=known.recorded + 1, total=known.total + 1, source="recorded", detail=detail, at_ms=arrival_ms
    )
