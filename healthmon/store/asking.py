"""Asking the leader for something: one entry in the control stream, and the wait for its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from healthmon import clock
from healthmon.errors import HealthmonError, TimedOut
from healthmon.store.calls import call
from healthmon.store.keys import Keys
from healthmon.store.reading import StreamEntry, call_many, entries_of

ANSWER_S: Final = 5.0
# One look lasts at most so long, so that the wait ends in time.
_BLOCK_MS: Final = 250


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that was sent: its entry, and where events and refusals stood just before."""

    entry: str
    events_at: str
    rejected_at: str


class CommandRefused(HealthmonError):
    """The leader refused a command; the text is its reason."""


async def ask(client: Redis, keys: Keys, cmd: str, **fields: str) -> Asked:
    """Append a command to the control stream; empty fields are left out. Raises StoreUnavailable, NotPermitted."""
    said = [part for name, value in {"cmd": cmd, **fields}.items() if value for part in (name, value)]
    events, rejected, entry = await call_many(
        client,
        [
            ("XREVRANGE", keys.events, "+", "-", "COUNT", 1),
            ("XREVRANGE", keys.rejected, "+", "-", "COUNT", 1),
            ("XADD", keys.control, "*", *said),
        ],
    )
    return Asked(entry.decode(), *(entries[0].id if (entries := entries_of(r)) else "0-0" for r in (events, rejected)))


async def wait_for(
    client: Redis, keys: Keys, asked: Asked, is_answer: Callable[[StreamEntry], bool], within_s: float = ANSWER_S
) -> StreamEntry:
    """The first event that answers. Raises CommandRefused with the leader's reason, TimedOut when nothing came.

    Timed out or not, the command stays in the stream, and whoever leads next obeys it.
    """
    deadline_s = clock.monotonic_s() + within_s
    at = {keys.events: asked.events_at, keys.rejected: asked.rejected_at}
    while (left_s := deadline_s - clock.monotonic_s()) > 0:
        block_ms = max(1, min(_BLOCK_MS, round(left_s * 1000)))
        reply = await call(client, "XREAD", "COUNT", 100, "BLOCK", block_ms, "STREAMS", *at, *at.values())
        for raw, entries in reply or ():
            stream, found = raw.decode(), entries_of(entries)
            at[stream] = found[-1].id
            for entry in found:
                if stream == keys.rejected and entry.fields.get("entry") == asked.entry:
                    raise CommandRefused(f"refused: {entry.fields.get('detail') or entry.fields.get('reason', '?')}")
                if stream == keys.events and is_answer(entry):
                    return entry
    raise TimedOut(f"no answer within {within_s:g} s: the command {asked.entry} waits for the next leader")


async def answer_to(client: Redis, keys: Keys, asked: Asked, within_s: float = ANSWER_S) -> StreamEntry:
    """The event that names the command as its cause. Raises as `wait_for` does."""
    return await wait_for(client, keys, asked, lambda entry: entry.fields.get("cause") == asked.entry, within_s)
