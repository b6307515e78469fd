"""What a replica tells of itself: blind, cut off, leaderless, not committing. Straight to its sinks, without Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import tenacity

from healthmon.alerts.courier import send
from healthmon.alerts.plan import Plan
from healthmon.alerts.sink import Sink
from healthmon.alerts.undelivered import Undelivered
from healthmon.core.messages import Message, self_alert
from healthmon.core.routes import sinks_for

logger = logging.getLogger("healthmon.alerts")
AGAIN_S_MAX: Final = 10.0


@dataclass
class SelfAlerts:
    """One alert, `<prefix>/self`, for all that lasts at this replica. `now_ms`: this machine's own calendar.

    Each sink is told the newest; what a sink that is down was not told, and is no longer true, it is never told.
    """

    plan: Plan
    prefix: str
    replica: str
    now_ms: Callable[[], int]
    _since_ms: dict[str, int] = field(default_factory=dict)
    _message: Message | None = None
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def note(self, condition: str, holds_s: float) -> None:
        """A condition has lasted so many seconds; 0: it is over."""
        now_ms = self.now_ms()
        before = min(self._since_ms.values(), default=now_ms)
        if holds_s:
            self._since_ms[condition] = now_ms - round(holds_s * 1000)
        else:
            self._since_ms.pop(condition, None)
        began_ms = min(before, min(self._since_ms.values(), default=before))
        self._message = self_alert(self.prefix, self.replica, sorted(self._since_ms), began_ms, now_ms)
        self._changed.set()
        self._changed = anyio.Event()

    async def run(self) -> None:
        """Tell every sink until cancelled."""
        async with anyio.create_task_group() as group:
            for name, sink in self.plan.sinks.items():
                group.start_soon(self._tell, name, sink)

    async def _tell(self, name: str, sink: Sink) -> None:
        told: Message | None = None
        while True:
            message, changed = self._message, self._changed
            lasts = message is not None and message.data["status"] == "firing"
            again = lasts and sink.refresh_s > 0
            if message is None or (message is told and not again) or not self._is_for(name, message, told):
                await changed.wait()
                continue
            if message is told:
                with anyio.move_on_after(sink.refresh_s):
                    await changed.wait()
                    continue
            async with anyio.create_task_group() as attempt:
                attempt.start_soon(_cancel_when, changed, attempt.cancel_scope)
                await self._until_taken(name, sink, message)
                told = message
                attempt.cancel_scope.cancel()

    def _is_for(self, name: str, message: Message, told: Message | None) -> bool:
        """What fires goes where routes send it, and its end to whoever was told that it fires."""
        if message.data["status"] == "resolved":
            return told is not None and told.data["status"] == "firing"
        return name in sinks_for(message.alert, self.plan.routes, tuple(self.plan.sinks))

    async def _until_taken(self, name: str, sink: Sink, message: Message) -> None:
        """Hand over, again and again for `retry_for_s`; there is no Redis to keep it as a dead letter."""
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, Undelivered) and not e.hopeless),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=AGAIN_S_MAX),
            stop=tenacity.stop_after_delay(self.plan.retry_for_s),
            sleep=anyio.sleep,
            reraise=True,
        )
        try:
            await attempts(send, sink, [message])
        except Undelivered as error:
            logger.warning("the sink %s did not take %s, it is given up: %s", name, message.alert["id"], error)


async def _cancel_when(changed: anyio.Event, scope: anyio.CancelScope) -> None:
    await changed.wait()
    scope.cancel()
