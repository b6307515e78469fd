"""What the probes saw, on its way into the control stream: packed, one entry a second, the urgent at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import anyio
import msgpack
import tenacity

from healthmon import clock
from healthmon.errors import HealthmonError
from healthmon.store.calls import Client, call
from healthmon.store.keys import Keys

logger = logging.getLogger("healthmon.probes")
EVERY_S: Final = 1.0
AGAIN_S_MAX: Final = 5.0
KEEP_S: Final = 5.0
# A whole entry is at most 16 KiB [contract]; its other fields take less than what is left.
PACKED_BYTES: Final = 16_384 - 256


class Report(NamedTuple):
    """One probe's result, in the order of its packed form. `outcome` is ok, failed or refused; `ms` its duration."""

    id: str
    generation: int
    outcome: str
    ms: int
    detail: str


Send = Callable[[bytes], Awaitable[None]]


def sending(client: Client, keys: Keys) -> Send:
    """Appends one pack of reports to the control stream. Raises StoreUnavailable, NotPermitted."""

    async def send(pack: bytes) -> None:
        await call(client, "XADD", keys.control, "*", "cmd", "report", "kind", "probe", "p", pack)

    return send


def packs(reports: Iterable[Report]) -> Iterator[tuple[bytes, list[Report]]]:
    """The reports packed, as few packs as fit, each with what is in it."""
    held: list[Report] = []
    size = 5  # the head of the longest list
    for report in reports:
        bytes_more = len(msgpack.packb(report))
        if held and size + bytes_more > PACKED_BYTES:
            yield msgpack.packb(held), held
            held, size = [], 5
        held.append(report)
        size += bytes_more
    if held:
        yield msgpack.packb(held), held


@dataclass
class Outbox:
    """Reports wait here for the next second; while Redis is away, the newest of each component until it is too old."""

    send: Send
    _waiting: list[tuple[Report, float]] = field(default_factory=list)
    _filled: anyio.Event = field(default_factory=anyio.Event)
    _urgent: anyio.Event = field(default_factory=anyio.Event)

    def add(self, report: Report, *, keep_s: float, urgent: bool = False) -> None:
        """Send it within a second, at once when urgent; while Redis is away, keep it for `keep_s`, 5 s at least."""
        self._waiting.append((report, clock.monotonic_s() + max(KEEP_S, keep_s)))
        self._filled.set()
        if urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Send until cancelled. While Redis is away, it is tried again after growing pauses, 5 s at most."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(HealthmonError),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=AGAIN_S_MAX),
            sleep=anyio.sleep,
            before_sleep=_tell,
        )
        while True:
            await self._filled.wait()
            with anyio.move_on_after(EVERY_S):
                await self._urgent.wait()
            await retrying(self._deliver)

    async def _deliver(self) -> None:
        self._filled, self._urgent = anyio.Event(), anyio.Event()
        now_s = clock.monotonic_s()
        taken = [kept for kept in self._waiting if kept[1] > now_s]
        self._waiting = []
        sent = 0
        try:
            for pack, reports in packs(report for report, _ in taken):
                await self.send(pack)
                sent += len(reports)
        finally:
            if sent < len(taken):
                newest = {kept[0].id: kept for kept in [*taken[sent:], *self._waiting]}
                self._waiting = list(newest.values())
                self._filled.set()


def _tell(state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        logger.warning("what the probes saw can't be reported, it is tried again: %s", state.outcome.exception())
