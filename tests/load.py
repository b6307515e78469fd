"""Components under load: heartbeats at a pace, and the exact record of what the server accepted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from tests.history import entry_ms

PIPELINED_MAX = 250


@dataclass
class Load:
    """Sends over its own connection straight to the server, so that a lost reply never blurs what was accepted."""

    client: Any  # redis-py's types leave open whether replies are text
    stream: str
    group: TaskGroup
    sent: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    last: dict[str, str] = field(default_factory=dict)
    _beating: dict[str, anyio.CancelScope] = field(default_factory=dict)
    _one_at_a_time: anyio.Lock = field(default_factory=anyio.Lock)

    async def send(self, ids: Iterable[str], **said: str) -> None:
        """One heartbeat of each, noted when it was accepted."""
        wanted = list(ids)
        for start in range(0, len(wanted), PIPELINED_MAX):
            await self._send(wanted[start : start + PIPELINED_MAX], said)

    def beat(self, *ids: str, every_s: float = 0.1, **said: str) -> None:
        """Let these send a heartbeat each at this pace until `hush`."""
        scope = anyio.CancelScope()
        self._beating.update(dict.fromkeys(ids, scope))
        self.group.start_soon(self._beat, scope, ids, every_s, said)

    def hush_some(self, *ids: str) -> None:
        """These fall silent; with them whoever began to beat together with one of them."""
        for one in ids:
            self._beating.pop(one).cancel()

    def hush(self) -> None:
        """All fall silent."""
        for scope in self._beating.values():
            scope.cancel()
        self._beating.clear()

    async def _beat(self, scope: anyio.CancelScope, ids: tuple[str, ...], every_s: float, said: dict[str, str]) -> None:
        next_s = anyio.current_time()
        with scope:
            while True:
                with anyio.CancelScope(shield=True):  # what was sent is counted
                    await self._send(list(ids), said)
                next_s = max(next_s + every_s, anyio.current_time())
                await anyio.sleep_until(next_s)

    async def _send(self, ids: list[str], said: dict[str, str]) -> None:
        async with self._one_at_a_time:
            pipeline = self.client.pipeline(transaction=False)
            for one in ids:
                pipeline.xadd(self.stream, {"id": one, **said})
            for one, entry in zip(ids, await pipeline.execute(), strict=True):
                self.sent[one].append(entry_ms(entry))
                self.last[one] = entry
