"""Replicas within the test's own process, where a part may be replaced and a table looked into.

Cheaper than processes, and as real: the same objects over real connections. What needs kill -9 takes `tests.cluster`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from redis.asyncio import Redis

from healthmon.monitor.replica import Replica
from healthmon.run import make_replica
from healthmon.settings import load_settings
from healthmon.store.calls import call, open_raw
from healthmon.store.codec import text_map
from healthmon.store.keys import STATES, Keys
from healthmon.store.scripts import Scripts
from tests.waiting import eventually

# As short as the machine's hiccups allow; the relations are those of the defaults.
QUICK: dict[str, Any] = {
    "lease_ttl": 0.9,
    "heartbeat_timeout": 0.6,
    "degraded_threshold": 0.9,
    "dead_threshold": 1.2,
    "checkpoint_interval": 0.3,
    "checkpoint_components": 0.2,
    "mass_failure": False,
}


@dataclass
class Replicas:
    """Some replicas over one server, and what is stored there."""

    url: str
    keys: Keys
    client: Redis
    group: TaskGroup
    settings: dict[str, Any]
    members: dict[str, Replica] = field(default_factory=dict)
    _scopes: dict[str, anyio.CancelScope] = field(default_factory=dict)
    _ended: dict[str, anyio.Event] = field(default_factory=dict)

    async def start(self, *names: str, scripts: Scripts | None = None) -> None:
        """Start these; returns when each holds a table. A failure of one fails the test."""
        for name in names:
            settings = load_settings(
                redis_url=self.url, prefix=self.keys.prefix, replica_id=name, **{**QUICK, **self.settings}
            )
            self.members[name] = make_replica(settings, scripts)
            await self.group.start(self._run, name)
        for name in names:
            await eventually(self.members[name].loaded.is_set, 10)

    async def stop(self, *names: str) -> None:
        """Stop these cleanly; returns when they have ended."""
        for name in names:
            self._scopes[name].cancel()
        for name in names:
            await self._ended[name].wait()
            del self.members[name]

    async def leader(self, *, other_than: Replica | None = None, within_s: float = 5.0) -> Replica:
        """The replica that leads, as soon as there is one."""

        def leading() -> list[Replica]:
            return [one for one in self.members.values() if one.leadership and one is not other_than]

        return (await eventually(leading, within_s))[0]

    async def follower(self) -> Replica:
        """Any replica that does not lead."""
        leader = await self.leader()
        return next(one for one in self.members.values() if one is not leader)

    # -- what is stored --------------------------------------------------------------------------------------------

    async def send(self, *fields: str | bytes, entry: str = "*") -> bytes:
        """Append an entry to the heartbeats; its id."""
        return bytes(await call(self.client, "XADD", self.keys.heartbeats, entry, *fields))

    async def ask(self, *fields: str | bytes) -> bytes:
        """Append an entry to the control stream; its id."""
        return bytes(await call(self.client, "XADD", self.keys.control, "*", *fields))

    async def record(self, component_id: str) -> dict[str, str]:
        return text_map(await call(self.client, "HGETALL", self.keys.component(component_id)))

    async def entries(self, stream: str, after: str = "-") -> list[dict[str, str]]:
        """The entries of a stream as text, the oldest first."""
        return [text_map(fields) for _, fields in await call(self.client, "XRANGE", stream, after, "+")]

    async def events(self, **wanted: str) -> list[dict[str, str]]:
        """The events whose fields are as wanted."""
        entries = await self.entries(self.keys.events)
        return [entry for entry in entries if all(entry.get(name) == value for name, value in wanted.items())]

    async def counted(self, component_id: str, total: int, within_s: float = 5.0) -> None:
        """Returns when exactly so many heartbeats of it are stored as counted."""

        async def stored() -> bool:
            found = (await self.record(component_id)).get("total_heartbeats")
            assert found == str(total), f"{component_id}: {found} of {total}"
            return True

        await eventually(stored, within_s)

    async def states(self) -> dict[str, str]:
        """Component -> state, by the indexes."""
        found = {}
        for state in STATES:
            for raw in await call(self.client, "ZRANGE", self.keys.state(state), 0, -1):
                found[raw.decode()] = state
        return found

    async def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = await call(self.client, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def _run(self, name: str, *, task_status: TaskStatus[None]) -> None:
        self._ended[name] = anyio.Event()
        with anyio.CancelScope() as self._scopes[name]:
            task_status.started()
            await self.members[name].run()
        self._ended[name].set()


@asynccontextmanager
async def replicas(
    url: str, *names: str, prefix: str = "hm-test", scripts: Scripts | None = None, **settings: Any
) -> AsyncIterator[Replicas]:
    """Replicas of these names, one of which leads. `settings` are laid over QUICK."""
    client = open_raw(url, name="test")
    try:
        async with anyio.create_task_group() as group:
            made = Replicas(url, Keys(prefix, 0), client, group, settings)
            await made.start(*names, scripts=scripts)
            await made.leader()
            yield made
            await made.stop(*made.members)
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()
