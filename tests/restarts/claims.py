"""The leader's part of a restart, played by hand: the claim in a component's hash, and the order in the stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from healthmon.core.alert import rfc3339
from healthmon.store.calls import call
from healthmon.store.codec import text_map
from healthmon.store.keys import Keys
from healthmon.store.restarts import RestartOrder
from tests.waiting import eventually

EPOCH = 1_795_460_000_000


@dataclass
class Claims:
    """Claims restarts on one shard, and looks at what became of them."""

    client: Redis
    keys: Keys
    revs: int = 6

    async def now_ms(self) -> int:
        seconds, micros = await call(self.client, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def store(self, component_id: str, *, rev: int, within_s: float = 60.0, **restart: Any) -> None:
        """What a claim writes to the hash. `restart`: that part of the component's policy."""
        now_ms = await self.now_ms()
        said = {
            "state": "restarting",
            "epoch": str(EPOCH),
            "rev": str(rev),
            "restart_rev": str(rev),
            "restart_taken": "",
            "restart_deadline": rfc3339(now_ms + round(within_s * 1000)),
            "policy": json.dumps({"restart": restart}),
        }
        key = self.keys.component(component_id)
        await call(self.client, "HSET", key, *(part for pair in said.items() for part in pair))
        await call(self.client, "ZADD", self.keys.state("restarting"), now_ms, component_id)

    async def order(self, component_id: str, *, rev: int, runner: str = "mon-a", **other: Any) -> RestartOrder:
        """The entry of a claim. `other`: what it says otherwise than usual."""
        said = {
            "cmd": "restart",
            "id": component_id,
            "rev": rev,
            "attempt": 2,
            "epoch": EPOCH,
            "incarnation": "old",
            "runner": runner,
            "method": "exec",
            "not_after_ms": await self.now_ms() + 60_000,
            "reason": "no heartbeat for 180.0 s",
            **other,
        }
        fields = [str(part) for pair in said.items() for part in pair]
        entry = (await call(self.client, "XADD", self.keys.restarts, "*", *fields)).decode()
        del said["cmd"]
        return RestartOrder(entry=entry, **said)

    async def claim(
        self, component_id: str, *, runner: str = "mon-a", within_s: float = 60.0, said: Any = None, **restart: Any
    ) -> RestartOrder:
        """A whole claim with the next rev. `said`: what its entry says otherwise than usual."""
        self.revs += 1
        await self.store(component_id, rev=self.revs, within_s=within_s, **restart)
        return await self.order(
            component_id, rev=self.revs, runner=runner, **{"method": restart["method"], **(said or {})}
        )

    async def record(self, component_id: str) -> dict[str, str]:
        return text_map(await call(self.client, "HGETALL", self.keys.component(component_id)))

    async def reports(self, component_id: str) -> list[dict[str, str]]:
        """What the control stream was told of a component, the oldest first."""
        entries = await call(self.client, "XRANGE", self.keys.control, "-", "+")
        told = [text_map(fields) for _, fields in entries]
        return [entry for entry in told if entry["id"] == component_id]

    async def outcome(self, component_id: str, within_s: float = 10.0) -> dict[str, str]:
        """The report of how its restart went, as soon as there is one."""

        async def told() -> list[dict[str, str]]:
            return [entry for entry in await self.reports(component_id) if "ok" in entry]

        (report,) = await eventually(told, within_s)
        return dict(report)
