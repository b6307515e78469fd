"""Everything at once, drawn by chance: whatever was killed or stopped, the history keeps every promise."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.agents import Agents, agents
from tests.cluster import Cluster, cluster
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
SEED = int(os.environ.get("CHAOS_SEED", "20261124"))
LASTS_MS = 12_000
IDS = [f"c-{number}" for number in range(12)]
SETTINGS: dict[str, float | bool] = {
    "lease_ttl": 2.0,
    "heartbeat_timeout": 2.0,
    "degraded_threshold": 3.0,
    "dead_threshold": 4.0,
    "startup_timeout": 5.0,
    "restarts_concurrent": 3,
    "restarts_per_minute": 40,
    "mass_failure": True,
}
OPERATED = ("restart", "hold", "resume", "revive", "reset-breaker")


class Chaos:
    """Draws a fault after the other. At most one agent and one leader stand still at a time."""

    def __init__(self, cl: Cluster, fleet: Agents, folder: Path) -> None:
        self._cl, self._fleet, self._folder = cl, fleet, folder
        self._chance = random.Random(SEED)
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        until_ms = await self._cl.now_ms() + LASTS_MS
        faults: dict[Callable[[str], Awaitable[None]], int] = {
            self._kill_program: 10,
            self._kill_leader: 2,
            self._stop_leader: 1,
            self._stop_agent: 3,
            self._kill_agent: 2,
            self._ruin: 2,
            self._operate: 4,
        }
        while await self._cl.now_ms() < until_ms:
            [fault] = self._chance.choices(list(faults), list(faults.values()))
            await fault(self._chance.choice(IDS))
            self.done[fault.__name__.strip("_")] += 1
            await self._cl.passes(self._chance.randrange(50, 400))

    async def _kill_program(self, one: str) -> None:
        with suppress(ProcessLookupError):  # it is being restarted
            self._fleet.kill_children(one)

    async def _kill_leader(self, _: str) -> None:
        leader, last = await self._cl.leader(), await self._cl.last_event()
        await self._cl.kill(leader)
        await self._cl.next_leader(last)
        await self._cl.start(leader)

    async def _stop_leader(self, _: str) -> None:
        leader = await self._cl.leader()
        self._cl.freeze(leader)
        await self._cl.passes(self._chance.randrange(200, 3_000))
        self._cl.thaw(leader)

    async def _stop_agent(self, one: str) -> None:
        self._fleet.freeze(one)
        await self._cl.passes(self._chance.randrange(100, 5_000))
        self._fleet.thaw(one)

    async def _kill_agent(self, one: str) -> None:
        self._fleet.kill(one)
        self.start(one)

    async def _ruin(self, one: str) -> None:
        """From now on it crashes at its start, or no longer."""
        path = self._folder / f"ruined-{one}"
        path.unlink() if path.exists() else path.touch()

    async def _operate(self, one: str) -> None:
        await self._cl.ask(cmd=self._chance.choice(OPERATED), id=one, by="chaos")

    def start(self, one: str) -> None:
        crash = f"[ -e {self._folder}/ruined-{one} ] && exit 3; exec sleep 1000"
        self._fleet.start(one, "bash", "-c", crash, interval=0.3, timeout=2, max_delay=1.0)

    def calm(self) -> None:
        """Nothing is wrong any more."""
        for one in IDS:
            (self._folder / f"ruined-{one}").unlink(missing_ok=True)


async def test_whatever_fails_together_no_promise_is_broken_and_all_come_back(url: str, tmp_path: Path) -> None:
    async with cluster(url, tmp_path, settings=SETTINGS) as cl, agents(cl) as fleet:
        chaos = Chaos(cl, fleet, tmp_path)
        for one in IDS:
            chaos.start(one)
        await fleet.all_healthy()
        await chaos.run()
        chaos.calm()
        print(SEED, dict(chaos.done))
        await eventually(partial(all_well, cl), 30)
        print(len(await cl.events(to="restarting")), "restarts,", len(await cl.events(type="leader")), "leaders")


async def all_well(cl: Cluster) -> bool:
    """Whoever gave up, or is held, is brought back by an operator."""
    for state in ("permanently_failed", "dead", "unknown"):
        for one in await cl.client.zrange(cl.keys.state(state), 0, -1):
            if await cl.client.hget(cl.keys.component(one), "held"):
                await cl.answered(await cl.ask(cmd="resume", id=one))
            if state != "dead":
                await cl.answered(await cl.ask(cmd="restart", id=one))
    counts = await cl.client.hgetall(cl.keys.counts)
    return {state: count for state, count in counts.items() if count != "0"} == {"healthy": str(len(IDS))}
