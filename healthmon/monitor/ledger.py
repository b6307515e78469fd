"""The leader's pen: turns decisions into commits, stores the busy fields in bulk, reads back what was in conflict."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import anyio
import tenacity

from healthmon import clock
from healthmon.core.alert import alert_of, shard_alert_of
from healthmon.core.component import Component
from healthmon.core.decide import FIRING
from healthmon.core.event import Event, EventType, apply, recovered
from healthmon.core.guard import RULE as MASS_FAILURE
from healthmon.core.marks import id_ms
from healthmon.core.measures import Measures
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.errors import Fenced, GenerationChanged, HealthmonError, NotPermitted
from healthmon.monitor.busy_fields import BusyFields
from healthmon.monitor.leadership import Leadership
from healthmon.monitor.refold import refold, refold_after
from healthmon.settings import Settings
from healthmon.store.calls import Client
from healthmon.store.commits import CHANGES_MAX, Batch, Change, Commits, Outcome, ShardEvent, alert_text
from healthmon.store.keys import Keys
from healthmon.store.streams import Tail
from healthmon.store.tables import load_components

logger = logging.getLogger("healthmon.monitor")
CHANGES_FIRST = 25
# A component whose record was not as expected so many times in a row is told of: somebody else writes it.
CONFLICTS_TOLD = 3
TRIM_EVERY_S = 10.0
KEPT_CONTROL_MS = 60_000
MINUTE_MS = 60_000
KEPT_BLIND_MS = 7 * 86_400_000

Decision = tuple[Component, tuple[Event, ...]]


@dataclass
class Ledger:
    """Writes under one leadership at a time. `client` is the commit connection: nothing else uses it."""

    settings: Settings
    keys: Keys
    table: Table
    tail: Tail
    commits: Commits
    client: Client
    reader: Client
    busy: BusyFields
    measures: Measures
    generation: str = ""
    stored_control: bytes = b""
    guard_events: int = 0
    _shard_events: list[ShardEvent] = field(default_factory=list)
    _conflicts: Counter[str] = field(default_factory=Counter)
    _trim_due_s: float = 0.0

    # -- commits ---------------------------------------------------------------------------------------------------

    async def commit(self, leadership: Leadership, decisions: Iterable[Decision], moment: Moment) -> None:
        """Commit decisions, and what else waits to be stored, in calls of at most 200 changes; apply what was taken.

        The first calls of many are smaller, and decisions are taken as they are needed: what is due first is told
        while the rest is not decided yet.
        """
        waiting, part, most = iter(decisions), list[Decision](), CHANGES_FIRST
        try:
            while part := list(islice(waiting, most)):
                await self._commit_part(leadership, part, moment)
                most = min(2 * most, CHANGES_MAX)
        except BaseException:
            self.table.changed.update((component.id, None) for component, _ in chain(part, waiting))
            raise

    async def _commit_part(self, leadership: Leadership, part: Sequence[Decision], moment: Moment) -> None:
        kept = [one for one in part if one[1][0].type is not EventType.FORGOTTEN]
        if kept:
            await self._commit(leadership, [self._change(leadership, *one) for one in kept], moment)
        for component, events in part:
            if events[0].type is EventType.FORGOTTEN:
                await self.forget(leadership, component, events[0], moment)

    async def finish(self, leadership: Leadership, moment: Moment, control: bytes) -> None:
        """The round's last call: refusals, blind time, trims, and the control cursor when it moved."""
        moved = control != self.stored_control
        table = self.table
        if not (moved or table.rejections or table.new_stretches or self._shard_events or self._trims_due()):
            return
        cursor = {"control": control.decode()} if moved else {}
        outcome = await self._commit(leadership, [], moment, cursor)
        if moved and not outcome.refused:
            self.stored_control = control

    def tell(
        self,
        rule: str,
        reason: str,
        at_ms: int,
        leadership: Leadership,
        *,
        alert: bool = False,
        cause: str = "",
        **fields: str,
    ) -> None:
        """Have an event of the shard itself committed with the next call: an operator's when a command is the cause.

        `alert`: people must know. `fields`: what `P:guard` and followers keep of it.
        """
        event = Event(
            EventType.OPERATOR if cause else EventType.GUARD,
            "",
            rev=0,
            born_ms=0,
            at_ms=at_ms,
            reason=reason,
            rule=rule,
            cause=cause,
            set=fields,
        )
        self._tell(leadership, event, alert=alert)

    def _tell(self, leadership: Leadership, event: Event, *, alert: bool) -> None:
        self.guard_events += 1
        signed, number, keys = self._signed(leadership, event), self.guard_events, self.keys
        told = shard_alert_of(signed, number, leadership.generation, keys.prefix, keys.shard) if alert else None
        self._shard_events.append(ShardEvent(signed, number, signed.set, alert_text(told)))

    async def obey(
        self, leadership: Leadership, component: Component, events: tuple[Event, ...], moment: Moment
    ) -> bool:
        """Commit the events of a command before it is acted on. False when the record was not as expected."""
        outcome = await self._commit(leadership, [self._change(leadership, component, events)], moment)
        return component.id not in outcome.refused

    async def forget(self, leadership: Leadership, component: Component, event: Event, moment: Moment) -> None:
        """Remove a component's record; the event and a tombstone stay."""
        signed = self._signed(leadership, event)
        signed = replace(signed, set={"incarnation": component.incarnation, **signed.set})
        alert = alert_text(alert_of(component, component, signed, self.keys.prefix, self.keys.shard))
        leadership.check()
        await self.commits.forget(self.client, leadership.lease, leadership.generation, signed, alert)
        self.measures.note_alerts(signed, alert)
        self.table.apply(signed, moment)
        self._log(signed)

    async def _commit(
        self,
        leadership: Leadership,
        changes: Sequence[Change],
        moment: Moment,
        cursor: Mapping[str, str] | None = None,
    ) -> Outcome:
        rejections = [self.table.rejections.popleft() for _ in range(min(CHANGES_MAX, len(self.table.rejections)))]
        counts = Counter(rejection.reason for rejection in rejections)
        if self.table.rejections_lost:
            counts["not_kept"] = self.table.rejections_lost
        stretches, told = list(self.table.new_stretches), list(self._shard_events)
        if rejections:
            cursor = {**(cursor or {}), "rejected": rejections[-1].entry}
        batch = Batch(
            changes=changes,
            rejections=rejections,
            rejected_counts=counts,
            stretches=stretches,
            shard_events=told,
            cursor=cursor or {},
            trims=self._trims(moment),
            restarts_concurrent=self.settings.restarts_concurrent,
            restarts_per_minute=self.settings.restarts_per_minute,
            minute_from_ms=moment.now_ms - MINUTE_MS,
        )
        try:
            outcome = await self._until_answered(leadership, batch)
        except BaseException:
            self.table.rejections.extendleft(reversed(rejections))
            raise
        self.table.rejections_lost = 0
        del self.table.new_stretches[: len(stretches)], self._shard_events[: len(told)]
        self.measures.note_batch(batch.rejections, counts["not_kept"], stretches)
        for one in told:
            self.measures.note_alerts(one.event, one.alert)
        await self._settle(changes, outcome, moment)
        return outcome

    async def _until_answered(self, leadership: Leadership, batch: Batch) -> Outcome:
        """Send the commit until it is answered or the lease is over; its id makes a repeat harmless.

        A script that broke off half-way is repeated too: it then finds what it had appended.
        """
        commit_id = leadership.next_commit()

        async def send() -> Outcome:
            leadership.check()
            return await self.commits.commit(self.client, leadership.lease, leadership.generation, commit_id, batch)

        def again(error: BaseException) -> bool:
            is_final = isinstance(error, Fenced | GenerationChanged | NotPermitted)
            return isinstance(error, HealthmonError) and not is_final and leadership.may_write()

        try:
            return await send()  # nearly always the only try; what repeats takes ten microseconds even then
        except HealthmonError as error:
            first = error
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(again),
            wait=tenacity.wait_random(0.01, 0.05),
            sleep=anyio.sleep,
            before_sleep=self._note_repeat,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise first
                return await send()
        raise AssertionError("tenacity ends by returning or raising")

    def _note_repeat(self, attempt: tenacity.RetryCallState) -> None:
        """Every error is counted; of several in a row the first is told."""
        error = attempt.outcome.exception() if attempt.outcome is not None else None
        if isinstance(error, HealthmonError):
            self.measures.note_error(error)
        if attempt.attempt_number == 1:
            logger.warning("a commit was not answered and is sent again: %s", error)

    async def _settle(self, changes: Sequence[Change], outcome: Outcome, moment: Moment) -> None:
        """Apply what was taken, read back what was not."""
        committed_ms = id_ms(outcome.event.encode()) if outcome.event else moment.now_ms
        for change in changes:
            if change.after.id in outcome.refused:
                continue
            self._conflicts.pop(change.after.id, None)
            for event, alert in zip(change.events, change.alerts, strict=True):
                self.measures.note_event(change.before, event, moment, committed_ms)
                self.measures.note_alerts(event, alert)
                self.table.apply(event, moment)
                self._log(event)
        if outcome.refused:
            for component_id, why in outcome.refused.items():
                if why == "BUDGET":
                    continue
                self._conflicts[component_id] += 1
                if self._conflicts[component_id] == CONFLICTS_TOLD:
                    logger.error(
                        "%s: its record was refused %d times (%s): somebody else writes it",
                        component_id,
                        CONFLICTS_TOLD,
                        why,
                    )
            await self.read_back(set(outcome.refused))

    async def read_back(self, ids: set[str]) -> None:
        """Take these records from their hashes, and fold again what they have not seen of the stream."""
        stored = await load_components(self.reader, self.keys, ids, self.table.defaults)
        unstored = dict[str, int]()
        for component_id in ids - stored.keys():
            held = self.table.components.get(component_id)
            if held is not None and not held.rev:  # heard from and not committed yet: a former life's events led here
                unstored[component_id] = max(held.born_ms - 1, self.table.gone.get(component_id, (0, ""))[0])
            self.table.drop(component_id)
        for component in [one for one in stored.values() if self._is_ahead_of(one)]:
            # The event was seen and the record is older: a commit broke off half-way and its leader is gone.
            held = self.table.components[component.id]
            await self.commits.merge(self.reader, self.generation, [(held, recovered(held, self.settings.replica_id))])
            del stored[component.id]
        for component in stored.values():
            self.table.put(component)
            self.table.changed[component.id] = None
        await refold(self.table, self.tail, stored.values())
        await refold_after(self.table, self.tail, unstored)

    def _is_ahead_of(self, stored: Component) -> bool:
        held = self.table.get(stored.id)
        return held is not None and held.born_ms == stored.born_ms and held.rev > stored.rev

    def _change(self, leadership: Leadership, component: Component, events: tuple[Event, ...]) -> Change:
        signed = tuple(self._signed(leadership, event) for event in events)
        step, alerts = component, []
        for event in signed:
            before, step = step, copy.copy(step)
            apply(step, event, self.table.defaults)
            causes = self._firing_causes(step) if event.type is EventType.TRANSITION else []
            alerts.append(alert_text(alert_of(before, step, event, self.keys.prefix, self.keys.shard, causes=causes)))
        return Change(component, step, signed, tuple(alerts))

    def _firing_causes(self, component: Component) -> list[str]:
        """The incidents of dependencies that are down: what people were told already explains this one."""
        known = (self.table.components.get(one) for one in component.policy.depends_on)
        return [one.incident for one in known if one is not None and one.incident and one.state in FIRING]

    def _signed(self, leadership: Leadership, event: Event) -> Event:
        return replace(event, epoch=leadership.lease.epoch, replica=leadership.lease.replica)

    def _log(self, event: Event) -> None:
        if event.type is EventType.TRANSITION:
            logger.info("%s: %s -> %s: %s", event.id, event.source, event.target, event.reason)
        else:
            logger.info("%s: %s: %s", event.id or "shard", event.type.value, event.reason)

    def begin(self, leadership: Leadership) -> None:
        """A new term: everything that is not stored yet is stored again, and said under its own epoch.

        Not what answered a command: that one is obeyed anew. Nor a turn of the brake: it is judged anew.
        """
        self.busy.begin()
        unsaid, self._shard_events = self._shard_events, []
        for one in unsaid:
            if not one.event.cause and one.event.rule != MASS_FAILURE:
                self._tell(leadership, one.event, alert=bool(one.alert))

    def due_s(self) -> float:
        """The local moment at which something of this is due, for whoever waits."""
        return self.busy.due_s(self._trim_due_s)

    # -- trimming --------------------------------------------------------------------------------------------------

    def _trims_due(self) -> bool:
        return clock.monotonic_s() >= self._trim_due_s

    def _trims(self, moment: Moment) -> dict[str, str]:
        """What no reader needs any more: by age, and never past the cursors."""
        if not self._trims_due():
            return {}
        self._trim_due_s = clock.monotonic_s() + TRIM_EVERY_S
        now_ms, keys = moment.now_ms, self.keys
        cursor_ms = int(self.busy.cursor.get("heartbeats", "0:0-0").partition(":")[2].partition("-")[0])
        oldest = {
            keys.heartbeats: min(cursor_ms, now_ms - self.table.longest_timeout_ms * 6 // 5),
            keys.control: min(int(self.stored_control.partition(b"-")[0] or 0), now_ms - KEPT_CONTROL_MS),
            keys.events: now_ms - round(self.settings.events_retention * 1000),
            keys.restarts: now_ms - round(self.settings.restarts_retention * 1000),
            keys.blind: now_ms - KEPT_BLIND_MS,
        }
        return {stream: str(ms) for stream, ms in oldest.items() if ms > 0}
