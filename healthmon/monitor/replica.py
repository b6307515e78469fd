"""One monitor process: follow, campaign, lead, step down, and follow again. It never exits because Redis is away."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

import anyio
import anyio.to_thread
import tenacity

from healthmon import clock
from healthmon.core.lease import standby_rank
from healthmon.errors import ConfigurationError, Fenced, GenerationChanged, HealthmonError, UnfitServer
from healthmon.monitor.announce import Announcer
from healthmon.monitor.leadership import Leadership, SteppedDown
from healthmon.monitor.parts import Parts
from healthmon.monitor.vigil import Vigil
from healthmon.settings import Settings
from healthmon.store.calls import call
from healthmon.store.client import check_server
from healthmon.store.codec import text_map
from healthmon.store.founding import found, tell_canary
from healthmon.store.leases import Acquired
from healthmon.store.permissions import check_permissions
from healthmon.store.scripts import Scripts
from healthmon.store.streams import FOLLOWED, Stream, order
from healthmon.store.tables import Stored, load

logger = logging.getLogger("healthmon.monitor")
AGAIN_S_MAX = 2.0
ANNOUNCE_EVERY_S = 1.0
POLICY_EVERY_S = 60.0


@dataclass
class Replica:
    """One replica of the monitor. `run` ends only when cancelled, and then signs off."""

    stands_by_as: ClassVar[str] = "follower"
    settings: Settings
    parts: Parts
    leadership: Leadership | None = None
    loaded: anyio.Event = field(default_factory=anyio.Event)
    round_done: anyio.Event = field(default_factory=anyio.Event)
    done_at: dict[Stream, bytes] = field(default_factory=dict)
    _run_id: str = ""
    _canary_ms: int = 0
    _kept_up_s: float = field(default_factory=clock.monotonic_s)
    vigil: Vigil = field(default_factory=Vigil)
    _policy_due_s: float = 0.0

    async def run(self) -> None:
        """Follow, and lead when it is this replica's turn, until cancelled. An unfit server is raised at start only."""
        parts = self.parts
        try:
            async with anyio.create_task_group() as group:
                await self._meet()
                group.start_soon(parts.alive.run)
                group.start_soon(parts.alarm.run)
                group.start_soon(self._watch)
                group.start_soon(self._announce)
                group.start_soon(self._campaign)
                group.start_soon(parts.healing.agreements.run, parts.alarm.ring)
                for task in parts.beside:
                    group.start_soon(task)
                await self._rounds()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await self._leave()

    # -- rounds ----------------------------------------------------------------------------------------------------

    async def _rounds(self) -> None:
        while True:
            try:
                won = self.parts.campaign.won
                if won is not None:
                    await self._lead(won)
                else:
                    await self.parts.round.follow()
                    self._finish_round()
            except ConfigurationError:
                raise
            except HealthmonError as error:
                self.parts.measures.note_error(error)
                logger.warning("this round broke off: %s", error)
                await self._meet_again()

    async def _lead(self, won: Acquired) -> None:
        """One term: take over, then rounds until it ends. Whatever ends it, this replica follows again."""
        parts, broke = self.parts, None
        leadership = Leadership(
            won.lease, self.settings.lease_ttl, parts.campaign.began_s, won.generation, rounds_s=clock.monotonic_s()
        )
        self.leadership, parts.watch.resting = leadership, True
        try:
            async with anyio.create_task_group() as term:
                leadership.scope = term.cancel_scope
                term.start_soon(parts.campaign.keep, leadership, parts.reading.nothing_is_due)
                await self._take_over(leadership, won)
                while True:
                    await parts.round.lead(leadership)
                    self._finish_round()
                    if parts.orders.asked_to_step_down:
                        raise SteppedDown(parts.orders.asked_to_step_down)
        except* (Fenced, GenerationChanged, SteppedDown) as ended:
            leadership.ended = leadership.ended or str(ended.exceptions[0])
        except* HealthmonError as failed:
            broke = failed.exceptions[0]
            leadership.ended = leadership.ended or str(broke)
        finally:
            await self._step_down(leadership)
        if isinstance(broke, HealthmonError):
            parts.campaign.rest(self.settings.lease_ttl / 3)
            raise broke

    async def _take_over(self, leadership: Leadership, won: Acquired) -> None:
        parts = self.parts
        now_ms = await parts.reading.sample_time()
        # Heartbeats read before the founding make no table of lost data: nothing of them was ever committed.
        recovering = won.founded and any(component.rev for component in parts.table.components.values())
        parts.repair.epoch_floor = won.lease.epoch
        parts.repair.generation = won.generation
        await self._be_hot()
        if won.era > parts.table.era:
            parts.table.begin_era(won.era)
        if won.founded:
            await found(parts.plain, parts.keys, self.settings.shards, parts.table.canary_ms)
        if recovering:
            await parts.repair.put_back()
        ends = {stream: await parts.tail.last(stream) for stream in FOLLOWED}
        await self._read_cursor()
        parts.ledger.begin(leadership)
        await parts.round.take_over(ends)
        if recovering or parts.repair.cold:
            parts.repair.observe_anew(leadership, now_ms, recovering=recovering)
        logger.info("leading shard %d with epoch %d", parts.keys.shard, leadership.lease.epoch)

    async def _read_cursor(self) -> None:
        """What the former leader had answered and stored."""
        parts = self.parts
        names = ("control", "rejected")
        control, rejected = await call(parts.plain, "HMGET", parts.keys.cursor, *names)
        guard = text_map(await call(parts.plain, "HGETALL", parts.keys.guard))
        parts.ledger.guard_events = int(guard.get("events", 0))
        self._take_guard(guard)
        parts.orders.settle(control or b"0-0", rejected or b"0-0")
        parts.ledger.stored_control = control or b""

    async def _step_down(self, leadership: Leadership) -> None:
        parts = self.parts
        reason = leadership.ended or "stopping"
        leadership.ended = reason
        self.leadership, parts.watch.resting = None, False
        logger.info("no longer leading with epoch %d: %s", leadership.lease.epoch, reason)
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            try:
                await parts.leases.release(parts.plain, leadership.lease)
            except HealthmonError:
                logger.debug("the lease was not released; it runs out by itself")
        if parts.orders.asked_to_step_down:
            parts.campaign.rest(self.settings.lease_ttl / 3)
        parts.orders.lead_no_more()
        parts.campaign.over()
        parts.watch.look_now()

    def has_done(self, stream: Stream, entry: bytes) -> bool:
        """Whether a completed round has read the stream up to this entry."""
        return order(self.done_at.get(stream, b"0-0")) >= order(entry)

    def _finish_round(self) -> None:
        self._watch_backlog()
        news, self.parts.table.census.news = self.parts.table.census.news, {}
        for component_id in news:
            self.parts.look_at(component_id)
        self.done_at = dict(self.parts.tail.at)
        if self.round_done.statistics().tasks_waiting:
            self.round_done.set()
            self.round_done = anyio.Event()

    def _watch_backlog(self) -> None:
        """A reader that is behind by more than the longest time-out, for as long, will not catch up by reading on."""
        parts, now_s = self.parts, clock.monotonic_s()
        now_ms, limit_ms = round(parts.time.now_ms()), parts.table.longest_timeout_ms
        if now_ms - parts.table.seen_ms <= limit_ms or not parts.reading.was_full:
            self._kept_up_s = now_s
        elif now_s - self._kept_up_s > limit_ms / 1000:
            parts.repair.skip_backlog(now_ms, self.leadership)
            self._kept_up_s = now_s

    # -- meeting the server ----------------------------------------------------------------------------------------

    async def _meet(self) -> None:
        """First contact: is it fit, what is stored, who else holds a table."""
        parts = self.parts
        facts = await check_server(parts.checker)
        self._run_id, parts.measures.redis_up = facts.run_id, True
        await check_permissions(
            parts.plain, parts.keys, Scripts(), self.settings.replica_id, parts.announcer.incarnation
        )
        await found(parts.plain, parts.keys, self.settings.shards, parts.table.canary_ms)
        hot = await call(parts.plain, "PUBSUB", "SHARDNUMSUB", parts.keys.hot)
        parts.repair.cold = int(hot[1]) == 0
        await parts.tail.connect()
        await parts.reading.sample_time()
        stored = await load(parts.plain, parts.keys, parts.table.defaults)
        self._take(stored)
        await parts.repair.look_for_gap()
        await self._be_hot()
        self.loaded.set()

    async def _be_hot(self) -> None:
        """Be seen to hold a table, once there is a data set that it belongs to."""
        if self.parts.repair.generation:
            await self.parts.alive.become_hot()

    def _take(self, stored: Stored) -> None:
        parts = self.parts
        table = parts.table
        for component in stored.components:
            table.put(component)
        table.gone.update(stored.gone)
        for stretch in stored.stretches:
            table.blindness.add(*stretch)
        self._take_guard(stored.guard)
        era, _, heartbeats = stored.cursor.get("heartbeats", "0:0-0").partition(":")
        table.era = max(table.era, int(era), int(stored.cursor.get("era", 0)))
        # The stream may have ended ahead of the clock; what comes at the right time is still to be seen.
        table.seen_ms = min(int(heartbeats.partition("-")[0]), round(parts.time.now_ms()))
        parts.tail.at["heartbeats"] = heartbeats.encode()
        parts.tail.at["control"] = stored.cursor.get("control", "0-0").encode()
        parts.tail.at["events"] = stored.events_at
        parts.repair.generation = stored.generation
        parts.repair.epoch_floor = max(stored.epoch, *(one.epoch for one in stored.components), 0)

    def _take_guard(self, guard: Mapping[str, str]) -> None:
        """What was committed of the shard, whatever this replica may have believed and could not commit.

        Of a data set that was just founded there is nothing: what was known stays.
        """
        table = self.parts.table
        if not guard:
            return
        table.observing_ms = max(table.observing_ms, int(guard.get("observing_ms", 0)))
        table.recovering_until_ms = max(table.recovering_until_ms, int(guard.get("recovering_until_ms", 0)))
        table.brake.learn(int(guard.get("mass_since_ms", 0)), int(guard.get("mass_at_ms", 0)))

    async def _meet_again(self) -> None:
        """After a lost connection: wait for the server, see whether it is the same, put back what it lost."""
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(HealthmonError),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=AGAIN_S_MAX),
            sleep=anyio.sleep,
        )
        async for attempt in attempts:
            with attempt:
                await self._reconnect()

    async def _reconnect(self) -> None:
        parts = self.parts
        try:
            facts = await check_server(parts.checker)
        except UnfitServer as error:
            logger.warning("Redis is back but unfit: %s", error)
            raise
        await parts.tail.connect()
        stored = (await call(parts.plain, "GET", parts.keys.generation) or b"").decode()
        if facts.run_id != self._run_id and stored and stored == parts.repair.generation:
            await parts.repair.put_back()
        self._run_id = facts.run_id
        await parts.repair.look_for_gap()
        logger.info("Redis is there again")

    # -- beside the rounds -----------------------------------------------------------------------------------------

    async def _campaign(self) -> None:
        parts = self.parts
        while True:
            try:
                await parts.campaign.win()
                parts.alarm.ring()
                await parts.campaign.until_over()
            except HealthmonError as error:
                parts.measures.note_error(error)
                logger.debug("not campaigning: %s", error)
                await anyio.sleep(min(0.2, self.settings.lease_ttl / 10))

    async def _watch(self) -> None:
        """The watch's thread ends within this scope: it is told to stop, and awaited."""
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, self.parts.watch.run)
            try:
                await anyio.sleep_forever()
            finally:
                self.parts.watch.stop()

    async def _announce(self) -> None:
        parts = self.parts
        while True:
            away = False
            try:
                await self._announce_once(parts.announcer)
                await self._check_policy()
            except HealthmonError as error:
                away = True
                parts.measures.note_error(error)
                logger.debug("not announced: %s", error)
            parts.measures.redis_up = not away
            self._keep_vigil(away=away)
            await anyio.sleep(ANNOUNCE_EVERY_S)

    async def _check_policy(self) -> None:
        """Once a minute: a server that began to evict keys loses the lease first."""
        now_s = clock.monotonic_s()
        if now_s >= self._policy_due_s:
            self._policy_due_s = now_s + POLICY_EVERY_S
            await check_server(self.parts.checker)

    def _keep_vigil(self, *, away: bool) -> None:
        parts, leadership, now_s = self.parts, self.leadership, clock.monotonic_s()
        blind_s = (parts.time.now_ms() - parts.table.seen_ms) / 1000
        stalled = leadership is not None and now_s - leadership.rounds_s > ANNOUNCE_EVERY_S
        conditions = {
            "cut off from Redis": away,
            "blind: the heartbeat stream takes no entries": blind_s > parts.table.canary_ms * 3 / 1000,
            "leaderless": leadership is None and not parts.campaign.seen,
            "not committing": stalled,
        }
        self.vigil.watch(conditions, now_s)

    async def _announce_once(self, announcer: Announcer) -> None:
        parts, leadership = self.parts, self.leadership
        now_ms = round(parts.time.now_ms())
        behind_ms = max(0, now_ms - parts.table.seen_ms)
        parts.measures.lag_entries = await parts.tail.behind() if parts.reading.was_full else 0
        said = {
            "role": "leader" if leadership is not None else self.stands_by_as,
            "epoch": str(leadership.lease.epoch if leadership else parts.repair.epoch_floor),
            "lag_ms": str(behind_ms),
            "lag_entries": str(parts.measures.lag_entries),
            "round_p99_ms": f"{parts.measures.rounds.quantile(0.99) * 1000:.2f}",
            "skew_ms": str(now_ms - round(clock.unix_s() * 1000)),
            "fenced_writes": str(parts.measures.fenced_writes),
            "components": str(len(parts.table.components)),
            "rules": json.dumps(asdict(parts.table.defaults)),
            "handlers": json.dumps(parts.offers()),
            "allow_exec": "on" if parts.healing.means.allow_exec else "off",
        }
        await announcer.announce(now_ms, said)
        parts.healing.means = replace(parts.healing.means, handlers=announcer.runners(parts.offers()))
        await self._be_hot()
        parts.watch.rank(standby_rank(self.settings.replica_id, announcer.live, announcer.leader))
        if leadership is not None and parts.table.canary_ms != self._canary_ms:
            self._canary_ms = parts.table.canary_ms
            await tell_canary(parts.plain, parts.keys, self._canary_ms)
        if leadership is None:
            control, rejected = await call(parts.plain, "HMGET", parts.keys.cursor, "control", "rejected")
            parts.orders.settle(control or b"0-0", rejected or b"0-0")

    async def _leave(self) -> None:
        parts = self.parts
        parts.watch.stop()
        try:
            await parts.announcer.leave()
        except HealthmonError:
            logger.debug("not signed off: Redis is away")
        await parts.close()
