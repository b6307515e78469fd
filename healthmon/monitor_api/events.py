"""What a program hears through a monitor object: every committed event, as an iteration or by callbacks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from anyio.abc import TaskGroup

from healthmon.core.event import EventType
from healthmon.core.health import EventsMissed, HealthEvent
from healthmon.monitor_api.feed import Callback, Feed
from healthmon.monitor_api.membership import Membership


class Events:
    """The subscriptions of one monitor object, and its readers of the log."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._subscriptions: list[tuple[EventType | None, Callback]] = []
        self._feed: Feed | None = None
        self._group: TaskGroup | None = None
        membership.beside(self._begin, self._end)

    async def subscribe(self, event_type: EventType | str | None, callback: Callback) -> None:
        """Call back with every later event of the type."""
        wanted = None if event_type is None else EventType(event_type)
        self._subscriptions.append((wanted, callback))
        if self._group is not None:
            await self._group.start(self._made_feed().tell, wanted, callback, None)

    async def after(self, since: str | None) -> AsyncGenerator[HealthEvent | EventsMissed, None]:
        """Every event after the stream id, or from now on."""
        async with aclosing(self._made_feed().after(since)) as events:
            async for event in events:
                yield event

    async def _begin(self, group: TaskGroup) -> None:
        """The replica has joined: from here on subscribers hear of events."""
        self._group = group
        for event_type, callback in self._subscriptions:
            await group.start(self._made_feed().tell, event_type, callback, None)

    async def _end(self) -> None:
        """An iteration that was left by `break` still has its connection; it ends with the monitor."""
        feed, self._feed, self._group = self._feed, None, None
        if feed is not None:
            await feed.close()

    def _made_feed(self) -> Feed:
        if self._feed is None:
            settings, keys = self._membership.replica.settings, self._membership.keys
            self._feed = Feed(settings.redis_url, keys, f"{settings.replica_id}-events")
        return self._feed
