"""Many commands at once: appended in parts, with one wait for the answers of all.

At most `WINDOW` are unanswered at a time: followers keep ten thousand commands, and the stream of refusals a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from healthmon import clock
from healthmon.fleet.difference import Command
from healthmon.store.calls import Client, call
from healthmon.store.keys import Keys
from healthmon.store.reading import call_many, entries_of

WINDOW: Final = 500
# One look lasts at most so long, so that the wait ends in time.
_BLOCK_MS: Final = 250
_READ: Final = 1000


class Result(StrEnum):
    """What became of a command. One that waits is in the stream, and whoever leads next obeys it."""

    DONE = "done"
    REFUSED = "refused"
    WAITING = "waiting"
    NOT_SENT = "not_sent"


@dataclass(slots=True)
class Sent:
    """A command and its answer; `reason` tells why it was refused."""

    command: Command
    result: Result = Result.NOT_SENT
    reason: str = ""


@dataclass(slots=True)
class _Sending:
    client: Client
    keys: Keys
    said: dict[str, str]
    waiting: dict[str, Sent] = field(default_factory=dict)
    at: dict[str, str] = field(default_factory=dict)

    async def begin(self) -> None:
        """Where events and refusals stand before the first command."""
        streams = (self.keys.events, self.keys.rejected)
        ends = await call_many(self.client, [("XREVRANGE", one, "+", "-", "COUNT", 1) for one in streams])
        found = [entries_of(reply) for reply in ends]
        self.at = {one: entries[0].id if entries else "0-0" for one, entries in zip(streams, found, strict=True)}

    async def send(self, part: Sequence[Sent]) -> None:
        commands = [("XADD", self.keys.control, "*", *self._fields(one.command)) for one in part]
        for one, entry in zip(part, await call_many(self.client, commands), strict=True):
            one.result = Result.WAITING
            self.waiting[entry.decode()] = one

    async def hear(self, left_s: float) -> bool:
        """Take in what was answered; whether anything was."""
        before, block_ms = len(self.waiting), max(1, min(_BLOCK_MS, round(left_s * 1000)))
        streams = (*self.at, *self.at.values())
        reply = await call(self.client, "XREAD", "COUNT", _READ, "BLOCK", block_ms, "STREAMS", *streams)
        for raw, entries in reply or ():
            stream, found = raw.decode(), entries_of(entries)
            self.at[stream] = found[-1].id
            is_refusal = stream == self.keys.rejected
            for entry in found:
                one = self.waiting.pop(entry.fields.get("entry" if is_refusal else "cause", ""), None)
                if one is not None:
                    one.result = Result.REFUSED if is_refusal else Result.DONE
                    one.reason = entry.fields.get("detail") or entry.fields.get("reason", "") if is_refusal else ""
        return len(self.waiting) < before

    def _fields(self, command: Command) -> list[str]:
        said = {"cmd": command.cmd, "id": command.id, "policy": command.policy, **self.said}
        if command.cmd == "register":
            said["replace"] = "1"  # exactly this policy: what the file no longer sets goes
        return [part for name, value in said.items() if value for part in (name, value)]


async def send_all(
    client: Client, keys: Keys, commands: Sequence[Command], wait_s: float, *, by: str = "", reason: str = ""
) -> list[Sent]:
    """Each command with its answer, in the order in which they were given and are obeyed.

    `wait_s`: seconds without any answer after which nothing more is waited for, nor sent. Raises StoreUnavailable,
    NotPermitted.
    """
    sent = [Sent(command) for command in commands]
    sending = _Sending(client, keys, {"by": by, "reason": reason})
    await sending.begin()
    at, deadline_s = 0, clock.monotonic_s() + wait_s
    while at < len(sent) or sending.waiting:
        room = WINDOW - len(sending.waiting)
        if at < len(sent) and room >= min(WINDOW // 2, len(sent) - at):
            await sending.send(sent[at : at + room])
            at += room
        left_s = deadline_s - clock.monotonic_s()
        if left_s <= 0:
            break
        if await sending.hear(left_s):
            deadline_s = clock.monotonic_s() + wait_s
    return sent
