"""One life of the supervised program: from its start over its being ready to its end, and what is said meanwhile."""

from __future__ import annotations

import logging
import secrets
import signal
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from healthmon import clock
from healthmon.agent.child import KILLED_WITHIN_S, Child, Exit, start
from healthmon.agent.session import Said, Session
from healthmon.agent.wire import TIMEOUT_S
from healthmon.core.component import Status

if TYPE_CHECKING:
    from healthmon.agent.output import Output
    from healthmon.agent.sender import Sender
    from healthmon.agent.supervise_plan import Plan
    from healthmon.agent.tree import TreeMetrics

# How often memory is looked at: soon at first, since many a program ends early, then at this pace.
LOOK_FIRST_S, LOOK_AT_MEMORY_S = 0.1, 5.0
# The last words are already in the pipe when their writer ends; to pass them on takes as long as our reader likes.
LAST_WORDS_S: Final = 1.0
SILENT_WITHIN_S: Final = TIMEOUT_S + 0.5
logger = logging.getLogger("healthmon.agent")


class Life:
    """One child. `verdict` is set when it is up, has failed to be ready in time, or has ended before: see `trouble`.

    `told`: its end was noted. `over`: nothing of its group is left either. `stopped`: the signal, if its end is wanted.
    """

    def __init__(self, plan: Plan, output: Output, sender: Sender, measures: TreeMetrics, *, quiet: bool) -> None:
        """Starts the child. `quiet`: no heartbeat before `speak`. Raises CouldNotStart."""
        self.incarnation = secrets.token_hex(4)
        self._plan = plan
        self._output = output
        self._sender = sender
        self._measures = measures
        output.begin()
        plan.check.begin(output)
        self.child: Child = start(plan.command, plan.environment(self.incarnation), output.out, output.err)
        self._session = Session(
            plan.component_id,
            role=plan.role,
            incarnation=self.incarnation,
            pid=self.child.pid,
            measures=measures,
        )
        self._speaking = False
        self._said = Said(status=Status.STARTING)
        self.verdict = anyio.Event()
        self.trouble = ""
        self.ready = False
        self.told = anyio.Event()
        self.over = anyio.Event()
        self.stopped: signal.Signals | None = None
        self._stop_by_s = 0.0
        self.goodbye = False
        if not quiet:
            self.speak()

    @property
    def exit(self) -> Exit | None:
        return self.child.exit

    @property
    def age_s(self) -> float:
        return clock.monotonic_s() - self.child.started_s

    def speak(self) -> None:
        """From now on send heartbeats: what is known of the child, every interval."""
        if self._speaking or not self.child.running or not self._plan.reporting:
            return
        if self._plan.own_heartbeats:
            if self._said.status is not Status.OK:
                self._sender.submit(self._session, self._said)
            return
        self._speaking = True
        self._session.remember(self._said)
        self._sender.attach(self._session, self._plan.interval_s)

    async def live(self) -> None:
        """Returns when the child has ended, and no heartbeat of it is on its way any more."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._get_ready)
            group.start_soon(self._look_at_memory)
            await self.child.ended.wait()
            group.cancel_scope.cancel()
        self.trouble = self.trouble or "it ended before it was ready"
        self.verdict.set()
        await self._fall_silent()
        await self._output.settled(LAST_WORDS_S)

    async def stop(self, number: signal.Signals) -> None:
        """Have the child's group end: this signal, then the timeout, then SIGKILL. Returns when it is over.

        That takes five seconds more at most; longer takes only who hangs in the kernel.
        """
        self.stopped = number
        self._stop_by_s = clock.monotonic_s() + self._plan.stop_timeout_s
        self.child.signal_group(number)
        with anyio.move_on_after(self._plan.stop_timeout_s):
            await self.child.ended.wait()
        if self.child.running:
            logger.warning("%s did not end within %g s: it is killed", self._named, self._plan.stop_timeout_s)
            self.child.signal_group(signal.SIGKILL)
        with anyio.move_on_after(KILLED_WITHIN_S + self._plan.stop_timeout_s):
            await self.over.wait()

    def say_goodbye(self) -> None:
        """It is told to end: say so now, and at the end once more."""
        self.goodbye = True
        self._say(Said(status=Status.STOPPING))

    async def sweep(self) -> None:
        """End what the child left behind in its group. What was asked already is not asked twice."""
        if self.stopped is None:
            await self.child.end_group(self._plan.stop_signal, self._plan.stop_timeout_s)
        else:
            await self.child.end_group(0, max(0.0, self._stop_by_s - clock.monotonic_s()))

    def peak_mb(self) -> float:
        """The most memory that it and its descendants were seen to use, MiB."""
        return max(self._measures.peak_mb, self.exit.peak_mb if self.exit else 0.0)

    def lines(self) -> list[str]:
        return self._output.lines()

    @property
    def _named(self) -> str:
        return f"{self._plan.component_id} (pid {self.child.pid})"

    async def _get_ready(self) -> None:
        check, within_s = self._plan.check, self._plan.ready_timeout_s
        async with anyio.create_task_group() as group:
            group.start_soon(self._tell_late, within_s)
            await check.ready()
            group.cancel_scope.cancel()
        late = self.verdict.is_set()
        self.ready, self.trouble = True, ""
        self.verdict.set()
        logger.info("%s is up after %.1f s", self._named, self.age_s)
        self._say(Said())
        if late:
            self.speak()

    async def _tell_late(self, within_s: float) -> None:
        """It is late: say so. One that a restart has started stays silent, since that restart has failed."""
        await anyio.sleep(within_s)
        self.trouble = f"not ready after {within_s:g} s: {self._plan.check.trouble}"
        logger.warning("%s is %s", self._named, self.trouble)
        self.verdict.set()
        self._say(Said(status=Status.DEGRADED, msg=self.trouble))

    def _say(self, said: Said) -> None:
        """Say it now and from now on."""
        self._said = said
        if self._speaking:
            self._session.remember(said)
            self._sender.submit(self._session, said)

    async def _look_at_memory(self) -> None:
        pause_s = LOOK_FIRST_S
        while True:
            await anyio.to_thread.run_sync(self._measures.note_peak)
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_AT_MEMORY_S)

    async def _fall_silent(self) -> None:
        """No heartbeat may follow the report of the end: it would be a sign of life."""
        if self._speaking:
            self._sender.leave(self._session, Said(status=Status.STOPPING) if self.goodbye else None)
            await anyio.to_thread.run_sync(self._session.left.wait, SILENT_WITHIN_S)
