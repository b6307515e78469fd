"""Asking Redis once a second who leads, for everybody who looks through this process."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import anyio

from healthmon.errors import HealthmonError
from healthmon.store.cluster import ClusterReader
from healthmon.views.fleet import ClusterFacts

EVERY_S: Final = 1.0
# No answer for so long, and Redis counts as unreachable.
ANSWER_S: Final = 1.5


class Lookout:
    """`facts` is what was last heard, at most a second ago while Redis answers."""

    def __init__(self, cluster: ClusterReader) -> None:
        self.facts = ClusterFacts()
        self._cluster = cluster
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Ask again at once: something has changed."""
        self._rung.set()

    async def run(self) -> None:
        """Ask again and again until cancelled; while Redis is away, too."""
        while True:
            await self.look()
            self._rung = anyio.Event()
            with anyio.move_on_after(EVERY_S):
                await self._rung.wait()

    async def look(self) -> None:
        """Ask once."""
        try:
            with anyio.fail_after(ANSWER_S):
                watch = await self._cluster.watch()
        except (HealthmonError, TimeoutError):
            self.facts = replace(self.facts, reachable=False)
            return
        self.facts = ClusterFacts(watch.lease, watch.left_ms, watch.as_of_ms, True, watch.now_ms)
