"""One replica in this process, and a client of its data: who owns them, and how long they last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import anyio
from anyio.abc import TaskGroup

from healthmon.errors import HealthmonError, NoLeader
from healthmon.monitor.replica import Replica
from healthmon.probes.callable import Function
from healthmon.restarts.handler import Handler
from healthmon.run import make_replica
from healthmon.settings import Settings
from healthmon.store.calls import Client, call, open_raw
from healthmon.store.embedded import embedded_server
from healthmon.store.keys import Keys

LEADER_WITHIN_S: Final = 10.0
Made = Callable[[Replica], None]
Joined = Callable[[TaskGroup], Awaitable[None]]
Left = Callable[[], Awaitable[None]]


class Membership:
    """From `start` to `stop` this loop runs one replica; one task owns it and all that was started beside it.

    A failure of the replica is raised by the next call. `handlers` and `callables`: what this process offers to restart
    and to probe with; they may change at any time.
    """

    def __init__(self, settings: Settings, handlers: dict[str, Handler], callables: dict[str, Function]) -> None:
        self.settings = settings
        self._handlers = handlers
        self._callables = callables
        self._made: list[Made] = []
        self._beside: list[tuple[Joined, Left]] = []
        self._replica: Replica | None = None
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._scope: anyio.CancelScope | None = None

    def prepare(self, made: Made) -> None:
        """At each start `made` is called with the new replica before it runs."""
        self._made.append(made)

    def beside(self, joined: Joined, left: Left) -> None:
        """At each start `joined` is awaited with the task's group once the replica holds a table; `left` at the end."""
        self._beside.append((joined, left))

    # -- start and stop ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the cluster; returns when a leader exists. Raises NoLeader after 10 s, StoreUnavailable and others."""
        if self._task is not None and not self._task.done():
            return
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(started), name="healthmon")
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
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

    async def _run(self, started: asyncio.Future[None]) -> None:
        """The one task that owns everything."""
        async with AsyncExitStack() as stack:
            settings = self.settings
            if settings.redis_url.startswith("embedded://"):
                server = await stack.enter_async_context(embedded_server(settings.redis_url))
                settings = settings.model_copy(update={"redis_url": server.url})
            self._replica = make_replica(settings, handlers=self._handlers, callables=self._callables)
            for made in self._made:
                made(self._replica)
            self._client = open_raw(settings.redis_url, name=f"{settings.replica_id}-api")
            stack.push_async_callback(self._client.aclose)
            for _, left in self._beside:
                stack.push_async_callback(left)
            try:
                async with anyio.create_task_group() as group:
                    self._scope = group.cancel_scope
                    group.start_soon(self._replica.run)
                    await self._replica.loaded.wait()
                    for joined, _ in self._beside:
                        await joined(group)
                    started.set_result(None)
            except BaseExceptionGroup as failed:
                raise _first(failed) from None

    async def _leader_exists(self) -> None:
        while not await call(self.client, "EXISTS", self.keys.leader):
            self._raise_failure()
            await anyio.sleep(0.02)
        replica = self.replica
        if replica.parts.campaign.won is not None:
            await self.rounds_until(lambda: replica.leadership is not None and bool(replica.done_at))

    # -- what the others work with -------------------------------------------------------------------------------------

    @property
    def replica(self) -> Replica:
        """The running replica. Raises HealthmonError before the start, and its failure when it ended by one."""
        self._raise_failure()
        if self._task is None or self._replica is None:
            raise HealthmonError("this monitor is not started: await start() first")
        return self._replica

    @property
    def client(self) -> Client:
        """The connections of the calls made here, apart from the replica's own."""
        if self._client is None:
            raise HealthmonError("this monitor is not started: await start() first")
        return self._client

    @property
    def keys(self) -> Keys:
        return self.replica.parts.keys

    async def rounds_until(self, true: Callable[[], bool]) -> None:
        """Returns after the first round at whose end this is true."""
        replica = self.replica
        while not true():
            self._raise_failure()
            with anyio.move_on_after(0.1):
                await replica.round_done.wait()

    def _raise_failure(self) -> None:
        """The replica's failure, if it ended by one, is raised by the next call."""
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            self._task = None
            failure = task.exception()
            if failure is not None:
                raise failure


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
