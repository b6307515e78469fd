"""Has the demo's timetable happen to its components."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import anyio

from healthmon import clock
from healthmon.core.component import HealthState
from healthmon.core.policy import Policy
from healthmon.demo.play import BREAKER, CAST, DEPENDS_ON, INTERVAL_S, RESTART, STARTUP_S, play
from healthmon.store.asking import ask
from healthmon.store.calls import Client, call
from healthmon.up.agent import Agent
from healthmon.up.household import Child

if TYPE_CHECKING:
    from healthmon.demo.play import Act
    from healthmon.settings import Settings
    from healthmon.store.keys import Keys
    from healthmon.up.household import Household
    from healthmon.up.screen import Screen

BY: Final = "the demo"
# Health for so long beyond what a failed start takes to show: then restart attempts count anew.
RESET_MARGIN_S: Final = 10.0


class Stage:
    """The demo's components, their agent, and what befalls them."""

    def __init__(self, client: Client, keys: Keys, household: Household, screen: Screen, url: str) -> None:
        self._client = client
        self._keys = keys
        self._household = household
        self._screen = screen
        self.children = {component: Child(component, "healthmon.demo.component") for component in CAST}
        for component, role in CAST.items():
            greeting = {"id": component, "role": role, "redis_url": url, "prefix": keys.prefix}
            self.children[component].greeting = greeting
        self.agent = Agent(client, keys, household, self.children, url)

    async def raise_curtain(self) -> None:
        """Start the components. They send nothing yet."""
        self.agent.begin()
        await self._household.all_run(self.children.values())

    async def register(self, rules: Settings) -> None:
        """Tell the cluster what is expected of them, so that whoever asks, with whatever settings, sees it.

        Then they begin to send. Raises StoreUnavailable.
        """
        for component, role in CAST.items():
            policy = Policy(
                role=role,
                interval=INTERVAL_S,
                heartbeat_timeout=rules.heartbeat_timeout,
                degraded_threshold=rules.degraded_threshold,
                dead_threshold=rules.dead_threshold,
                startup_timeout=STARTUP_S,
                restart={**RESTART, "reset_after": STARTUP_S + rules.heartbeat_timeout + RESET_MARGIN_S},
                breaker=BREAKER,
                depends_on=DEPENDS_ON.get(component, ()),
            )
            await ask(self._client, self._keys, "register", id=component, policy=policy.to_json(), by=BY)
            self.children[component].greeted.set()

    async def perform(self) -> None:
        """Each scene at its time, for ever. One whose component is gone, since somebody ended it, is left out.

        Raises StoreUnavailable.
        """
        begun_s = clock.monotonic_s()
        async with anyio.create_task_group() as group:
            for scene in play():
                await anyio.sleep(max(0.0, begun_s + scene.at_s - clock.monotonic_s()))
                child = self.children[scene.who]
                if child.pid:
                    self._screen.say(scene.who, scene.act.line)
                    group.start_soon(self._happen, child, scene.act)

    async def _happen(self, child: Child, act: Act) -> None:
        if act.kind == "kill":
            child.signal(signal.SIGKILL)
        elif act.kind == "restart":
            await ask(self._client, self._keys, "restart", id=child.name, by=BY, reason=act.msg)
        else:
            if act.kind == "crash":
                self.agent.fault(child.name, act.msg)
            await child.send(asdict(act))
        if act.kind == "crash":
            await anyio.sleep(act.lasts_s)
            await self._mend(child)

    async def _mend(self, child: Child) -> None:
        """It can be started again; where healthmon has given up, a person has to say so."""
        self.agent.fault(child.name, "")
        state = await call(self._client, "HGET", self._keys.component(child.name), "state")
        if state == HealthState.PERMANENTLY_FAILED.encode():
            self._screen.say(child.name, "the demo gives it its disk again, and revives it")
            await ask(self._client, self._keys, "revive", id=child.name, by=BY, reason="its disk is there again")
