"""`healthmon run`: keeps one program, speaks for it, and restarts it when it is told to.

Nothing that happens to Redis or to the monitor stops the program. When this process ends, however it does, the program
and its group end too, as in a container; what left the group (setsid) is left alone.
"""

from __future__ import annotations

import logging
import signal
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from healthmon.agent.child import COULD_NOT_START, CouldNotStart, Exit, Lifeline, adopt_orphans, reap
from healthmon.agent.journal import Journal
from healthmon.agent.outbox import Outbox
from healthmon.agent.output import Output, bounded
from healthmon.agent.registration import Registration
from healthmon.agent.sender import sender_for
from healthmon.agent.supervise_life import Life
from healthmon.agent.supervise_orders import Orders
from healthmon.agent.tree import TreeMetrics
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from healthmon.store.restarts import Restarts
from healthmon.store.scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from healthmon.agent.supervise_plan import Plan

FORWARDED: Final = tuple(
    getattr(signal, f"SIG{name}") for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH")
)
LAST_REPORT_S: Final = 1.0
REGISTERED_WITHIN_S: Final = 5.0
BLOCK_MS: Final = 3000  # many agents wait for an order that seldom comes
KILLED: Final = 128 + signal.SIGKILL
AGAIN_S: Final = 5.0
logger = logging.getLogger("healthmon.agent")


async def supervise(plan: Plan) -> int:
    """Run the program until told to end; its exit code, 128 + n when signal n ended it.

    Ends also with the program, where nobody will restart it. Raises CouldNotStart when its first start fails, and
    ConfigurationError for a URL or a journal that cannot be used; then nothing was started.
    """
    journal = Journal(plan.journal)
    try:
        return await Supervisor(plan, journal).run()
    finally:
        journal.close()


class Supervisor:
    """One program over all its lives. It runs once."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan = plan
        self._journal = journal
        self._sender = sender_for(plan.redis_url, plan.prefix)
        keys = Keys(plan.prefix)
        name = f"run-{plan.component_id}"
        self._keys = keys
        self._client = open_raw(plan.redis_url, name=name, dedicated=True)
        self._restarts = Restarts(plan.redis_url, keys, Scripts(), name, block_ms=BLOCK_MS)
        self._outbox = Outbox()
        self._orders = Orders(plan, self._restarts, self._client, self._outbox, journal)
        self._registration = Registration(plan, self._client, keys)
        self._output = Output()
        self._lifeline = Lifeline()
        self._over = anyio.Event()
        self._asked_by: signal.Signals | None = None
        self._life: Life | None = None
        self._code = COULD_NOT_START

    async def run(self) -> int:
        """See `supervise`."""
        adopt_orphans()
        with self._lifeline, anyio.open_signal_receiver(signal.SIGCHLD, *_heeded()) as signals:
            first = self._start(quiet=False)
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(self._heed, signals)
                group.start_soon(self._live, first)
                reap(first.child)  # it may have ended before anybody listened
                if self._plan.reporting:
                    group.start_soon(_outlive, self._outbox.deliver)
                    group.start_soon(_outlive, self._registration.keep)
                async with anyio.create_task_group() as obeying:
                    if self._plan.reporting and self._plan.restarted:
                        follow = partial(self._orders.follow, self._restart, self._age_s, self._speak)
                        obeying.start_soon(_outlive, follow)
                    await self._over.wait()
                    obeying.cancel_scope.cancel()
                await self._end()
                group.cancel_scope.cancel()
            await self._restarts.close()
            await self._client.aclose()
        return self._code

    # -- a life ----------------------------------------------------------------------------------------------------

    def _start(self, *, quiet: bool) -> Life:
        measures = TreeMetrics(frozenset((self._lifeline.pid,)))
        life = self._life = Life(self._plan, self._output, self._sender, measures, quiet=quiet)
        self._lifeline.hold(life.child.pid)
        self._journal.note("started", pid=life.child.pid, incarnation=life.incarnation)
        logger.info("%s started as pid %d", self._plan.component_id, life.child.pid)
        return life

    async def _live(self, life: Life) -> None:
        await life.live()
        ended = life.exit
        if ended is None:  # only a cancelled life has none
            return
        self._code = ended.code
        self._lifeline.hold(0)
        self._note_end(life, ended)
        life.told.set()
        await life.sweep()
        life.over.set()
        if not self._plan.restarted or not self._plan.reporting:
            self._over.set()

    def _note_end(self, life: Life, ended: Exit) -> None:
        """Tell of the end; an end that nobody wanted is reported, as proof of death."""
        uptime_s, peak_mb = round(ended.uptime_s, 3), round(life.peak_mb(), 1)
        self._journal.note(
            "exited",
            pid=life.child.pid,
            incarnation=life.incarnation,
            code=ended.code,
            signal=ended.signal,
            uptime_s=uptime_s,
            peak_mb=peak_mb,
            wanted=life.stopped is not None,
        )
        if life.stopped is not None:
            return
        logger.warning("%s %s after %.1f s", self._plan.component_id, ended, ended.uptime_s)
        said = {
            "cmd": "report",
            "kind": "exit",
            "id": self._plan.component_id,
            "code": str(ended.code),
            "signal": ended.signal,
            "lines": bounded(life.lines()),
            "incarnation": life.incarnation,
            "peak_mb": str(peak_mb or ""),  # 0: it ended before anybody looked
            "uptime_s": str(uptime_s),
            "by": self._plan.name,
        }
        fields = [part for pair in said.items() for part in pair]

        async def send() -> None:
            with anyio.move_on_after(REGISTERED_WITHIN_S):  # without its policy a death is followed by nothing
                await self._registration.asked.wait()
            await call(self._client, "XADD", self._keys.control, "*", *fields)
            self._journal.note("reported", kind="exit", incarnation=life.incarnation)

        if self._plan.reporting:
            self._outbox.put("exit", send)

    # -- orders ----------------------------------------------------------------------------------------------------

    async def _restart(self) -> str:
        """Replace the child, as ordered; "" when the new one is up, else why not."""
        former = self._life
        if former is not None and not former.over.is_set():
            await former.stop(self._plan.stop_signal)
            if not former.over.is_set():
                return f"the former process, pid {former.child.pid}, cannot be ended"
        try:
            life = self._start(quiet=True)
        except CouldNotStart as error:
            logger.warning("%s", error)
            return str(error)
        self._group.start_soon(self._live, life)
        reap(life.child)
        await life.verdict.wait()
        ended = life.exit
        if ended is None:
            return life.trouble
        await life.told.wait()  # the report of its end comes first: it has what led to it
        last = life.lines()[-1:]
        return f"it {ended} after {ended.uptime_s:.1f} s{': ' if last else ''}{''.join(last)}"

    def _age_s(self) -> float | None:
        return self._life.age_s if self._life is not None and self._life.child.running else None

    def _speak(self) -> None:
        if self._life is not None:
            self._life.speak()

    # -- signals and the end -----------------------------------------------------------------------------------------

    async def _heed(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            child = self._life.child if self._life is not None else None
            if number == signal.SIGCHLD:
                reap(child)
            elif number in (signal.SIGTERM, signal.SIGINT) or (number == signal.SIGHUP and self._plan.hangup_stops):
                self._stop(number)
            elif child is not None:
                child.signal(number)

    def _stop(self, number: signal.Signals) -> None:
        """Told to end; told again while it ends, the child is told again too."""
        if self._asked_by is None:
            logger.info("stopping on %s", number.name)
            self._journal.note("stopping", signal=number.name)
            self._asked_by = number
            self._over.set()
        elif self._life is not None and self._life.child.running:
            self._life.child.signal_group(self._passed_on(number))

    def _passed_on(self, number: signal.Signals) -> signal.Signals:
        """TERM asks to end, in the program's own way; what a person typed is passed on as it is."""
        return self._plan.stop_signal if number == signal.SIGTERM else number

    async def _end(self) -> None:
        life = self._life
        if life is not None and not life.over.is_set():
            if self._asked_by is not None and life.child.running:
                life.say_goodbye()
            await life.stop(self._passed_on(self._asked_by or self._plan.stop_signal))
            if life.exit is None:
                self._code = KILLED
        await self._outbox.emptied(LAST_REPORT_S)
        await self._output.settled(LAST_REPORT_S)


def _heeded() -> list[signal.Signals]:
    """What is passed on: not what our parent had us ignore, as nohup does, for the child ignores that too."""
    return [n for n in FORWARDED if n == signal.SIGTERM or signal.getsignal(n) is not signal.SIG_IGN]


async def _outlive(work: Callable[[], Awaitable[None]]) -> None:
    """Do this for ever. A defect in what speaks to Redis is told, and ends neither us nor the child."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("a defect; it is tried again in %g s", AGAIN_S)
        await anyio.sleep(AGAIN_S)
