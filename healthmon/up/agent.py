"""The agent of the demo's components: for them `up` does what `healthmon run` does for one program.

It reports an end that nobody here wanted, as proof of death; takes each restart that the leader orders, starts the
component again, and reports how that went. No component is ever started again without an order.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from healthmon import clock
from healthmon.demo.component import FAULT, READY
from healthmon.errors import HealthmonError
from healthmon.store.calls import call
from healthmon.store.restarts import NotTaken, Restarts
from healthmon.store.scripts import Scripts
from healthmon.up.household import STOP_S, signal_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.store.calls import Client
    from healthmon.store.keys import Keys
    from healthmon.store.restarts import RestartOrder
    from healthmon.up.household import Child, Household

NAME: Final = "up"
LINES_MAX: Final = 20
LINE_CHARACTERS_MAX: Final = 200
READY_WITHIN_S: Final = 10.0


@dataclass(eq=False)
class Life:
    """One start of a component. `verdict` is set when it is ready or has ended, `over` when its end was reported."""

    incarnation: str = field(default_factory=lambda: secrets.token_hex(4))
    begun_s: float = field(default_factory=clock.monotonic_s)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_MAX))
    verdict: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)
    ready: bool = False
    wanted: bool = False
    code: int | None = None

    def hear(self, line: str) -> None:
        """A line of its output."""
        if line == READY:
            self.ready = True
            self.verdict.set()
            return
        self.lines.append(line[:LINE_CHARACTERS_MAX])

    @property
    def age_s(self) -> float:
        return clock.monotonic_s() - self.begun_s


class Agent:
    """One agent for all `children`, which the household keeps."""

    def __init__(
        self, client: Client, keys: Keys, household: Household, children: Mapping[str, Child], url: str
    ) -> None:
        self._client = client
        self._keys = keys
        self._household = household
        self._children = children
        self._restarts = Restarts(url, keys, Scripts(), NAME)
        self._lives: dict[str, Life] = {}
        # Nothing of the user's settings is theirs: HEALTH_DISABLED would silence them.
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("HEALTH_")}
        self._faults: dict[str, str] = {}

    def begin(self) -> None:
        """Start every component; they wait to be greeted."""
        for child in self._children.values():
            self._start(child)

    def fault(self, component: str, words: str) -> None:
        """From now on each start of it fails with these words; with none it is mended."""
        self._faults[component] = words

    async def follow(self) -> None:
        """Obey orders until cancelled. One component's restart does not wait for another's."""
        try:
            async with anyio.create_task_group() as group:
                while True:
                    for order in await self._restarts.wait():
                        child = self._children.get(order.id)
                        if child is not None and order.runner == "agent":
                            group.start_soon(self._obey, child, order)
        finally:
            with anyio.CancelScope(shield=True):
                await self._restarts.close()

    async def _obey(self, child: Child, order: RestartOrder) -> None:
        begun_s = clock.monotonic_s()
        with suppress(HealthmonError):  # the server is gone, which ends `up`, or too busy: the attempt has its deadline
            if isinstance(await self._restarts.take(order, NAME), NotTaken):
                return
            await self._stop(child)
            life = self._start(child)
            with anyio.move_on_after(READY_WITHIN_S):
                await life.verdict.wait()
            if life.code is not None:
                return  # the report of its end says that the attempt has failed, and why
            ms = round((clock.monotonic_s() - begun_s) * 1000)
            detail = f"{ms / 1000:.1f} s" if life.ready else f"not ready after {READY_WITHIN_S:g} s"
            await self._restarts.report(order, ok=life.ready, detail=detail, ms=ms, by=NAME)
            if life.ready:
                child.greeted.set()  # its first heartbeat comes after the report

    async def _stop(self, child: Child) -> None:
        life = self._lives[child.name]
        life.wanted = True
        child.signal(signal.SIGTERM)
        child.signal(signal.SIGCONT)  # a stopped process takes no SIGTERM
        with anyio.move_on_after(STOP_S):
            await life.over.wait()
        child.signal(signal.SIGKILL)
        await life.over.wait()

    def _start(self, child: Child) -> Life:
        life = self._lives[child.name] = Life()
        child.env = {**self._env, "HEALTH_INCARNATION": life.incarnation, FAULT: self._faults.get(child.name, "")}
        child.heard = life.hear
        child.greeted = anyio.Event()
        self._household.start_soon(partial(self._live, child, life))
        return life

    async def _live(self, child: Child, life: Life) -> None:
        _, life.code = await self._household.live(child)
        life.verdict.set()
        if not life.wanted and not self._household.ends:
            with suppress(HealthmonError):  # then its silence has to do
                await self._report_end(child.name, life, life.code)
        life.over.set()

    async def _report_end(self, component: str, life: Life, code: int) -> None:
        said = {
            "cmd": "report",
            "kind": "exit",
            "id": component,
            "code": str(code if code >= 0 else 128 - code),  # as a shell says it
            "signal": signal_name(code),
            "lines": "\n".join(life.lines),
            "incarnation": life.incarnation,
            "uptime_s": f"{life.age_s:.3f}",
            "by": NAME,
        }
        fields = [part for pair in said.items() for part in pair]
        await call(self._client, "XADD", self._keys.control, "*", *fields)
