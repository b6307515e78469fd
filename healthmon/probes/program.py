"""`exec`: a program with its arguments, never through a shell; well when it ends with 0."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, Process

from healthmon.probes.spec import ProbeFailed, Spec

OUTPUT_BYTES: Final = 4096  # what is kept of the output, its end
EOF_S: Final = 0.2  # what a program that has ended may still have in its pipe is read within so long
END_S: Final = 1.0  # a killed program is gone within so long, or stuck in the kernel, and then not waited for


async def probe(spec: Spec) -> str:
    """The last line of its output when it ends with 0. Raises ProbeFailed with how it ended otherwise.

    Whatever it started in its process group is killed with it, also when the probe is cancelled.
    """
    process = await _started(spec.command)
    finished = False
    try:
        last, finished = await _outcome(process)
    finally:
        if not finished:  # else the group's number may belong to another by now
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True), anyio.move_on_after(END_S):
            await process.aclose()
    code = process.returncode
    if code is not None and code < 0:
        raise ProbeFailed(f"was ended by {_signal(-code)}{last and ': ' + last}")
    if code:
        raise ProbeFailed(f"ended with exit code {code}{last and ': ' + last}")
    return last or "ended with exit code 0"


async def _started(command: tuple[str, ...]) -> Process:
    # HEALTH_ variables hold the monitor's secrets, and would make the program's own heartbeats those of the monitor.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEALTH_")}
    try:
        return await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ProbeFailed(f"there is no program {command[0]}") from None
    except PermissionError:
        raise ProbeFailed(f"{command[0]} may not be run by the monitor's user") from None
    except (ValueError, UnicodeError) as error:
        raise ProbeFailed(f"{command[0]} can't be run: {error}") from None


async def _outcome(process: Process) -> tuple[str, bool]:
    """Wait for its end: the last line that it wrote, and whether nobody holds its output any more."""
    tail = bytearray()
    closed = anyio.Event()
    async with anyio.create_task_group() as group:
        if process.stdout is not None:
            group.start_soon(_read, process.stdout, tail, closed)
        await process.wait()
        with anyio.move_on_after(EOF_S):
            await closed.wait()
        group.cancel_scope.cancel()
    lines = tail.decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), ""), closed.is_set()


async def _read(stream: ByteReceiveStream, tail: bytearray, closed: anyio.Event) -> None:
    async for chunk in stream:
        tail += chunk
        del tail[:-OUTPUT_BYTES]
    closed.set()


def _signal(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
