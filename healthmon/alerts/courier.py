"""One sink's own queue: what waits for it, in order, and the delivery with its retries. A dead sink delays no other.

Promised: what was put in is handed over, found not worth telling, held, or a dead letter; each time `settle` is awaited
before the next. Not promised: that it is handed over once; a crash between the two hands it over again, with its id.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import tenacity

from healthmon.alerts.sink import Sink
from healthmon.alerts.undelivered import Undelivered
from healthmon.core.incidents import Incident, Judge, Told, Verdict, note_sent
from healthmon.core.messages import Message, message_of, reminder_of
from healthmon.core.storms import Window, storm_of

logger = logging.getLogger("healthmon.alerts")
# What waits for a sink that is down; then the oldest becomes a dead letter. At 20 in 10 s, 80 minutes' worth and more.
WAITING_MAX: Final = 10_000
BATCH_MAX: Final = 100
AGAIN_S_MAX: Final = 10.0
# However old a message is when its turn comes, it is tried so often before it is given up.
ATTEMPTS_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class Job:
    """One alert for one sink. `entry`: the event's stream id; "" for what was held before, and for reminders."""

    incident: Incident
    alert: Mapping[str, Any]
    at_ms: int
    entry: str = ""
    reminder: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that its sink did not take, and why."""

    sink: str
    alert: Mapping[str, Any]
    reason: str


Settle = Callable[[str, Sequence[Job], Sequence[Letter]], Awaitable[None]]


@dataclass
class Courier:
    """Delivers to one sink. `settle(sink, jobs, dead letters)` stores what became of jobs.

    `counts`: (sink, delivered | failed | dead) -> how often; an attempt that failed and is made again is `failed`.
    """

    name: str
    sink: Sink
    judge: Judge
    window: Window
    retry_for_s: float
    now_ms: Callable[[], int]
    settle: Settle
    counts: Counter[tuple[str, str]]
    held: dict[str, None] = field(default_factory=dict)
    _queue: deque[Job] = field(default_factory=deque)
    _gathered: list[Job] = field(default_factory=list)
    _again: set[str] = field(default_factory=set)
    _wake: anyio.Event = field(default_factory=anyio.Event)
    _busy: anyio.Lock = field(default_factory=anyio.Lock)

    async def put(self, job: Job) -> None:
        """Let it wait for its turn. When too many wait, the oldest becomes a dead letter."""
        if not job.entry:
            if job.incident.key in self._again:
                return
            self._again.add(job.incident.key)
        self._queue.append(job)
        self._wake.set()
        if len(self._queue) + len(self._gathered) > WAITING_MAX:
            oldest = self._queue.popleft() if not self._gathered else self._gathered.pop(0)
            await self._give_up([oldest], [oldest.alert], f"more than {WAITING_MAX} alerts waited for the sink")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            now_ms = self.now_ms()
            if self._gathered and not self.window.is_open(now_ms):
                await self._tell_gathered(now_ms)
            elif self._queue:
                await self._handle(self._next_jobs(), now_ms)
            else:
                await self._until_something(now_ms)

    async def _until_something(self, now_ms: int) -> None:
        self._wake = anyio.Event()
        wait_s = max(0.001, (self.window.ends_ms - now_ms) / 1000) if self._gathered else None
        with anyio.move_on_after(wait_s):
            await self._wake.wait()

    def _next_jobs(self) -> list[Job]:
        """One; for a sink that groups as many as one call may carry, each of another incident."""
        jobs = [self._queue.popleft()]
        keys = {jobs[0].incident.key}
        while self.sink.groups and self._queue and len(jobs) < BATCH_MAX and self._queue[0].incident.key not in keys:
            keys.add(self._queue[0].incident.key)
            jobs.append(self._queue.popleft())
        return jobs

    async def _handle(self, jobs: list[Job], now_ms: int) -> None:
        wanted = await self._wanted(jobs, now_ms)
        if not wanted:
            return
        if self.sink.groups or self.window.admits(now_ms):
            await self._deliver(wanted, [self._message(job, now_ms) for job in wanted], now_ms)
        else:
            self._gathered += wanted

    async def _wanted(self, jobs: list[Job], now_ms: int, *, late: bool = False) -> list[Job]:
        """Those to tell now; what is held or not worth telling is settled. `late`: their window is over."""
        wanted, rest = [], []
        for job in jobs:
            verdict, why = self._verdict(job, now_ms)
            told = self.told(job.incident)
            if late and job.incident.over and not told.rank:
                verdict = Verdict.SKIP  # it came and went within the window: its end was skipped before
            if verdict is Verdict.SEND:
                wanted.append(job)
                continue
            rest.append(job)
            if verdict is Verdict.HOLD:
                told.held, told.free_ms = why, 0
                self.held[job.incident.key] = None
            elif not job.entry:
                self._let_go(job.incident)
        if rest:
            await self._settled(rest)
        return wanted

    def _verdict(self, job: Job, now_ms: int) -> tuple[Verdict, str]:
        if job.entry and job.alert["id"] in self.told(job.incident).took:
            return Verdict.SKIP, ""
        if job.reminder:
            return (Verdict.SEND if self.judge.reminds(job.incident, self.name, now_ms) else Verdict.SKIP), ""
        if not job.entry and job.incident.over:
            return Verdict.SKIP, ""
        return self.judge.judge(job.incident, job.alert, self.name, now_ms, every_change=self.sink.groups)

    def told(self, incident: Incident) -> Told:
        """What this sink knows of an incident."""
        return incident.sinks.setdefault(self.name, Told())

    def _message(self, job: Job, now_ms: int) -> Message:
        incident, told = job.incident, self.told(job.incident)
        if job.reminder:
            return reminder_of(job.alert, incident.began_ms, now_ms, self.judge.rules.remind_ms)
        return message_of(job.alert, incident.began_ms, job.at_ms, told.severity if told.rank else "")

    async def _tell_gathered(self, now_ms: int) -> None:
        """The window is over: what it had no room for is told as one; each may be held or over by now."""
        jobs, self._gathered = self._gathered, []
        wanted = await self._wanted(jobs, now_ms, late=True)
        if not wanted:
            return
        # Of an incident that got worse meanwhile, how bad it is now.
        latest = {job.incident.key: job for job in wanted}
        messages = [self._message(job, now_ms) for job in latest.values()]
        self.window.admits(now_ms)
        if len(messages) > 1:
            storm = storm_of([message.alert for message in messages], self.name, self.window.window_ms)
            messages = [Message(storm, wanted[0].at_ms)]
        await self._deliver(wanted, messages, now_ms)

    # -- delivery --------------------------------------------------------------------------------------------------

    async def _deliver(self, jobs: list[Job], messages: list[Message], now_ms: int) -> None:
        try:
            async with self._busy:
                await self._until_taken(messages, (now_ms - jobs[0].at_ms) / 1000)
                for job in jobs:
                    note_sent(self.told(job.incident), job.alert, self.now_ms())
        except Undelivered as error:
            await self._give_up(jobs, [message.alert for message in messages], str(error))
            return
        self.counts[self.name, "delivered"] += len(messages)
        for job in jobs:
            self._let_go(job.incident)
        await self._settled(jobs)

    async def refresh(self) -> None:
        """Say again what lasts, now and every `refresh_s`, to a sink that forgets it otherwise.

        Never between a delivery and its being noted, or what is over would be said to last. What fails is made good by
        the next time.
        """
        while True:
            async with self._busy:
                told = [(one, one.sinks[self.name]) for one in self._lasting() if one.sinks[self.name].rank]
                messages = [Message(_as_known(one.alert, known), one.began_ms) for one, known in told]
                try:
                    for start in range(0, len(messages), BATCH_MAX):
                        await send(self.sink, messages[start : start + BATCH_MAX])
                except Undelivered as error:
                    logger.debug("the sink %s was not told again of what lasts: %s", self.name, error)
            await anyio.sleep(self.sink.refresh_s)

    def _lasting(self) -> list[Incident]:
        incidents = self.judge.incidents.values()
        return [one for one in incidents if not one.over and not one.notice and self.name in one.sinks]

    async def _until_taken(self, messages: list[Message], age_s: float) -> None:
        """Hand over, again and again for as long as is worth it. Raises the last Undelivered."""
        left_s = max(0.0, self.retry_for_s - age_s)
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, Undelivered) and not e.hopeless),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=AGAIN_S_MAX),
            stop=tenacity.stop_all(tenacity.stop_after_delay(left_s), tenacity.stop_after_attempt(ATTEMPTS_MIN)),
            sleep=anyio.sleep,
            before_sleep=self._failed,
            reraise=True,
        )
        await attempts(send, self.sink, messages)

    def _failed(self, attempt: tenacity.RetryCallState) -> None:
        self.counts[self.name, "failed"] += 1
        if attempt.attempt_number == 1 and attempt.outcome is not None:
            logger.warning(
                "the sink %s did not take an alert, trying again: %s", self.name, attempt.outcome.exception()
            )

    async def _give_up(self, jobs: list[Job], alerts: Sequence[Mapping[str, Any]], reason: str) -> None:
        self.counts[self.name, "dead"] += len(alerts)
        logger.error("the sink %s did not take %s, a dead letter now: %s", self.name, alerts[0]["id"], reason)
        for job in jobs:
            self._let_go(job.incident)
        await self._settled(jobs, [Letter(self.name, alert, reason) for alert in alerts])

    def _let_go(self, incident: Incident) -> None:
        """Nothing is held of it any more."""
        self.told(incident).held = ""
        self.held.pop(incident.key, None)

    async def _settled(self, jobs: list[Job], letters: Sequence[Letter] = ()) -> None:
        for job in jobs:
            if job.entry:
                self.told(job.incident).took.append(str(job.alert["id"]))
            else:
                self._again.discard(job.incident.key)
        await self.settle(self.name, jobs, letters)


def _as_known(alert: Mapping[str, Any], told: Told) -> Mapping[str, Any]:
    """The alert under the severity that the sink knows it by."""
    return {**alert, "data": {**alert["data"], "severity": told.severity}}


async def send(sink: Sink, messages: Sequence[Message]) -> None:
    """Hand over to a sink; whatever it raises is that it did not take them."""
    try:
        await sink.send(messages)
    except Undelivered:
        raise
    except Exception as error:  # a fault of one sink must end neither the others nor the monitor
        logger.exception("a sink failed")
        raise Undelivered(f"the sink failed with {type(error).__name__}") from error
