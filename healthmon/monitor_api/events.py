"""What a program hears through a monitor object: every committed event, as an iteration or by callbacks."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import anyio
from anyio.abc import TaskGroup, TaskStatus

from healthmon.core.event import EventType
from healthmon.core.health import EventsMissed, HealthEvent, event_of
from healthmon.errors import HealthmonError
from healthmon.monitor_api.membership import Membership
from healthmon.store.calls import Client, open_raw
from healthmon.store.codec import read_event
from healthmon.store.event_log import EventLog

logger = logging.getLogger("healthmon")
Callback = Callable[[HealthEvent], Awaitable[None] | None]


class Events:
    """The subscriptions of one monitor object, and its readers of the log."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._subscriptions: list[tuple[EventType | None, Callback]] = []
        self._readers: set[Client] = set()
        self._group: TaskGroup | None = None
        membership.beside(self._begin, self._end)

    async def subscribe(self, event_type: EventType | str | None, callback: Callback) -> None:
        """Call back with every later event of the type."""
        wanted = None if event_type is None else EventType(event_type)
        self._subscriptions.append((wanted, callback))
        if self._group is not None:
            await self._group.start(self._tell, wanted, callback)

    async def after(self, since: str | None) -> AsyncGenerator[HealthEvent | EventsMissed, None]:
        """Every event after the stream id, or from now on."""
        settings, keys = self._membership.replica.settings, self._membership.keys
        client = open_raw(settings.redis_url, name=f"{settings.replica_id}-events", dedicated=True)
        self._readers.add(client)
        try:
            log = EventLog(client, keys)
            at = since if since is not None else await log.last()
            while True:
                gap = await log.gap(at)
                if gap is not None:
                    at = "0-0"
                    yield EventsMissed(gap.missed_max, gap.first)
                async for event in _read_on(log, at):
                    at = event.stream_id
                    yield event
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()
            self._readers.discard(client)

    async def _begin(self, group: TaskGroup) -> None:
        """The replica has joined: from here on subscribers hear of events."""
        self._group = group
        for event_type, callback in self._subscriptions:
            await group.start(self._tell, event_type, callback)

    async def _end(self) -> None:
        """An iteration that was left by `break` still has its connection; it ends with the monitor."""
        self._group = None
        for client in list(self._readers):
            await client.aclose()

    async def _tell(self, wanted: EventType | None, callback: Callback, *, task_status: TaskStatus[None]) -> None:
        at: str | None = await EventLog(self._membership.client, self._membership.keys).last()
        task_status.started()
        while True:
            try:
                async with aclosing(self.after(at)) as events:
                    async for event in events:
                        at = event.stream_id
                        if isinstance(event, EventsMissed):
                            logger.warning("a subscriber missed up to %d events: they were trimmed", event.missed_max)
                        elif wanted is None or event.event_type is wanted:
                            await _call(callback, event)
            except HealthmonError as away:
                logger.debug("subscription waits: %s", away)
                await anyio.sleep(0.5)


async def _read_on(log: EventLog, at: str) -> AsyncIterator[HealthEvent]:
    """Events as they come, until a read was so full that some may have been trimmed meanwhile."""
    while True:
        entries = await log.after(at, block=True)
        for entry in entries:
            at = entry.id
            event = read_event(entry.id, entry.fields)
            if event is not None:
                yield event_of(event)
        if len(entries) > 1:
            return


async def _call(callback: Callback, event: HealthEvent) -> None:
    try:
        answer = callback(event)
        if answer is not None:
            await answer
    except Exception:
        logger.exception("a subscriber failed at event %s", event.stream_id)
