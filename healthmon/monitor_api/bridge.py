"""EventBridge: the events of the fleet for a program that runs no replica, in whichever process it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from healthmon.core.event import EventType
from healthmon.core.health import EventsMissed, HealthEvent
from healthmon.errors import HealthmonError, Refused
from healthmon.monitor_api.feed import Callback, Feed
from healthmon.settings import load_client_settings
from healthmon.store.event_log import place
from healthmon.store.keys import Keys
from healthmon.store.runtime_folder import url_in

SUBSCRIPTIONS_MAX: Final = 100


class EventBridge:
    """Tells this program of everything that the leaders commit, whichever process leads [specification].

    Promised:
    - Every transition is told, also those that make no alert, once and in order to each subscription of a running
      bridge. They are read from the stream: while Redis is away nothing is lost, and reading goes on from where it was.
    - A slow subscriber delays nobody but itself, one that raises is logged and hears of the next event.
    - `since` goes on behind an event that an earlier run of the program was told of: keep its `stream_id`.

    Not promised: events that were trimmed (setting events_retention, 7 days) before they were read. How many is logged.

    Arguments win over HEALTH_REDIS_URL and HEALTH_PREFIX. Use it as a context manager, or `start` and `stop` it; both
    may be done again. Raises ConfigurationError for arguments that make no sense.
    """

    def __init__(self, redis_url: str | None = None, *, prefix: str | None = None) -> None:
        settings = load_client_settings(redis_url=redis_url, prefix=prefix)
        self._url = settings.redis_url
        self._keys = Keys(settings.prefix, 0)
        self._feed: Feed | None = None
        self._task: asyncio.Task[None] | None = None
        self._group: TaskGroup | None = None
        self._subscriptions = 0

    async def start(self) -> None:
        """Be ready for subscriptions; nothing is sent before the first. A second start does nothing."""
        if self._task is not None and not self._task.done():
            return
        url = url_in(self._url) if self._url.startswith("embedded://") else self._url
        begun, self._subscriptions = anyio.Event(), 0
        self._feed = Feed(url, self._keys, "bridge-events")
        self._task = asyncio.create_task(self._run(self._feed, begun), name="healthmon-bridge")
        await begun.wait()

    async def stop(self) -> None:
        """End every subscription; returns when no callback runs any more."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._group is not None:
            self._group.cancel_scope.cancel()
        await task

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def subscribe(self, event_type: EventType | str | None, callback: Callback, *, since: str = "") -> None:
        """Have `callback` called with every later event of the type (None: of every type), in order.

        A plain or an async function of one HealthEvent. `since`: begin behind this stream id instead of now; `0-0` is
        everything that is kept. Raises Refused for a type that there is not, an id that is none, or above a hundred
        subscriptions; StoreUnavailable, NotPermitted when it cannot be asked where the stream ends.
        """
        wanted = None if event_type is None else _event_type(event_type)
        feed, group = self._started()
        if self._subscriptions >= SUBSCRIPTIONS_MAX:
            raise Refused(
                f"this bridge has {SUBSCRIPTIONS_MAX} subscriptions, each a connection: subscribe to None once"
            )
        await group.start(feed.tell, wanted, callback, _checked(since))
        self._subscriptions += 1

    def events(self, since: str = "") -> AsyncGenerator[HealthEvent | EventsMissed, None]:
        """Every event behind this stream id, or from now on, for as long as it is iterated.

        Yields EventsMissed where events were trimmed before they were read. Raises StoreUnavailable when Redis is away;
        go on from the last `stream_id` then.
        """
        return self._started()[0].after(_checked(since))

    def _started(self) -> tuple[Feed, TaskGroup]:
        if self._feed is None or self._group is None:
            raise HealthmonError("this bridge is not started: await start() first")
        return self._feed, self._group

    async def _run(self, feed: Feed, begun: anyio.Event) -> None:
        """The one task that owns the subscriptions."""
        try:
            async with anyio.create_task_group() as self._group:
                begun.set()
                await anyio.sleep_forever()
        finally:
            self._group = self._feed = None
            with anyio.CancelScope(shield=True):
                await feed.close()


async def create_event_bridge(redis_url: str | None = None, *, prefix: str | None = None) -> EventBridge:
    """A bridge that is started; whoever creates it stops it."""
    bridge = EventBridge(redis_url, prefix=prefix)
    await bridge.start()
    return bridge


# The specification's name for the same.
create_trinity_bridge = create_event_bridge


def _event_type(given: EventType | str) -> EventType:
    with suppress(ValueError):
        return EventType(given)
    raise Refused(f"there is no event type {given!r}: {', '.join(one.value for one in EventType)}, or None for all")


def _checked(since: str) -> str | None:
    """A stream id to begin behind. Raises Refused."""
    if not since:
        return None
    with suppress(ValueError):
        ms, seq = place(since)
        return f"{ms}-{seq}"
    raise Refused(f"since is {since!r}, no stream id: give an event's stream_id, or 0-0 for everything that is kept")
