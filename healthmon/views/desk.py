"""What one process needs to show a fleet: its table, who leads, the live stream, the samples, and a way to ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from healthmon.core.table import Table
from healthmon.store.calls import Client, open_raw
from healthmon.store.cluster import ClusterReader
from healthmon.store.event_log import EventLog
from healthmon.store.keys import Keys
from healthmon.store.reading import Reader
from healthmon.views.fleet import ClusterFacts, Fleet
from healthmon.views.following import Following
from healthmon.views.lookout import Lookout
from healthmon.views.sampling import Sampler

# A cold path waits no longer for Redis.
ANSWER_S = 3.0


@dataclass(frozen=True)
class Desk:
    """Everything that the views of one process read. `run` keeps it up to date."""

    fleet: Fleet
    keys: Keys
    client: Client
    reader: Reader
    cluster: ClusterReader
    log: EventLog
    lookout: Lookout
    following: Following
    sampler: Sampler
    clients: tuple[Client, ...]

    async def run(self) -> None:
        """Keep up until cancelled; then the connections are closed."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self.lookout.run)
                group.start_soon(self.following.run)
                group.start_soon(self.sampler.run)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                for client in self.clients:
                    await client.aclose()


def make_desk(
    url: str, keys: Keys, replica: str, *, table: Table, now_ms: Callable[[], int], loaded: Callable[[], bool]
) -> Desk:
    """The desk over a replica's table. Nothing connects before `run`, or before somebody asks."""
    client = open_raw(url, name=f"{replica}-views", timeout_s=ANSWER_S)
    live = open_raw(url, name=f"{replica}-live", timeout_s=ANSWER_S, dedicated=True)
    lookout = Lookout(ClusterReader(client, keys))

    def about() -> ClusterFacts:
        return lookout.facts

    def last_event() -> str:
        return following.at

    fleet = Fleet(table, keys, replica, now_ms, loaded, about, last_event)
    log = EventLog(client, keys)
    following = Following(fleet, lookout, EventLog(live, keys), log)
    return Desk(
        fleet=fleet,
        keys=keys,
        client=client,
        reader=Reader(client, keys),
        cluster=ClusterReader(client, keys),
        log=log,
        lookout=lookout,
        following=following,
        sampler=Sampler(table, now_ms),
        clients=(client, live),
    )
