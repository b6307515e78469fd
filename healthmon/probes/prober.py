"""The prober: beside the leader's rounds and outside them it probes what is due, and reports what it saw."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from healthmon import clock
from healthmon.probes.callable import Call, Function
from healthmon.probes.kinds import probe
from healthmon.probes.process import ProbeProcess
from healthmon.probes.reports import EVERY_S, Outbox, Report, Send
from healthmon.probes.schedule import ProbeTarget, Schedule
from healthmon.probes.spec import ProbeResult, spec_of

logger = logging.getLogger("healthmon.probes")
# What is due is looked for at most so often: a turn serves all that came due and all that ended since the last.
TURN_S: Final = 0.02
# All components are looked over at most once a second and at most 2500 a second, in small portions: 8 us each.
SURVEY_S: Final = 1.0
PORTION: Final = 50
# A result is sent, folded and committed within so long; only then has the core a new wish.
FOLDED_S: Final = 0.5
# The process that makes the probes is bound to tell of one within its time-out; so long after it, it hangs itself.
OVERDUE_S: Final = 5.0
NO_EXEC: Final = "not run: this monitor runs no stored programs; HEALTH_ALLOW_EXEC=on allows them"


class Targets(Protocol):
    """What the prober sees of the components. Called in the loop that it runs in, often, and so to be cheap."""

    def leads(self) -> bool:
        """Whether this replica leads. A follower probes only what its own process has a callable for."""
        ...

    def ids(self) -> Collection[str]:
        """All components that have a probe. Asked for about once a second."""
        ...

    def target(self, component_id: str) -> ProbeTarget | None:
        """What the core wants of one component now; None when it is gone or has no probe."""
        ...


@dataclass(slots=True)
class _Flight:
    """A probe that was begun."""

    target: ProbeTarget
    ends_s: float
    elsewhere: bool


@dataclass
class Prober:
    """Probes until cancelled. `now_ms` is the Redis clock as carried along locally, 0 while it is not known.

    `places`: probes in flight at once. Register a Python function, or take it back, by `callables[id] = function`; it
    is called in this process, one call at a time.
    """

    targets: Targets
    send: Send
    now_ms: Callable[[], float]
    places: int = 50
    allow_exec: bool = False
    callables: dict[str, Function] = field(default_factory=dict)
    _calls: dict[str, Call] = field(default_factory=dict)
    _flights: dict[int, _Flight] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)
    _reported: list[tuple[float, str]] = field(default_factory=list)
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _led: bool = False

    def __post_init__(self) -> None:
        self._schedule = Schedule(self.places)
        self._process = ProbeProcess(self._end, self._lose)
        self._outbox = Outbox(self.send)

    async def run(self) -> None:
        """Probe until cancelled; programs and connections of probes in flight end with it."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._process.run)
            group.start_soon(self._outbox.run)
            group.start_soon(self._survey)
            while True:
                self._turn(group)
                await anyio.sleep(TURN_S)
                await self._until_something()

    def look_at(self, component_id: str) -> None:
        """The core may want something else of this component now: a breaker turned, a policy changed."""
        self._see(component_id, self.now_ms(), clock.monotonic_s())
        self._changed.set()

    # -- turns -----------------------------------------------------------------------------------------------------

    def _turn(self, group: TaskGroup) -> None:
        now_ms, now_s = self.now_ms(), clock.monotonic_s()
        self._follow_the_lead()
        if not now_ms:
            return
        while self._reported and self._reported[0][0] <= now_s:
            self._see(heapq.heappop(self._reported)[1], now_ms, now_s)
        self._make_place(now_s)
        for target in self._schedule.begin(now_ms, now_s, self._ask):
            self._begin(group, target, now_s)
        if any(flight.elsewhere and flight.ends_s + OVERDUE_S < now_s for flight in self._flights.values()):
            self._process.kill()

    def _make_place(self, now_s: float) -> None:
        overdue = set(self._schedule.overdue(now_s))
        for number, flight in list(self._flights.items()) if overdue else ():
            if flight.target.id in overdue and flight.elsewhere:
                self._stop(number)
                self._schedule.put_back(flight.target.id)

    async def _until_something(self) -> None:
        now_s = clock.monotonic_s()
        until_s = self._schedule.next_s(now_s)
        if self._reported:
            until_s = min(until_s, self._reported[0][0])
        if self._flights:
            until_s = min(until_s, now_s + OVERDUE_S)
        with anyio.move_on_after(max(0.0, until_s - now_s)):
            await self._changed.wait()
        self._changed = anyio.Event()

    async def _survey(self) -> None:
        """Look over all components again and again: for those that are new, gone, or wanted at another time."""
        while True:
            begun_s = clock.monotonic_s()
            self._calls = {one: call for one, call in self._calls.items() if one in self.callables or call.busy}
            wanted = {*(self.targets.ids() if self.targets.leads() else ()), *self.callables}
            gone = [one for one in self._schedule.ids if one not in wanted]
            for looked, component_id in enumerate([*gone, *wanted], 1):
                self._see(component_id, self.now_ms(), clock.monotonic_s())
                if looked % PORTION == 0:
                    await anyio.sleep(TURN_S)
            self._changed.set()
            await anyio.sleep(max(TURN_S, begun_s + SURVEY_S - clock.monotonic_s()))

    def _follow_the_lead(self) -> None:
        """When it ends, so do the probes that belong to it: the next leader makes them."""
        leads = self.targets.leads()
        if self._led and not leads:
            now_ms, now_s = self.now_ms(), clock.monotonic_s()
            for number, flight in list(self._flights.items()):
                if flight.elsewhere:
                    self._stop(number)
                    self._schedule.end(flight.target.id, now_ms, now_s)
            for component_id in self._schedule.ids:
                if component_id not in self.callables:
                    self._schedule.see(component_id, None, now_ms, now_s)
        self._led = leads

    def _see(self, component_id: str, now_ms: float, now_s: float) -> None:
        if now_ms:
            self._schedule.see(component_id, self._ask(component_id), now_ms, now_s)

    def _ask(self, component_id: str) -> ProbeTarget | None:
        """What this replica is to do for a component: all when it leads, else only to call what only it can call."""
        target = self.targets.target(component_id)
        if target is None:
            return None
        if target.probe.get("callable"):
            return target if component_id in self.callables else None
        return target if self.targets.leads() else None

    # -- probes ----------------------------------------------------------------------------------------------------

    def _begin(self, group: TaskGroup, target: ProbeTarget, now_s: float) -> None:
        number, elsewhere = next(self._numbers), not target.probe.get("callable")
        self._flights[number] = _Flight(target, now_s + target.timeout_s, elsewhere)
        if target.probe.get("exec") and not self.allow_exec:
            self._end(number, ProbeResult("failed", 0, NO_EXEC))
        elif elsewhere:
            self._process.begin(number, spec_of(target.probe), target.timeout_s)
        else:
            group.start_soon(self._call, number, target)

    async def _call(self, number: int, target: ProbeTarget) -> None:
        if sum(call.busy for call in self._calls.values()) >= self.places:
            self._end(number, ProbeResult("unmade", 0, "too many callables of other components have not returned"))
            return
        function, call = self.callables.get(target.id), self._calls.get(target.id)
        if function is None:
            self._end(number, ProbeResult("unmade", 0, "its callable was taken back"))
            return
        if call is None or call.function is not function:
            call = self._calls[target.id] = Call(function)
        self._end(number, await probe(spec_of(target.probe, call.make), target.timeout_s))

    def _end(self, number: int, result: ProbeResult) -> None:
        flight = self._flights.pop(number, None)
        if flight is None:
            return  # it was stopped
        target, now_s = flight.target, clock.monotonic_s()
        self._schedule.end(target.id, self.now_ms(), now_s)
        if result.outcome == "unmade":
            logger.warning("%s was not probed: %s", target.id, result.detail)
        else:
            report = Report(target.id, target.generation, result.outcome, result.ms, result.detail)
            self._outbox.add(report, keep_s=target.interval_s, urgent=target.urgent)
        heapq.heappush(self._reported, (now_s + FOLDED_S + (0 if target.urgent else EVERY_S), target.id))
        self._changed.set()

    def _stop(self, number: int) -> None:
        del self._flights[number]
        self._process.stop(number)

    def _lose(self) -> None:
        """The process that made them is gone; what they would have seen is not known."""
        now_ms, now_s = self.now_ms(), clock.monotonic_s()
        for number, flight in list(self._flights.items()):
            if flight.elsewhere:
                del self._flights[number]
                self._schedule.end(flight.target.id, now_ms, now_s)
        self._changed.set()
