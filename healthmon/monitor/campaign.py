"""How a replica comes to lead and stops leading: the lease won, renewed when earned, lost, released.

A missing lease may be taken by anybody. A living holder is never robbed: only one whose process the server no longer
sees on its alive channel, for the whole grace, and the script looks again before it gives the lease away.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from healthmon import clock
from healthmon.core.lease import RENEW_EVERY
from healthmon.core.measures import Measures
from healthmon.errors import GenerationChanged, HealthmonError
from healthmon.monitor.leadership import Leadership
from healthmon.monitor.redis_clock import RedisClock
from healthmon.monitor.repair import Repair
from healthmon.store.alive import Alive
from healthmon.store.calls import Client
from healthmon.store.leases import Acquired, Claim, Held, Leases
from healthmon.store.liveness import LeaderWatch

logger = logging.getLogger("healthmon.monitor")
# A process that never completes a round must not lead for ever by a healthy renewal task.
ROUND_WITHIN = 2 / 3


@dataclass
class Campaign:
    """Asks for the lease when there is a reason to, and keeps it while rounds are completed."""

    replica: str
    incarnation: str
    leases: Leases
    client: Client
    watch: LeaderWatch
    alive: Alive
    repair: Repair
    time: RedisClock
    ttl_s: float
    measures: Measures
    won: Acquired | None = None
    began_s: float = 0.0
    seen: str = ""
    _dead: str = ""
    _ask: anyio.Event = field(default_factory=anyio.Event)
    _waited_s: float = 0.0
    _resting_until_s: float = 0.0
    _over: anyio.Event = field(default_factory=anyio.Event)

    def leader_is_dead(self, value: str) -> None:
        """The watch saw this lease's holder gone, or no lease at all ("")."""
        if value:
            logger.info("the process that holds the lease is gone: %s", value)
        self._dead = value
        self._ask.set()

    def over(self) -> None:
        """The term that was won has ended."""
        self.won = None
        self._over.set()

    async def until_over(self) -> None:
        """Wait until the term that was won has ended."""
        await self._over.wait()
        self._over = anyio.Event()

    def rest(self, seconds: float) -> None:
        """Let the others lead first: after an asked step-down, or when this replica can't do its work."""
        self._resting_until_s = clock.monotonic_s() + seconds

    async def win(self) -> Acquired:
        """Ask until the lease is won. Raises StoreUnavailable, NotPermitted."""
        self._waited_s = 0.0
        while True:
            resting_s = self._resting_until_s - clock.monotonic_s()
            if resting_s > 0:
                await anyio.sleep(resting_s)
            self.began_s = clock.monotonic_s()
            answer = await self._claim()
            if isinstance(answer, Acquired):
                self.won = answer
                return answer
            if answer.value:
                self._waited_s = 0.0
            else:
                self._waited_s += self.ttl_s / 10
            self.seen = answer.value
            await self._wait(answer)

    async def keep(self, leadership: Leadership, nothing_is_due: Callable[[], bool]) -> None:
        """Renew the lease every third of its ttl, if it was earned; end the leadership when it can't be kept.

        Earned: a round was completed since the last renewal, or nothing was due.
        """
        every_s = leadership.ttl_s * RENEW_EVERY
        while not leadership.ended:
            await anyio.sleep(every_s)
            if nothing_is_due():
                leadership.earn()  # else the first round after a rest would be taken for one that hangs
            if leadership.earned:
                await self._renew(leadership)
            elif clock.monotonic_s() - leadership.rounds_s > leadership.ttl_s * ROUND_WITHIN:
                self._give_up(leadership, "no round was completed for two thirds of the ttl")
            if not leadership.may_write():
                self._give_up(leadership, "the lease could not be renewed in time")

    def _give_up(self, leadership: Leadership, reason: str) -> None:
        """End a leadership that does no work, and don't win the next one before somebody who may do better."""
        self.rest(self.ttl_s * RENEW_EVERY)
        leadership.end(reason)

    async def _renew(self, leadership: Leadership) -> None:
        sent_s = clock.monotonic_s()
        leadership.earned = False
        try:
            listeners = await self.leases.renew(self.client, leadership.lease)
        except HealthmonError as error:
            leadership.earned = True
            self.measures.note_error(error)
            logger.warning("the lease was not renewed: %s", error)
            return
        if listeners is None:
            leadership.end("the lease is another's")
            return
        leadership.renewed_s = sent_s
        self.measures.note_command("renew", clock.monotonic_s() - sent_s)
        if not listeners:
            self.alive.reopen()

    async def _claim(self) -> Acquired | Held:
        dead, self._dead = self._dead, ""
        known = self.repair.generation
        claim = Claim(
            self.replica,
            self.incarnation,
            floor=self.repair.epoch_floor,
            generation=known,
            new_generation=secrets.token_hex(8),
            dead=dead,
            may_found=bool(known) or self._waited_s >= self.ttl_s,
            reason="the leader's process is gone" if dead else "no replica held the lease",
            era=self.repair.table.era,
        )
        try:
            answer = await self.leases.acquire(self.client, claim, round(self.time.now_ms()))
        except GenerationChanged as changed:
            await self.repair.adopt(str(changed))
            return Held("", 0)
        if isinstance(answer, Acquired):
            self.measures.elections["leader_gone" if dead else "no_leader"] += 1
        return answer

    async def _wait(self, held: Held) -> None:
        """Until the watch or a hint says that it is worth asking, and in any case when the lease would run out."""
        left_s = held.left_ms / 1000 if held.value and held.left_ms > 0 else self.ttl_s / 10
        with anyio.move_on_after(min(left_s, self.ttl_s) + random.uniform(0.005, 0.03)):
            await self._ask.wait()
        self._ask = anyio.Event()
