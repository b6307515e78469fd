"""Components that go on sending whatever happens to Redis, and know what was accepted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from redis.asyncio import Redis

from healthmon.errors import HealthmonError, StoreUnavailable
from healthmon.store.calls import call, open_raw


@dataclass
class Beats:
    """Each sends at its pace over a connection of its own, and keeps nothing while Redis is away.

    `accepted`: those whose id came back. `unsure`: sent, and never answered, so perhaps there. `refused`: not there.
    `sent`: the arrivals of the accepted, in ms of the server's clock.
    `lost_max`: so many may have been accepted and lost with the data before anybody read them.
    """

    url: str
    stream: str
    silent: set[str] = field(default_factory=set)
    accepted: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    sent: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    lost_max: int = 0

    def least(self, component: str) -> int:
        return self.accepted[component] - self.lost_max

    def most(self, component: str) -> int:
        return self.accepted[component] + self.unsure[component]

    async def run(self, component: str, every_s: float) -> None:
        client, next_s = open_raw(self.url, name=f"beats-{component}", timeout_s=10), anyio.current_time()
        try:
            while component not in self.silent:
                await self._send(client, component)
                next_s = max(next_s + every_s, anyio.current_time())
                await anyio.sleep_until(next_s)
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    async def _send(self, client: Redis, component: str) -> None:
        try:
            entry = await call(client, "XADD", self.stream, "*", "id", component)
        except StoreUnavailable as error:
            not_taken = any(words in str(error) for words in ("out of memory", "read-only", "connecting to"))
            (self.refused if not_taken else self.unsure)[component] += 1
        except HealthmonError:
            self.refused[component] += 1
        else:
            self.accepted[component] += 1
            self.sent[component].append(int(entry.partition(b"-")[0]))


@asynccontextmanager
async def beating(url: str, stream: str, *components: str, every_s: float = 0.1) -> AsyncIterator[Beats]:
    """These components beat until the end of the block, or until they are in `silent`."""
    beats = Beats(url, stream)
    async with anyio.create_task_group() as group:
        for component in components:
            group.start_soon(beats.run, component, every_s)
        yield beats
        beats.silent.update(components)
