"""What is said on a shard's streams by others than the test: heartbeats and reports of agents, runners and probers.

The judge wants to know of every heartbeat that was accepted and of every entry of the control stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio

from healthmon.core.heartbeat import Heartbeat
from healthmon.store.calls import call, open_raw
from healthmon.store.codec import decode_heartbeats, text_map
from tests.cluster import Cluster, order
from tests.history import entry_ms
from tests.waiting import eventually


@dataclass
class Overhearing:
    """Reads heartbeats and control from their beginning on, and notes them where the cluster keeps its own."""

    cl: Cluster
    _at: dict[str, bytes] = field(default_factory=dict)
    _sent: dict[str, list[str]] = field(default_factory=dict)

    async def listen(self, ready: anyio.Event) -> None:
        """Note who says what, until cancelled."""
        client = open_raw(self.cl.url, name="overhearing", timeout_s=5)
        self._at = {self.cl.keys.heartbeats: b"0-0", self.cl.keys.control: b"0-0"}
        try:
            while True:
                where: list[str | bytes] = [*self._at, *self._at.values()]
                for stream, entries in await call(client, "XREAD", "COUNT", 2000, "BLOCK", 50, "STREAMS", *where) or ():
                    for entry, fields in entries:
                        self._note(stream.decode(), entry, fields)
                ready.set()
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    async def settle(self) -> None:
        """Returns when everything is noted that was said up to now."""
        client = open_raw(self.cl.url, name="last-overheard", timeout_s=5)
        for stream in self._at:
            for entry, _ in await call(client, "XREVRANGE", stream, "+", "-", "COUNT", 1):
                await eventually(partial(self._is_past, stream, entry))
        await client.aclose()
        load = self.cl.load
        for one in self._sent.keys() - load.last.keys():  # the load has noted itself what it sent
            load.sent[one] = [entry_ms(entry) for entry in self._sent[one]]
            load.last[one] = self._sent[one][-1]

    def _is_past(self, stream: str, entry: bytes) -> bool:
        return order(self._at[stream].decode()) >= order(entry.decode())

    def _note(self, stream: str, entry: bytes, fields: list[bytes]) -> None:
        self._at[stream] = entry
        if stream == self.cl.keys.control:
            self.cl.commands[entry.decode()] = text_map(fields)
            return
        for beat in decode_heartbeats(fields) if fields[0] != b"canary" else ():
            if isinstance(beat, Heartbeat):
                self._sent.setdefault(beat.id, []).append(entry.decode())


@asynccontextmanager
async def overhearing(cl: Cluster) -> AsyncIterator[Overhearing]:
    """Whatever is said within the block is known to the cluster afterwards."""
    heard = Overhearing(cl)
    async with anyio.create_task_group() as group:
        ready = anyio.Event()
        group.start_soon(heard.listen, ready)
        await ready.wait()
        yield heard
        await heard.settle()
        group.cancel_scope.cancel()
