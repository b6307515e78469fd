"""Restart orders for the supervised program: each is taken before anything is done, and its outcome is reported."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio

from healthmon import clock
from healthmon.agent.supervise_plan import AGENT
from healthmon.errors import HealthmonError
from healthmon.store.calls import call
from healthmon.store.restarts import NotTaken, RestartOrder, Restarts

if TYPE_CHECKING:
    from healthmon.agent.journal import Journal
    from healthmon.agent.outbox import Outbox
    from healthmon.agent.supervise_plan import Plan
    from healthmon.store.calls import Client

# The outcome goes before the first heartbeat, where Redis takes it: else the heartbeat alone has to prove the restart.
OUTCOME_FIRST_S: Final = 2.0
logger = logging.getLogger("healthmon.agent")
# Replaces the child: "" when the new one is up, else why not.
Restart = Callable[[], Awaitable[str]]


class Orders:
    """Follows the orders for one component and obeys them one after the other.

    Refused, and logged: what another has taken, what comes too late, and what was ordered before the running child was
    started. What is of an earlier epoch than an order that was read does not even come here.
    """

    def __init__(self, plan: Plan, restarts: Restarts, client: Client, outbox: Outbox, journal: Journal) -> None:
        self._plan = plan
        self._restarts = restarts
        self._client = client
        self._outbox = outbox
        self._journal = journal

    async def follow(self, restart: Restart, age_s: Callable[[], float | None], speak: Callable[[], None]) -> None:
        """Obey orders for ever. `age_s`: for how long the child runs, None when none does."""
        while True:
            for order in await self._restarts.wait():
                if order.id == self._plan.component_id and order.runner == AGENT:
                    await self._consider(order, restart, age_s, speak)

    async def _consider(
        self, order: RestartOrder, restart: Restart, age_s: Callable[[], float | None], speak: Callable[[], None]
    ) -> None:
        begun_s = clock.monotonic_s()
        try:
            refusal = await self._refusal(order, age_s)
        except HealthmonError as error:
            refusal = str(error)
        said = {"rev": order.rev, "attempt": order.attempt, "epoch": order.epoch, "entry": order.entry}
        if refusal:
            self._journal.note("refused", **said, reason=refusal)
            logger.warning("restart %d of %s is not obeyed: %s", order.rev, order.id, refusal)
            return
        self._journal.note("taken", **said, reason=order.reason)
        logger.warning("restarting %s, attempt %d: %s", order.id, order.attempt, order.reason)
        trouble = await restart()
        ms = round((clock.monotonic_s() - begun_s) * 1000)
        detail = trouble or f"up after {ms / 1000:.1f} s"

        async def send() -> None:
            await self._restarts.report(order, ok=not trouble, detail=detail, ms=ms, by=self._plan.name, within_s=0)
            self._journal.note("reported", kind="restart", **said, ok=not trouble, detail=detail, ms=ms)

        report = self._outbox.put("restart", send)
        if not trouble:
            with anyio.move_on_after(OUTCOME_FIRST_S):
                await report.sent.wait()
            speak()

    async def _refusal(self, order: RestartOrder, age_s: Callable[[], float | None]) -> str:
        """Why the order must not be obeyed; "" when it is taken, and ours alone. Raises HealthmonError."""
        seconds, micros = await call(self._client, "TIME")
        age = age_s()
        if age is not None:
            started_ms = int(seconds) * 1000 + int(micros) // 1000 - round(age * 1000)
            if int(order.entry.partition("-")[0]) < started_ms:
                return "it was given before this process was started"
        taken = await self._restarts.take(order, self._plan.name)
        return taken.reason if isinstance(taken, NotTaken) else ""
