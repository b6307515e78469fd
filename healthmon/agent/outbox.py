"""Reports on their way to the monitor: of each kind the newest is kept until Redis takes it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from healthmon.errors import HealthmonError

FIRST_WAIT_S: Final = 0.05
WAIT_MAX_S: Final = 2.0
logger = logging.getLogger("healthmon.agent")
Send = Callable[[], Awaitable[object]]


@dataclass(eq=False)
class Report:
    """One report. `sent` is set when Redis has it."""

    send: Send
    sent: anyio.Event = field(default_factory=anyio.Event)


class Outbox:
    """Sends reports in their order, each at least once. One that waits gives way to a newer one of its kind."""

    def __init__(self) -> None:
        self._waiting: dict[str, Report] = {}
        self._filled = anyio.Event()
        self._told = False

    def put(self, kind: str, send: Send) -> Report:
        """Have this sent. Never waits."""
        self._waiting.pop(kind, None)
        report = self._waiting[kind] = Report(send)
        self._filled.set()
        return report

    async def deliver(self) -> None:
        """Send what is put, for ever. While Redis is away it is tried again after a random wait of at most 2 s."""
        again = AsyncRetrying(
            retry=retry_if_exception_type(HealthmonError),
            wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=WAIT_MAX_S),
            sleep=anyio.sleep,
        )
        while True:
            await self._filled.wait()
            await again(self._send_first)
            if not self._waiting:
                self._filled = anyio.Event()

    async def emptied(self, within_s: float) -> bool:
        """Returns when nothing waits any more, or after that time; whether nothing waits."""
        with anyio.move_on_after(within_s):
            for report in list(self._waiting.values()):
                await report.sent.wait()
        return not self._waiting

    async def _send_first(self) -> None:
        if not self._waiting:
            return
        kind, report = next(iter(self._waiting.items()))
        try:
            await report.send()
        except HealthmonError as error:
            if not self._told:
                logger.warning("reports don't reach the monitor, the newest is kept and tried again: %s", error)
            self._told = True
            raise
        self._told = False
        if self._waiting.get(kind) is report:
            del self._waiting[kind]
        report.sent.set()
