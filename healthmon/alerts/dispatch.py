"""From events to sinks, at least once, by the replica that leads. Read `Term._take` first.

Promised: an event is acknowledged only after every sink that it is for took its message, or will never be told of it;
what one leader had read and not finished, the next one does. Of one incident a sink is told once, also across a
failover, unless the leader was killed between the delivery and writing it down: then again with the same id.
Not promised: an order between different sinks.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel
import tenacity

from healthmon.alerts.courier import Courier, Job, Letter
from healthmon.alerts.plan import Plan
from healthmon.core.alert import rfc3339
from healthmon.core.incidents import Incident, Judge, Overlay, Told, is_alert, key_of, read_incident, take_in
from healthmon.core.lease import Lease
from healthmon.core.routes import sinks_for
from healthmon.core.storms import Window
from healthmon.errors import Fenced, HealthmonError
from healthmon.store.deliveries import ITEMS_MAX, Deliveries, Settled
from healthmon.store.groups import Group
from healthmon.store.reading import StreamEntry

logger = logging.getLogger("healthmon.alerts")
_T = TypeVar("_T")
LOOK_S: Final = 0.1
# A former leader may have read after its lease was lost: what it owes is looked for again.
SWEEP_MS: Final = 10_000
AGAIN_S_MAX: Final = 2.0
# Where no leader delivered before, alerts of the last minute are told; older ones are news to nobody.
NEW_GROUP_MS: Final = 60_000
# Held ones that are looked at before others get their turn.
LOOKS: Final = 200


@dataclass
class Dispatcher:
    """Delivers while `leading()` returns a lease. `overlay`: what people laid over a component. One a replica.

    `counts`: (sink, delivered | failed | dead) -> how often, since the start of this process.
    """

    plan: Plan
    group: Group
    deliveries: Deliveries
    leading: Callable[[], Lease | None]
    now_ms: Callable[[], int]
    overlay: Callable[[str], Overlay]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def run(self) -> None:
        """Until cancelled; a term for each lease that this replica holds."""
        while True:
            lease = self.leading()
            if lease is None:
                await anyio.sleep(LOOK_S)
                continue
            try:
                await Term(self, lease).run()
            except* Fenced as fenced:
                logger.debug("alerts: %s", fenced.exceptions[0])
                await anyio.sleep(LOOK_S)


@dataclass
class Term:
    """The delivery of one leader under one lease. `_open`: events that are not acknowledged, and who still owes."""

    of: Dispatcher
    lease: Lease
    _open: dict[str, set[str]] = field(default_factory=dict)
    _pending: Settled = field(default_factory=Settled)
    _dirty: dict[str, Incident] = field(default_factory=dict)
    _pen: anyio.Lock = field(default_factory=anyio.Lock)
    _met: bool = False
    _swept_ms: int = 0

    def __post_init__(self) -> None:
        of, plan = self.of, self.of.plan
        self._judge = Judge(plan.rules, of.overlay)
        self._couriers = {
            name: Courier(
                name,
                sink,
                self._judge,
                Window(plan.window_ms, plan.cap),
                plan.retry_for_s,
                of.now_ms,
                self._settle,
                of.counts,
            )
            for name, sink in plan.sinks.items()
        }

    async def run(self) -> None:
        """Until the lease is another's. Raises Fenced, in a group, when the store says so first."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._until_over, group.cancel_scope)
            await _trying(self._remember)
            for courier in self._couriers.values():
                group.start_soon(courier.run)
                if courier.sink.refresh_s:
                    group.start_soon(courier.refresh)
            group.start_soon(self._look_at_held)
            if self.of.plan.rules.remind_ms:
                group.start_soon(self._remind)
            while True:
                await self._take(await _trying(self._read))

    async def _until_over(self, scope: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(LOOK_S)
            if self.of.leading() != self.lease:
                scope.cancel()

    # -- events ----------------------------------------------------------------------------------------------------

    async def _remember(self) -> None:
        """What the former leader told of whom."""
        for key, said in (await self.of.deliveries.incidents()).items():
            incident = read_incident(key, said)
            if incident is None:
                continue
            self._judge.incidents[key] = incident
            for name, told in incident.sinks.items():
                if told.held and name in self._couriers:
                    self._couriers[name].held[key] = None

    async def _read(self) -> list[StreamEntry]:
        """What comes next; after an error, and now and then, first what others read and did not finish."""
        group, now_ms = self.of.group, self.of.now_ms()
        try:
            if not self._met:
                await group.begin(f"{max(0, now_ms - NEW_GROUP_MS)}-0")
                self._met, self._swept_ms = True, now_ms
                return await group.claim(0)
            if now_ms - self._swept_ms >= SWEEP_MS:
                self._swept_ms = now_ms
                consumers = await group.consumers()
                await group.tidy(consumers)
                if any(one.pending and one.name != group.consumer for one in consumers):
                    return await group.claim(0)
            return await group.read()
        except HealthmonError:
            self._met = False
            raise

    async def _take(self, entries: list[StreamEntry]) -> None:
        """Give each alert to the sinks that it is for; what is no alert, or for nobody, is done with."""
        done = []
        for entry in entries:
            if entry.id in self._open:
                continue
            alert = _alert_in(entry)
            jobs = self._jobs(entry, alert) if alert is not None else {}
            if not jobs:
                done.append(entry.id)
                continue
            self._open[entry.id] = set(jobs)
            for name, job in jobs.items():
                await self._couriers[name].put(job)
        if done:
            self._pending.done += done
            await self._write()

    def _jobs(self, entry: StreamEntry, alert: Mapping[str, Any]) -> dict[str, Job]:
        """Sink -> what it is to be told. The end of an incident is for those that were to know of it."""
        key, data = key_of(alert), alert["data"]
        known = self._judge.incidents.get(key)
        if data["status"] == "resolved":
            names = [] if known is None else [name for name in known.sinks if name in self._couriers]
        else:
            names = list(sinks_for(alert, self.of.plan.routes, tuple(self._couriers)))
        if not names and known is None:
            return {}
        incident = take_in(alert, entry.fields.get("rule", ""), entry.ms, known)
        for name in names:
            incident.sinks.setdefault(name, Told())
        self._judge.incidents[key] = self._dirty[key] = incident
        if key in self._pending.over:
            self._pending.over.remove(key)
        if not names and incident.over:
            self._end(incident)
        return {name: Job(incident, alert, entry.ms, entry.id) for name in names}

    # -- what was held, what lasts ---------------------------------------------------------------------------------

    async def _look_at_held(self) -> None:
        """Tell what nothing holds any more."""
        every_s = min(1.0, self.of.plan.window_ms / 4000)
        while True:
            await anyio.sleep(every_s)
            for courier in self._couriers.values():
                for number, key in enumerate(list(courier.held)):
                    incident = self._judge.incidents.get(key)
                    if incident is None or incident.over:
                        courier.held.pop(key, None)
                    elif self._judge.released(incident, courier.name, self.of.now_ms()):
                        await courier.put(Job(incident, incident.alert, self.of.now_ms()))
                    if number % LOOKS == LOOKS - 1:
                        await anyio.lowlevel.checkpoint()

    async def _remind(self) -> None:
        every_s = min(60.0, self.of.plan.rules.remind_ms / 4000)
        while True:
            await anyio.sleep(every_s)
            for incident in list(self._judge.incidents.values()):
                for name in list(incident.sinks):
                    if name in self._couriers and self._judge.reminds(incident, name, self.of.now_ms()):
                        job = Job(incident, incident.alert, self.of.now_ms(), reminder=True)
                        await self._couriers[name].put(job)

    # -- what became of it -----------------------------------------------------------------------------------------

    async def _settle(self, sink: str, jobs: Sequence[Job], letters: Sequence[Letter]) -> None:
        """A sink is done with these: they are acknowledged with the last sink, or remembered until then."""
        for job in jobs:
            incident = job.incident
            if self._judge.incidents.get(incident.key) is incident:
                self._dirty[incident.key] = incident
            owing = self._open.get(job.entry)
            if owing is None:
                continue
            owing.discard(sink)
            if not owing:
                del self._open[job.entry]
                self._pending.done.append(job.entry)
                self._close(incident, job.alert)
        self._pending.dead += [_dead(letter, self.of.now_ms()) for letter in letters]
        await self._write()

    def _close(self, incident: Incident, alert: Mapping[str, Any]) -> None:
        """Nobody owes this alert any more."""
        for told in incident.sinks.values():
            if alert["id"] in told.took:
                told.took.remove(str(alert["id"]))
        if (incident.over and alert["data"]["status"] == "resolved") or incident.notice:
            self._end(incident)

    def _end(self, incident: Incident) -> None:
        if self._judge.incidents.pop(incident.key, None) is not None:
            self._dirty.pop(incident.key, None)
            self._pending.over.append(incident.key)

    async def _write(self) -> None:
        """Store all that is not stored yet, in one call at a time; whoever waited finds it stored. Raises Fenced."""
        async with self._pen:
            while self._pending.done or self._pending.dead or self._pending.over or self._dirty:
                await _trying(self._write_some)

    async def _write_some(self) -> None:
        """What is acknowledged goes with the records that say so; those are written first where they are too many."""
        keys = list(self._dirty)[:ITEMS_MAX]
        written = {key: self._dirty.pop(key) for key in keys}
        part, pending = Settled(), self._pending
        part.records = {key: json.dumps(one.to_dict(), separators=(",", ":")) for key, one in written.items()}
        if not self._dirty:
            part.done, part.over, part.dead = _some(pending.done), _some(pending.over), _some(pending.dead)
        try:
            await self.of.deliveries.settle(self.lease, part)
        except BaseException:
            self._dirty = {**written, **self._dirty}
            pending.done, pending.dead = part.done + pending.done, part.dead + pending.dead
            pending.over = [key for key in part.over if key not in self._judge.incidents] + pending.over
            raise


def _some(waiting: list[_T]) -> list[_T]:
    """The first of them, as many as one call may carry, taken out."""
    taken = waiting[:ITEMS_MAX]
    del waiting[:ITEMS_MAX]
    return taken


def _alert_in(entry: StreamEntry) -> Mapping[str, Any] | None:
    """The alert of an event, None where it has none, or what stands there is no alert."""
    text = entry.fields.get("json", "")
    try:
        alert: Any = json.loads(text) if text else None
    except ValueError:
        return None
    return {**alert, "data": {**alert["data"], "stream_id": entry.id}} if is_alert(alert) else None


def _dead(letter: Letter, now_ms: int) -> dict[str, str]:
    data = letter.alert["data"]
    return {
        "sink": letter.sink,
        "id": str(letter.alert["id"]),
        "component_id": str(data.get("component_id", "")),
        "summary": str(data["summary"]),
        "reason": letter.reason,
        "at": rfc3339(now_ms),
        "json": json.dumps(letter.alert, separators=(",", ":"), ensure_ascii=False),
    }


async def _trying(call: Callable[[], Awaitable[_T]]) -> _T:
    """Calls again after errors of the store, for ever; never after Fenced."""
    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda e: isinstance(e, HealthmonError) and not isinstance(e, Fenced)),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=AGAIN_S_MAX),
        sleep=anyio.sleep,
        before_sleep=_told_once,
        reraise=True,
    )
    return await attempts(call)


def _told_once(attempt: tenacity.RetryCallState) -> None:
    if attempt.attempt_number == 1 and attempt.outcome is not None:
        logger.warning("alerts wait for Redis: %s", attempt.outcome.exception())
