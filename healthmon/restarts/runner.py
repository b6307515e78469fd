"""Carries out the restart orders that name this process as their runner.

An order is taken before anything is done, so that it is carried out once at most; how it went is reported through the
control stream, also when another replica leads by then.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from healthmon import clock
from healthmon.core.policy_values import restart_of
from healthmon.errors import HealthmonError, Refused
from healthmon.restarts.attempt import Attempt, Outcome
from healthmon.restarts.method import Method
from healthmon.store.restarts import NotTaken, RestartOrder, Restarts, Taken

logger = logging.getLogger("healthmon.restarts")
# What a runner that is stopped may take to say so.
LEAVE_S = 1.0
STOPPED = Outcome(ok=False, detail="its runner was stopped before it was done")


@dataclass
class Runner:
    """Takes and carries out orders for `name`, at most `concurrent` at once. `timeout_s`: where a policy sets none."""

    name: str
    restarts: Restarts
    methods: Mapping[str, Method]
    timeout_s: float
    concurrent: int
    _slots: anyio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = anyio.Semaphore(self.concurrent)

    async def run(self) -> None:
        """Until cancelled; what is running then is ended, and reported as failed if Redis answers within a second."""
        try:
            async with anyio.create_task_group() as group:
                while True:
                    for order in await self.restarts.wait():
                        if self._is_mine(order):
                            await self._slots.acquire()
                            group.start_soon(self._obey, order)
        finally:
            with anyio.CancelScope(shield=True):
                await self.restarts.close()

    def _is_mine(self, order: RestartOrder) -> bool:
        if order.runner != self.name:
            return False
        method = self.methods.get(order.method)
        if method is None or not method.serves(order.id):
            logger.warning("restart of %s is not taken: this process has no %s for it", order.id, order.method)
            return False
        return True

    async def _obey(self, order: RestartOrder) -> None:
        try:
            taken = await self.restarts.take(order, self.name)
            if isinstance(taken, NotTaken):
                logger.info("restart of %s (rev %d) is not carried out: %s", order.id, order.rev, taken.reason)
                return
            logger.info("restarting %s by %s, attempt %d (rev %d)", order.id, order.method, order.attempt, order.rev)
            await self._carry_out(taken)
        except HealthmonError as error:
            logger.warning("restart of %s (rev %d): %s", order.id, order.rev, error)
        finally:
            self._slots.release()

    async def _carry_out(self, taken: Taken) -> None:
        begun_s, outcome = clock.monotonic_s(), STOPPED
        try:
            outcome = await self._outcome(taken)
            await self._report(taken, outcome, begun_s)
        except anyio.get_cancelled_exc_class():
            # Without a word the leader would wait for the deadline; said twice, the first counts.
            with anyio.CancelScope(shield=True), anyio.move_on_after(LEAVE_S):
                await self._report(taken, outcome, begun_s)
            raise

    async def _outcome(self, taken: Taken) -> Outcome:
        order = taken.order
        try:
            attempt = self._attempt(taken)
            if attempt.timeout_s <= 0:
                return Outcome(ok=False, detail="it was taken too late: its deadline had come")
            return await self.methods[order.method].run(attempt)
        except Refused as error:
            return Outcome(ok=False, detail=f"its policy can't be carried out: {error}")
        except Exception as error:  # a fault of one method must end neither the other restarts nor the monitor
            logger.exception("restart of %s by %s", order.id, order.method)
            return Outcome(ok=False, detail=f"{order.method} raised {type(error).__name__}: {error}")

    def _attempt(self, taken: Taken) -> Attempt:
        """What the policy says now. Raises Refused when that is no policy, or another method than was ordered."""
        order, said = taken.order, _restart_part(taken.policy)
        timeout_s = float(said.get("timeout", self.timeout_s))
        if taken.left_ms is not None:
            # After the deadline the attempt counts as failed, and the next one may begin: they must not overlap.
            timeout_s = min(timeout_s, taken.left_ms / 1000)
        return Attempt(
            id=order.id,
            rev=order.rev,
            number=order.attempt,
            reason=order.reason,
            incarnation=order.incarnation,
            timeout_s=timeout_s,
            command=tuple(said.get("command", ())),
            url=str(said.get("url", "")),
        )

    async def _report(self, taken: Taken, outcome: Outcome, begun_s: float) -> None:
        order, ms = taken.order, round((clock.monotonic_s() - begun_s) * 1000)
        level = logging.INFO if outcome.ok else logging.WARNING
        logger.log(level, "restart of %s: %s (%d ms)", order.id, outcome.detail, ms)
        await self.restarts.report(order, ok=outcome.ok, detail=outcome.detail, ms=ms, by=self.name)


def _restart_part(policy: str) -> dict[str, Any]:
    """How a stored policy says to restart, checked again: whoever may write to Redis may have written it."""
    try:
        said = json.loads(policy or "{}")
    except ValueError:
        raise Refused("it is no JSON") from None
    if not isinstance(said, dict):
        raise Refused("it is no JSON object")
    return restart_of(said.get("restart", {}))
