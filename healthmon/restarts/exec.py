"""Restart by a command: an argument list, never a shell.

Its environment is the monitor's, without the monitor's secrets and incarnation, plus HEALTH_COMPONENT_ID,
HEALTH_RESTART_ATTEMPT and HEALTH_RESTART_REASON. Exit code 0 is a success. A command that fails, takes too long or is
cancelled leaves nothing behind, and it dies with the monitor; what a successful one leaves running is left alone.
Not promised: that what it started is ended where somebody kills its keeper too, or, without Linux, what left its group.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import ByteReceiveStream, Process

from healthmon.restarts.attempt import Attempt, Outcome

KEEPER: Final = Path(__file__).with_name("keeper.py")
# Ending takes the keeper 4 s at most: 2 s from asking to force, 2 s for that.
END_S: Final = 5.0
LINES_MAX: Final = 20
SAID_MAX: Final = 400  # with what stands before it within the 512 characters of a report's detail
# The monitor's own: a restarted component is a new incarnation, and needs no key to sign webhooks with.
KEPT_BACK: Final = frozenset(("HEALTH_INCARNATION", "HEALTH_WEBHOOK_SECRET", "HEALTH_TOKEN", "HEALTH_TOKENS_FILE"))
NOT_ALLOWED: Final = "not carried out: this monitor runs no commands of stored policies unless HEALTH_ALLOW_EXEC is on"


@dataclass(frozen=True, slots=True)
class Exec:
    """Runs the policy's command, when the operator allows that on this host."""

    allowed: bool

    def serves(self, component_id: str) -> bool:
        """It serves everybody, if only with the reason why it runs nothing."""
        return bool(component_id)

    async def run(self, attempt: Attempt) -> Outcome:
        """Run the command to its end. What goes wrong is a failed attempt with the reason, never an error."""
        if not self.allowed:
            return Outcome(ok=False, detail=NOT_ALLOWED)
        if not attempt.command:
            return Outcome(ok=False, detail="the policy names no command")
        try:
            process = await anyio.open_process(
                [sys.executable, "-I", "-S", str(KEEPER), *attempt.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None,
                env=_environment(attempt),
                start_new_session=True,  # Ctrl-C is for the monitor, which ends its commands in its own way
            )
        except OSError as error:
            return Outcome(ok=False, detail=f"no process could be started here: {error.strerror}")
        return await _outcome(process, attempt)


async def _outcome(process: Process, attempt: Attempt) -> Outcome:
    told = bytearray()
    async with process:
        try:
            with anyio.move_on_after(attempt.timeout_s) as limit:
                await _collect(process.stdout, told)
                await process.wait()
        finally:
            if process.returncode is None:
                await _end(process, told)
    said = _object(told)
    if "error" in said:
        return Outcome(ok=False, detail=_not_started(attempt.command[0], int(said["error"])))
    tail = _last_words(str(said.get("tail", "")))
    if limit.cancel_called:
        return Outcome(ok=False, detail=f"not done within {attempt.timeout_s:g} s, and ended{tail}")
    code = said.get("code")
    if code == 0:
        return Outcome(ok=True, detail="exit code 0")
    return Outcome(ok=False, detail=f"{_how_ended(code)}{tail}")


async def _end(process: Process, told: bytearray) -> None:
    """Have the keeper end the command, and wait for that; a keeper that does not is killed, and the command with it."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(END_S):
        if process.stdin is not None:
            await process.stdin.aclose()
        await _collect(process.stdout, told)
        await process.wait()
    if process.returncode is None:
        process.kill()


async def _collect(stream: ByteReceiveStream | None, told: bytearray) -> None:
    if stream is not None:
        async for chunk in stream:
            told += chunk


def _environment(attempt: Attempt) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in KEPT_BACK}
    return kept | {
        "HEALTH_COMPONENT_ID": attempt.id,
        "HEALTH_RESTART_ATTEMPT": str(attempt.number),
        "HEALTH_RESTART_REASON": attempt.reason.replace("\0", ""),
    }


def _object(told: bytearray) -> dict[str, Any]:
    try:
        said = json.loads(told)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _not_started(program: str, code: int) -> str:
    match code:
        case errno.ENOENT:
            return f"could not be started: there is no program {program!r}, or not the interpreter that it names"
        case errno.EACCES:
            return f"could not be started: {program!r} is not executable for this user"
        case errno.ENOEXEC:
            return f"could not be started: {program!r} is no program; a script begins with #! and its interpreter"
    return f"could not be started: {program!r}: {os.strerror(code)}"


def _how_ended(code: object) -> str:
    if not isinstance(code, int):
        return "its keeper was killed"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def _last_words(tail: str) -> str:
    """The last line first, which most often names the cause; then those before it. What can't be shown is a space."""
    lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in tail.splitlines()]
    *before, last = ["", *[line for line in lines if line][-LINES_MAX:]]
    if not last:
        return "; it said nothing"
    last, context = last[:SAID_MAX], " | ".join(before[1:])
    room = SAID_MAX - len(last)
    if not context or room < 20:
        return f": {last}"
    return f": {last}; before that: {context if len(context) <= room else '…' + context[-room:]}"
