"""The process in which probes are made, started by the prober and ended with it.

A process of its own, because an HTTP probe costs 0.9 ms of processor time: at 670 a second, 10 000 components every
15 s, that is two thirds of a core, which in the leader's process would be taken from its rounds. It also keeps programs
that hang, resolvers that hang and open sockets away from the leader.

Jobs come in on standard input, results leave on standard output, both as msgpack lists: `[number, kind, url, command,
timeout_s]` makes a probe, `[number]` stops it; `[number, outcome, ms, detail]` tells of its end. End of input ends the
process and every program that it started.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import msgpack
from anyio.abc import TaskGroup

from healthmon import clock
from healthmon.probes.kinds import probe
from healthmon.probes.spec import ProbeResult, Spec

READ_BYTES: Final = 65_536
# A lookup can't be stopped, only left behind, and a resolver may take half a minute to give up. Idle threads are kept.
LOOKUPS_MAX: Final = 200
# A process that stood still for so long has missed answers that came: no time-out of that time tells anything.
STALL_S: Final = 0.5
LOOK_EVERY_S: Final = 0.25


@dataclass
class _Child:
    out: asyncio.WriteTransport
    group: TaskGroup
    scopes: dict[int, anyio.CancelScope] = field(default_factory=dict)
    stalled_s: float = -1.0

    def obey(self, job: list[Any]) -> None:
        """Begin or stop a probe."""
        number, *what = job
        if what:
            kind, url, command, timeout_s = what
            self.scopes[number] = anyio.CancelScope()
            self.group.start_soon(self._make, number, Spec(kind, url, tuple(command)), timeout_s)
        elif number in self.scopes:
            self.scopes[number].cancel()

    async def watch_for_stalls(self) -> None:
        """Note when this process did not run though it should have."""
        while True:
            due_s = clock.monotonic_s() + LOOK_EVERY_S
            await anyio.sleep(LOOK_EVERY_S)
            if clock.monotonic_s() - due_s > STALL_S:
                self.stalled_s = clock.monotonic_s()

    async def _make(self, number: int, spec: Spec, timeout_s: float) -> None:
        begun_s = clock.monotonic_s()
        with self.scopes[number]:
            result = await probe(spec, timeout_s)
            if result.outcome == "failed" and result.ms >= timeout_s * 1000 and self.stalled_s >= begun_s:
                result = ProbeResult("unmade", result.ms, "the process that makes the probes stood still")
            self.out.write(msgpack.packb([number, result.outcome, result.ms, result.detail]))
        del self.scopes[number]


def main() -> None:
    """Make probes until standard input ends."""
    # What a library prints must not stand between the results.
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    anyio.run(_serve, out)


async def _serve(out: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup"))
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(out, "wb"))
    jobs = msgpack.Unpacker(raw=False)
    async with anyio.create_task_group() as group:
        child = _Child(transport, group)
        group.start_soon(child.watch_for_stalls)
        while data := await reader.read(READ_BYTES):
            jobs.feed(data)
            for job in jobs:
                child.obey(job)
        group.cancel_scope.cancel()
    os._exit(0)  # lookups that hang would hold an orderly end
