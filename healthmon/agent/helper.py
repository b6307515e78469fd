"""HeartbeatHelper: what a component holds to say that it lives."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Final, Self

import anyio.to_thread

from healthmon.agent.dependencies import DependencyWatch, Told
from healthmon.agent.goodbye import last_words, told
from healthmon.agent.identity import client_settings
from healthmon.agent.jobs import Job
from healthmon.agent.metrics import GivenMetrics, LoopLag
from healthmon.agent.sender import STOP_S, sender_for
from healthmon.agent.session import Said, Session
from healthmon.clock import monotonic_s
from healthmon.core.component import Status
from healthmon.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from healthmon.agent.sender import Sender

logger = logging.getLogger("healthmon.agent")


class HeartbeatHelper:
    """Sends a component's heartbeats from a thread of its own, for asyncio and for threaded code alike.

    Promised:
    - Nothing connects at import or construction. A bad id raises ConfigurationError at construction; nothing else is
      ever raised into the component, and no call waits for Redis but the stopping ones, `STOP_S` (1 s) at most.
    - Once started, a heartbeat goes out at least every interval; each `send` is one more and puts the next off. While
      Redis takes them every one is sent, at least once; beyond 64 that wait the oldest are dropped. While Redis is away
      only the newest is kept. It is sent when Redis is back, which is noticed within 5 s.
    - What was said last stands: until the next `send` the heartbeats in between repeat its status and message, and for
      45 s its metrics.
    - The end is told: `stopping`, or `failing` where an exception is in flight, by `stop`, at the end of a `with`
      block, or at the interpreter's end (within 0.5 s). A process that is killed says nothing.
    - A forked child is not the component: there this helper does nothing until it is started in the child, where it
      gets its own thread, socket and incarnation.

    Not promised: that a heartbeat arrives before a call returns, or that the work goes on because heartbeats do. For
    that there is `tick`, and in asyncio the metric `m.loop_lag_ms`.

    Arguments win over the environment (HEALTH_COMPONENT_ID, HEALTH_INTERVAL, HEALTH_REDIS_URL, HEALTH_PREFIX,
    HEALTH_INCARNATION). HEALTH_DISABLED=1 makes all of it do nothing. `heartbeat_interval`: seconds, 10 unless given.
    `role`, `version`: of the component, shown with it. `incarnation`: the name of this start, random unless given.
    `metrics`: whether `memory_mb`, `cpu_percent` and the loop's lag ride along. `max_stall`: seconds without a `tick`
    after which heartbeats say `degraded`; None for no such check.
    """

    def __init__(
        self,
        component_id: str | None = None,
        role: str | None = None,
        heartbeat_interval: float | None = None,
        *,
        redis_url: str | None = None,
        prefix: str | None = None,
        incarnation: str | None = None,
        version: str | None = None,
        metrics: bool = True,
        max_stall: float | None = None,
    ) -> None:
        self._settings = client_settings(
            component_id, interval=heartbeat_interval, redis_url=redis_url, prefix=prefix, incarnation=incarnation
        )
        self._role = role
        self._version = version
        self._metrics = metrics
        self._max_stall_s = max_stall
        self._given = GivenMetrics()
        self._told: set[str] = set()
        self._pid = os.getpid()
        self._incarnation = self._settings.incarnation if self._settings else None
        self._session: Session | None = None
        self._ended = False
        self._sender = self._find_sender()
        self._changing = threading.Lock()
        self._told_of_dependencies: Told | None = None
        self._watch: DependencyWatch | None = None

    # -- asyncio -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to send, the first heartbeat at once. A second call does nothing."""
        self._start(_running_loop())

    async def send_heartbeat(
        self, metrics: Mapping[str, object] | None = None, *, status: str = Status.OK, msg: str = ""
    ) -> None:
        """`send`, for asyncio code. It never waits."""
        self.send(metrics, status=status, msg=msg)

    async def stop(self) -> None:
        """Say `stopping`, or `failing` with the exception in flight, and end. Waits up to 1 s until that is sent.

        When Redis is away the last heartbeat is tried once.
        """
        await self._stop(sys.exc_info()[1])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop(error)

    # -- threads -------------------------------------------------------------------------------------------------------

    def start_in_thread(self) -> None:
        """`start`, for code without an event loop."""
        self._start(None)

    def send(self, metrics: Mapping[str, object] | None = None, *, status: str = Status.OK, msg: str = "") -> None:
        """Send a heartbeat soon; from any thread, also before a start. It takes microseconds and never raises.

        After a stop nothing is sent until the next start: a straggler would take the goodbye back.

        `metrics`: finite numbers; they go over what is measured here, and a name that is not one of the contract's
        becomes `m.<name>`. `status`: `ok`, `starting`, `degraded`, `failing` or `stopping`. What cannot be sent is left
        out, with a log line.
        """
        if self._sender is None or os.getpid() != self._pid:
            return
        try:
            said = Said(self._given.clean(metrics), self._status(status), str(msg), monotonic_s())
            with self._changing:
                if not self._ended:
                    session = self._session = self._session or self._new_session()
                    session.remember(said)
                    self._sender.submit(session, said)
        except Exception as error:  # a mapping of the component's own may raise anything, and not into the component
            self._tell_once("send", f"a heartbeat can't be sent: {told(error)}")

    def tick(self) -> None:
        """Prove progress: call it wherever the work gets on. Without it for `max_stall`, heartbeats say `degraded`."""
        session = self._session
        if session is not None:
            session.tick()

    def job(self, name: str = "") -> Job:
        """A context manager and decorator that tells of one piece of work: begun, done or failed, and how long it took.

        `with helper.job("nightly"): ...`, or `@helper.job()` on a function, plain or async. Exceptions pass.
        """
        return Job(self.send, name)

    def on_dependency(self, callback: Told) -> Told:
        """Have `callback` called whenever something that the component depends on goes down or comes back.

        It is given a DependencyChange, within about a second of the monitor's verdict; at once after a start when
        something is down then. In asyncio it is called in the loop and may be async. Call this before the start; it can
        be used as a decorator. What it raises is logged.
        """
        self._told_of_dependencies = callback
        return callback

    def stop_thread(self) -> None:
        """`stop`, for code without an event loop. Blocks up to 1 s."""
        self._stop_in_thread(sys.exc_info()[1])

    def close(self) -> None:
        """`stop_thread`, by the name that contextlib.closing calls."""
        self._stop_in_thread(sys.exc_info()[1])

    def __enter__(self) -> Self:
        self.start_in_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_in_thread(error)

    # -- what both share -----------------------------------------------------------------------------------------------

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if os.getpid() != self._pid:
            self._begin_in_child()
        if self._sender is None or self._settings is None:
            return
        with self._changing:
            self._ended = False
            if self._session is None or self._session.leaving:
                self._session = self._new_session()
            session = self._session
            if session.due_s is None:
                session.watch(None if loop is None else LoopLag(loop))
                session.tick()
                self._sender.attach(session, self._settings.interval)
                self._watch_dependencies(loop)

    async def _stop(self, error: BaseException | None) -> None:
        session = self._leave(error)
        if session is not None:
            await anyio.to_thread.run_sync(session.left.wait, STOP_S)

    def _stop_in_thread(self, error: BaseException | None) -> None:
        session = self._leave(error)
        if session is not None:
            session.left.wait(STOP_S)

    def _leave(self, error: BaseException | None) -> Session | None:
        if os.getpid() != self._pid or self._sender is None:
            return None
        with self._changing:
            session, self._session, self._ended = self._session, None, True
            watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()
        if session is not None:
            status, msg = last_words(error)
            self._sender.leave(session, Said(status=status, msg=msg))
        return session

    def _watch_dependencies(self, loop: asyncio.AbstractEventLoop | None) -> None:
        told, settings = self._told_of_dependencies, self._settings
        if told is not None and settings is not None and self._watch is None:
            component_id = str(settings.component_id)
            self._watch = DependencyWatch(settings.redis_url, settings.prefix, component_id, told)
            self._watch.start(loop)

    def _new_session(self) -> Session:
        return Session(
            str(self._settings.component_id if self._settings else None),
            role=self._role,
            version=self._version,
            incarnation=self._incarnation,
            metrics=self._metrics,
            max_stall_s=self._max_stall_s,
        )

    def _begin_in_child(self) -> None:
        """The session, the sender, the incarnation, and a lock that another thread may have held are the parent's."""
        self._pid, self._incarnation = os.getpid(), None
        self._session, self._changing, self._watch = None, threading.Lock(), None
        self._sender = self._find_sender()

    def _find_sender(self) -> Sender | None:
        """Where heartbeats go; nothing when there is nowhere, or they are switched off."""
        if self._settings is None:
            return None
        try:
            return sender_for(self._settings.redis_url, self._settings.prefix)
        except ConfigurationError as error:
            logger.error("no heartbeats are sent: %s", error)  # noqa: TRY400  # one sentence says it all
            return None

    def _status(self, status: str) -> Status:
        try:
            return Status(status)
        except ValueError:
            self._tell_once("status", f"{status!r:.80} is no status: the heartbeat goes without; give {_STATUSES}")
            return Status.OK

    def _tell_once(self, what: str, line: str) -> None:
        if what not in self._told:
            self._told.add(what)
            logger.warning("%s", line)


_STATUSES: Final = ", ".join(Status)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The asyncio loop that this runs in; nothing under another event loop."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
