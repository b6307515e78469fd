"""A fleet to probe as the core would want it: it folds what is reported, and sets each next due time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import anyio
import msgpack

from healthmon.probes.prober import Prober
from healthmon.probes.schedule import NEVER_MS, ProbeTarget


def now_ms() -> float:
    """Stands for the Redis clock; a million ahead, so that nobody takes it for the local one."""
    return monotonic() * 1000 + 1_000_000_000


@dataclass
class Wishes:
    """The targets of a prober, and what it reported. `folds`: a report makes the next probe due an interval later."""

    leading: bool = True
    folds: bool = True
    wanted: dict[str, ProbeTarget] = field(default_factory=dict)
    reports: list[tuple[Any, ...]] = field(default_factory=list)
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    fails_with: Exception | None = None

    def want(
        self,
        component_id: str,
        part: Mapping[str, Any],
        *,
        interval_s: float = 60,
        timeout_s: float = 5.0,
        in_s: float = 0.0,
        urgent: bool = False,
    ) -> None:
        due_ms = round(now_ms() + in_s * 1000)
        self.wanted[component_id] = ProbeTarget(component_id, part, interval_s, timeout_s, 7, due_ms, urgent)

    def want_at_once(self, component_id: str, part: Mapping[str, Any]) -> None:
        """Urgently, as the core wants what a half-open breaker permits."""
        self.want(component_id, part, urgent=True)

    def forbid(self, component_id: str) -> None:
        self.wanted[component_id] = replace(self.wanted[component_id], due_ms=NEVER_MS)

    def of(self, component_id: str) -> list[tuple[Any, ...]]:
        return [report for report in self.reports if report[0] == component_id]

    # -- as the prober sees it -------------------------------------------------------------------------------------

    def leads(self) -> bool:
        return self.leading

    def ids(self) -> Collection[str]:
        return self.wanted.keys()

    def target(self, component_id: str) -> ProbeTarget | None:
        return self.wanted.get(component_id)

    async def send(self, pack: bytes) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        self.sent.append((monotonic(), pack))
        for report in msgpack.unpackb(pack):
            self.reports.append(tuple(report))
            target = self.wanted.get(report[0])
            if target is not None and self.folds:
                due_ms = round(now_ms() + target.interval_s * 1000)
                self.wanted[report[0]] = replace(target, due_ms=due_ms, urgent=False)


@asynccontextmanager
async def probing(wishes: Wishes, **options: Any) -> AsyncIterator[Prober]:
    """A prober at work on these."""
    prober = Prober(wishes, wishes.send, now_ms, **options)
    async with anyio.create_task_group() as group:
        group.start_soon(prober.run)
        yield prober
        group.cancel_scope.cancel()
