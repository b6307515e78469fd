"""The Python face: a monitor object is one replica of the cluster and a client of it.

Two objects, in one process or in many, are two replicas: one leads, the others follow hot. What a call changed is seen
by the next read through the same object.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final, Self
from weakref import WeakKeyDictionary

import anyio

from healthmon.core.component import Status
from healthmon.core.event import EventType
from healthmon.core.health import ComponentHealth, EventsMissed, HealthEvent, event_of, health_of
from healthmon.core.heartbeat import CUSTOM, STANDARD_METRICS
from healthmon.core.ids import valid_id
from healthmon.core.restart import RestartPolicy
from healthmon.errors import ConfigurationError, HealthmonError, NoLeader, NoSuchComponent, Refused, TimedOut
from healthmon.monitor.replica import Replica
from healthmon.run import make_replica
from healthmon.settings import Settings, load_settings
from healthmon.store.asking import ask, wait_for
from healthmon.store.calls import Client, call, open_raw
from healthmon.store.codec import pack_heartbeat, read_event
from healthmon.store.embedded import embedded_server
from healthmon.store.event_log import EventLog
from healthmon.store.keys import Keys
from healthmon.store.streams import order

logger = logging.getLogger("healthmon")

LEADER_WITHIN_S: Final = 10.0
SEEN_WITHIN_S: Final = 2.0
_THRESHOLDS: Final = ("heartbeat_timeout", "degraded_threshold", "dead_threshold")

Callback = Callable[[HealthEvent], Awaitable[None] | None]


class DistributedHealthMonitor:
    """One replica of the monitor in this process, and the calls that programs make.

    Arguments are settings by their names, seconds where they are durations; they win over the environment. Thresholds
    given here go into the policy of the components that this object registers; all others follow the leader's
    settings. Nothing connects before `start`. Raises ConfigurationError for arguments that make no sense.
    """

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  # each setting has its own type; they are checked
        self.settings: Settings = load_settings(**given)
        self._thresholds = {name: given[name] for name in _THRESHOLDS if given.get(name) is not None}
        self._replica: Replica | None = None
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._scope: anyio.CancelScope | None = None
        self._subscriptions: list[tuple[EventType | None, Callback]] = []
        self._group: anyio.abc.TaskGroup | None = None
        self._readers: set[Client] = set()
        self._heartbeat_at = self._control_at = "0-0"
        self._wrote: dict[str, str] = {}

    # -- start and stop --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the cluster; returns when a leader exists. Raises NoLeader after 10 s, StoreUnavailable and others."""
        if self._task is not None and not self._task.done():
            return
        self._started = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(self._started), name="healthmon")
        await asyncio.wait({self._task, self._started}, return_when=asyncio.FIRST_COMPLETED)
        if not self._started.done():
            await self._task
        try:
            with anyio.fail_after(LEADER_WITHIN_S):
                await self._leader_exists()
        except TimeoutError:
            await self.stop()
            raise NoLeader(f"no replica leads after {LEADER_WITHIN_S:g} s: see `healthmon doctor`") from None

    async def stop(self) -> None:
        """Sign off and end; a leader hands over. A failure of the replica is raised here if no call has raised it."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._scope is not None:
            self._scope.cancel()
        await task

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _run(self, started: asyncio.Future[None]) -> None:
        """The one task that owns everything this object started."""
        async with AsyncExitStack() as stack:
            settings = self.settings
            if settings.redis_url.startswith("embedded://"):
                server = await stack.enter_async_context(embedded_server(settings.redis_url))
                settings = settings.model_copy(update={"redis_url": server.url})
            self._replica = make_replica(settings)
            self._client = open_raw(settings.redis_url, name=f"{settings.replica_id}-api")
            stack.push_async_callback(self._client.aclose)
            stack.push_async_callback(self._close_readers)
            try:
                async with anyio.create_task_group() as group:
                    self._scope, self._group = group.cancel_scope, group
                    group.start_soon(self._replica.run)
                    await self._replica.loaded.wait()
                    for event_type, callback in self._subscriptions:
                        await group.start(self._tell, event_type, callback)
                    started.set_result(None)
            except BaseExceptionGroup as failed:
                raise _first(failed) from None
            finally:
                self._group = None

    async def _leader_exists(self) -> None:
        keys = self._keys
        while not await call(self._client, "EXISTS", keys.leader):
            self._raise_failure()
            await anyio.sleep(0.02)
        replica = self._live()
        if replica.parts.campaign.won is not None:
            await self._rounds_until(lambda: replica.leadership is not None and bool(replica.done_at))

    # -- writing ---------------------------------------------------------------------------------------------------

    async def register_component(
        self,
        component_id: str,
        role: str | None = None,
        restart_policy: RestartPolicy | None = None,
        **policy: Any,  # noqa: ANN401  # the parts of a policy have types of their own; the leader checks them
    ) -> None:
        """Make a component known, or give a known one the parts that are named here; its state and totals stay.

        `policy`: interval, heartbeat_timeout, degraded_threshold, dead_threshold, startup_timeout, expected, score …
        Returns when the leader has accepted it. Raises Refused with the reason, NoLeader after 2 s.
        """
        _check_id(component_id)
        said: dict[str, Any] = {**self._thresholds, **{k: v for k, v in policy.items() if v is not None}}
        if role is not None:
            said["role"] = str(role)
        if restart_policy is not None:
            said["restart"] = restart_policy.to_policy()
        await self._ask("register", component_id, policy=json.dumps(said))

    async def forget_component(self, component_id: str) -> None:
        """Remove a component and its history. Raises Refused for an unknown one, NoLeader after 2 s."""
        _check_id(component_id)
        await self._ask("forget", component_id)

    async def heartbeat(
        self,
        component_id: str,
        metrics: Mapping[str, float] | None = None,
        *,
        status: str = "ok",
        msg: str = "",
    ) -> str:
        """Send one heartbeat for a component; its stream id. Metrics of other names than the standard become custom."""
        _check_id(component_id)
        self._live()
        said: dict[str, Any] = {
            name if name in STANDARD_METRICS or name.startswith(CUSTOM) else f"{CUSTOM}{name}": value
            for name, value in (metrics or {}).items()
        }
        if Status(status) is not Status.OK:
            said["status"] = status
        if msg:
            said["msg"] = msg
        packed: list[str | bytes] = ["p", pack_heartbeat(said)] if said else []
        entry: bytes = await call(self._client, "XADD", self._keys.heartbeats, "*", "id", component_id, *packed)
        self._heartbeat_at = self._wrote[component_id] = entry.decode()
        return self._heartbeat_at

    async def _ask(self, cmd: str, component_id: str, **fields: str) -> None:
        self._live()
        asked = await ask(self._client, self._keys, cmd, id=component_id, **fields)
        try:
            await wait_for(
                self._client, self._keys, asked, lambda event: event.fields.get("cause") == asked.entry, SEEN_WITHIN_S
            )
        except TimedOut as late:
            raise NoLeader(str(late)) from None
        except HealthmonError as refused:
            raise Refused(str(refused)) from None
        self._control_at = asked.entry
        self._wrote.setdefault(component_id, self._heartbeat_at)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def get_component_health(self, component_id: str) -> ComponentHealth:
        """The health of one component. Raises NoSuchComponent; NoLeader when an own write is not seen within 2 s."""
        await self._see_own_writes()
        replica = self._live()
        component = replica.parts.table.get(component_id)
        if component is None or not component.rev:
            raise NoSuchComponent(f"no component {component_id!r}: register it, or send its first heartbeat")
        return health_of(component, round(replica.parts.time.now_ms()))

    async def get_all_health(self) -> dict[str, ComponentHealth]:
        """The health of every component, by id."""
        await self._see_own_writes()
        parts = self._live().parts
        now_ms = round(parts.time.now_ms())
        records = (parts.table.get(one) for one in list(parts.table.components))
        return {one.id: health_of(one, now_ms) for one in records if one is not None and one.rev}

    async def _see_own_writes(self) -> None:
        """Wait until what this object wrote has been folded and committed, and stands in this replica's table."""
        replica = self._live()
        if not self._wrote:
            return
        wrote, self._wrote = self._wrote, {}
        heartbeats, control = self._heartbeat_at.encode(), self._control_at.encode()
        try:
            with anyio.fail_after(SEEN_WITHIN_S):
                if replica.leadership is not None:
                    await self._rounds_until(
                        lambda: replica.has_done("heartbeats", heartbeats) and replica.has_done("control", control)
                    )
                else:
                    await self._sync(replica, wrote)
        except TimeoutError:
            self._wrote = {**wrote, **self._wrote}
            raise NoLeader(f"what was written was not seen within {SEEN_WITHIN_S:g} s") from None

    async def _sync(self, replica: Replica, wrote: Mapping[str, str]) -> None:
        """Have the leader fold up to the writes, then wait until this replica has followed up to there."""
        entry = b"0-0"
        for component_id, upto in wrote.items():
            asked = await ask(self._client, self._keys, "sync", id=component_id, upto=upto)
            entry = asked.entry.encode()
        while True:
            answered = await call(self._client, "HGET", self._keys.cursor, "control")
            if order(answered or b"0-0") >= order(entry):
                break
            await anyio.sleep(0.005)
        events = (await EventLog(self._client, self._keys).last()).encode()
        heartbeats = self._heartbeat_at.encode()
        await self._rounds_until(
            lambda: (
                replica.leadership is not None
                or (replica.has_done("heartbeats", heartbeats) and replica.has_done("events", events))
            )
        )

    async def _rounds_until(self, true: Callable[[], bool]) -> None:
        replica = self._live()
        while not true():
            self._raise_failure()
            with anyio.move_on_after(0.1):
                await replica.round_done.wait()

    # -- events ----------------------------------------------------------------------------------------------------

    async def subscribe(self, event_type: EventType | str | None, callback: Callback) -> None:
        """Have `callback` called with every later event of the type (None: of every type), in order, from any replica.

        A plain or an async function. One that raises is logged, and hears of the next event all the same. A slow one
        delays nobody but itself. Events that were trimmed before it came to them are logged with their number.
        """
        wanted = None if event_type is None else EventType(event_type)
        self._subscriptions.append((wanted, callback))
        if self._group is not None:
            await self._group.start(self._tell, wanted, callback)

    async def events(self, since: str | None = None) -> AsyncGenerator[HealthEvent | EventsMissed, None]:
        """Every event after the stream id `since`, or from now on, for as long as it is iterated.

        Yields EventsMissed where events were trimmed before they were read. Raises StoreUnavailable when Redis is away;
        go on from the last `stream_id` then.
        """
        client = open_raw(self._live().settings.redis_url, name=f"{self.settings.replica_id}-events", dedicated=True)
        self._readers.add(client)
        try:
            log = EventLog(client, self._keys)
            at = since if since is not None else await log.last()
            while True:
                gap = await log.gap(at)
                if gap is not None:
                    at = "0-0"
                    yield EventsMissed(gap.missed_max, gap.first)
                async for event in self._read_on(log, at):
                    at = event.stream_id
                    yield event
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()
            self._readers.discard(client)

    async def _close_readers(self) -> None:
        """An iteration that was left by `break` still has its connection; it ends with the monitor."""
        for client in list(self._readers):
            await client.aclose()

    async def _read_on(self, log: EventLog, at: str) -> AsyncIterator[HealthEvent]:
        """Events as they come, until a read was so full that some may have been trimmed meanwhile."""
        while True:
            entries = await log.after(at, block=True)
            for entry in entries:
                at = entry.id
                event = read_event(entry.id, entry.fields)
                if event is not None:
                    yield event_of(event)
            if len(entries) > 1:
                return

    async def _tell(
        self, wanted: EventType | None, callback: Callback, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        at: str | None = await EventLog(self._client, self._keys).last()
        task_status.started()
        while True:
            try:
                async with aclosing(self.events(at)) as events:
                    async for event in events:
                        at = event.stream_id
                        if isinstance(event, EventsMissed):
                            logger.warning("a subscriber missed up to %d events: they were trimmed", event.missed_max)
                        elif wanted is None or event.event_type is wanted:
                            await _call(callback, event)
            except HealthmonError as away:
                logger.debug("subscription waits: %s", away)
                await anyio.sleep(0.5)

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _keys(self) -> Keys:
        return self._live().parts.keys

    def _live(self) -> Replica:
        self._raise_failure()
        if self._task is None or self._replica is None:
            raise HealthmonError("this monitor is not started: await start() first")
        return self._replica

    def _raise_failure(self) -> None:
        """The replica's failure, if it ended by one, is raised by the next call."""
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            self._task = None
            failure = task.exception()
            if failure is not None:
                raise failure


_monitors: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[dict[str, Any], DistributedHealthMonitor]] = (
    WeakKeyDictionary()
)


async def get_health_monitor(**given: Any) -> DistributedHealthMonitor:  # noqa: ANN401  # settings, as above
    """The monitor of the running loop, started. Raises ConfigurationError when called again with other arguments."""
    loop = asyncio.get_running_loop()
    known = _monitors.get(loop)
    if known is not None and given and given != known[0]:
        raise ConfigurationError(
            f"this loop's monitor was made with {known[0]}: call get_health_monitor() without arguments, or make a "
            "DistributedHealthMonitor of your own"
        )
    if known is None:
        known = (dict(given), DistributedHealthMonitor(**given))
        _monitors[loop] = known
    await known[1].start()
    return known[1]


async def _call(callback: Callback, event: HealthEvent) -> None:
    try:
        answer = callback(event)
        if answer is not None:
            await answer
    except Exception:
        logger.exception("a subscriber failed at event %s", event.stream_id)


def _check_id(component_id: str) -> None:
    if not valid_id(component_id):
        raise Refused(f"{component_id!r} is no id: 1 to 128 letters, digits and ._@-, no dot in front")


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
