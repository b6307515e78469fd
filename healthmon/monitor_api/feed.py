"""The committed events as a program reads them: an iteration, or a callback that is called in order.

From the stream, never from pub/sub: what came while a reader was away is read when it is back.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import anyio
from anyio.abc import TaskStatus

from healthmon.core.event import EventType
from healthmon.core.health import EventsMissed, HealthEvent, event_of
from healthmon.errors import HealthmonError
from healthmon.store.calls import Client, open_raw
from healthmon.store.codec import read_event
from healthmon.store.event_log import START, EventLog
from healthmon.store.keys import Keys

logger = logging.getLogger("healthmon")
Callback = Callable[[HealthEvent], Awaitable[None] | None]
AWAY_S = 0.5


class Feed:
    """Readers of the events of one shard, each on a connection of its own. `name`: what the server calls those."""

    def __init__(self, url: str, keys: Keys, name: str) -> None:
        self._url = url
        self._keys = keys
        self._name = name
        self._readers: set[Client] = set()

    async def after(self, since: str | None) -> AsyncGenerator[HealthEvent | EventsMissed, None]:
        """Every event after the stream id, or from now on. Raises StoreUnavailable when Redis is away."""
        client = open_raw(self._url, name=self._name, dedicated=True)
        self._readers.add(client)
        try:
            log = EventLog(client, self._keys)
            at = since if since is not None else await log.last()
            while True:
                gap = await log.gap(at)
                if gap is not None:
                    at = START
                    yield EventsMissed(gap.missed_max, gap.first)
                async for event in _read_on(log, at):
                    at = event.stream_id
                    yield event
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()
            self._readers.discard(client)

    async def tell(
        self, wanted: EventType | None, callback: Callback, since: str | None, *, task_status: TaskStatus[None]
    ) -> None:
        """Call back with every event of the type after the stream id, or from now on, for ever.

        Started once it is known from where on it reads: raises StoreUnavailable where that cannot be asked. Later it
        goes on from the last event when Redis is back. A callback that raises is logged.
        """
        at = since if since is not None else await self._last()
        task_status.started()
        while True:
            try:
                async with aclosing(self.after(at)) as events:
                    async for event in events:
                        if isinstance(event, EventsMissed):
                            _tell_missed(event)
                            continue  # it is not behind these before it has read the next one
                        if wanted is None or event.event_type is wanted:
                            await _call(callback, event)
                        at = event.stream_id
            except HealthmonError as away:
                logger.debug("subscription waits: %s", away)
                await anyio.sleep(AWAY_S)

    async def close(self) -> None:
        """Close the connections of iterations that were left by `break`."""
        for client in list(self._readers):
            await client.aclose()

    async def _last(self) -> str:
        async with open_raw(self._url, name=self._name) as client:
            return await EventLog(client, self._keys).last()


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


def _tell_missed(event: EventsMissed) -> None:
    if event.missed_max:
        logger.warning("a subscriber missed up to %d events: they were trimmed", event.missed_max)
    else:
        logger.warning("a subscriber may have missed events: the data was lost or is another")


async def _call(callback: Callback, event: HealthEvent) -> None:
    try:
        answer = callback(event)
        if answer is not None:
            await answer
    except Exception:
        logger.exception("a subscriber failed at event %s", event.stream_id)
