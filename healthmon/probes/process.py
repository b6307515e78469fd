"""The prober's hold on the process that makes the probes: started with the first job, and again when it is lost."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import anyio
import msgpack
import tenacity
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from healthmon import clock
from healthmon.probes.spec import ProbeResult, Spec

logger = logging.getLogger("healthmon.probes")
# It imports from where this process does, and not from the folder that it was started in.
BEGIN: Final = "import sys; sys.path[:] = sys.argv[1:]; from healthmon.probes.child import main; main()"
AGAIN_S_MAX: Final = 30.0
STEADY_S: Final = 60.0  # one that lived as long is started again with the shortest pause
END_S: Final = 2.0  # told to end, it has so long to end the programs that it started


class _Lost(Exception):
    """The process ended, or never began; the text says why."""


@dataclass
class ProbeProcess:
    """Makes probes elsewhere. `ended(number, result)` for each that ends; `lost()` when none of the others will."""

    ended: Callable[[int, ProbeResult], None]
    lost: Callable[[], None]
    process: Process | None = None
    _jobs: bytearray = field(default_factory=bytearray)
    _given: anyio.Event = field(default_factory=anyio.Event)

    def begin(self, number: int, spec: Spec, timeout_s: float) -> None:
        """Make this probe; it is known by its number."""
        self._give([number, spec.kind, spec.url, spec.command, timeout_s])

    def stop(self, number: int) -> None:
        """Stop this probe; nothing more is heard of it, unless it has just ended."""
        self._give([number])

    def kill(self) -> None:
        """It does not answer: end it. Another is started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()

    async def run(self) -> None:
        """Keep a process while there are jobs, until cancelled; it then ends, and the programs that it started too."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Lost),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=AGAIN_S_MAX),
            sleep=anyio.sleep,
            before_sleep=_tell,
        )
        while True:
            await retrying(self._live)

    def _give(self, job: list[object]) -> None:
        self._jobs += msgpack.packb(job)
        self._given.set()

    async def _live(self) -> None:
        """One life of the process. Raises _Lost when it was short."""
        await self._given.wait()
        begun_s = clock.monotonic_s()
        command = [sys.executable, "-c", BEGIN, *sys.path]
        try:
            process = await anyio.open_process(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, start_new_session=True
            )
        except OSError as error:
            self._let_go()
            raise _Lost(f"{sys.executable}: {error.strerror}") from None
        self.process = process
        try:
            await self._serve(process)
        finally:
            self.process = None
            self._let_go()
            with anyio.CancelScope(shield=True):
                await _end(process)
        if clock.monotonic_s() - begun_s < STEADY_S:
            raise _Lost(f"exit code {process.returncode}")
        logger.warning(
            "the process that makes the probes ended (exit code %s); it is started again", process.returncode
        )

    async def _serve(self, process: Process) -> None:
        """Give it its jobs and take its results until it ends."""
        if process.stdin is None or process.stdout is None:
            return
        async with anyio.create_task_group() as group:
            group.start_soon(self._send, process.stdin)
            await self._receive(process.stdout)
            group.cancel_scope.cancel()

    async def _send(self, stream: ByteSendStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await self._given.wait()
                self._given = anyio.Event()
                jobs, self._jobs = bytes(self._jobs), bytearray()
                await stream.send(jobs)

    async def _receive(self, stream: ByteReceiveStream) -> None:
        results = msgpack.Unpacker(raw=False)
        async for chunk in stream:
            results.feed(chunk)
            for number, outcome, ms, detail in results:
                self.ended(number, ProbeResult(outcome, ms, detail))

    def _let_go(self) -> None:
        self._jobs, self._given = bytearray(), anyio.Event()
        self.lost()


async def _end(process: Process) -> None:
    """Its input ends, and with it whatever it began; one that does not obey is killed."""
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(END_S):
        await process.wait()
    with suppress(ProcessLookupError):
        process.kill()
    await process.aclose()


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    pause_s = state.next_action.sleep if state.next_action is not None else 0.0
    logger.warning("the process that makes the probes ended (%s); another is started in %.1f s", error, pause_s)
