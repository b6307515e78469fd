"""Heartbeats on their way into the streams: into which one, in which form, in as few entries as the limits allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from healthmon import clock
from healthmon.core.heartbeat import PAYLOAD_MAX
from healthmon.errors import HealthmonError, StoreUnavailable
from healthmon.store.client import open_direct, store_errors
from healthmon.store.codec import BATCH_MAX, pack_batch, pack_heartbeat
from healthmon.store.founding import HEARTBEATS_MAX
from healthmon.store.keys import Keys, meta_key, shard_of

# How old the knowledge of shards and of the stream's length may be: the founder may come after the first heartbeat.
META_S: Final = 60.0

Beat = Mapping[str, object]
Command = tuple[str | bytes | int, ...]


@dataclass
class Inlets:
    """Where heartbeats go under one prefix, as far as that is known: a user who may only XADD learns nothing."""

    prefix: str
    streams: list[str] = field(default_factory=list)
    heartbeats_max: int = HEARTBEATS_MAX
    _learnt_s: float = float("-inf")

    def __post_init__(self) -> None:
        self.streams = [Keys(self.prefix).heartbeats]

    @property
    def outdated(self) -> bool:
        """Whether it is time to ask again."""
        return clock.monotonic_s() - self._learnt_s > META_S

    @property
    def question(self) -> Command:
        """What to ask: how many shards there are, and how long a stream may get."""
        return "HMGET", meta_key(self.prefix), "shards", "heartbeats_max"

    def learn(self, reply: Sequence[bytes | None] | None) -> None:
        """Take in the answer; None when it was refused, and the defaults hold."""
        shards, most = (_count(value) for value in reply or (None, None))
        self.streams = [Keys(self.prefix, shard).heartbeats for shard in range(shards or 1)]
        self.heartbeats_max = most or HEARTBEATS_MAX
        self._learnt_s = clock.monotonic_s()

    def forget(self) -> None:
        """The next server may be another one: ask again."""
        self._learnt_s = float("-inf")

    def commands(self, beats: Sequence[Beat]) -> Iterator[tuple[list[int], Command]]:
        """The commands that append these heartbeats, each with the places in `beats` of what it carries.

        Streams are cut to about `heartbeats_max` entries, for the days on which no monitor trims them.
        """
        sorted_out: dict[str, list[int]] = {}
        for place, beat in enumerate(beats):
            sorted_out.setdefault(self.streams[shard_of(str(beat["id"]), len(self.streams))], []).append(place)
        for stream, places in sorted_out.items():
            for here, fields in _entries(beats, places):
                yield here, ("XADD", stream, "MAXLEN", "~", self.heartbeats_max, "*", *fields)


class Appender:
    """Appends heartbeats over one asyncio connection, one call at a time. Not connected before the first.

    Raises ConfigurationError for a URL that cannot be used.
    """

    def __init__(self, url: str, prefix: str, *, name: str, timeout_s: float) -> None:
        self._client = open_direct(url, name=name, timeout_s=timeout_s)
        self._inlets = Inlets(prefix)

    async def append(self, beats: Sequence[Beat]) -> list[str]:
        """Append the heartbeats, each the names and values of the contract with its `id`; each one's entry, in order.

        All cross the network together, in packed entries. At least once, not exactly once: after an error nobody knows
        which of them arrived.

        Raises StoreUnavailable (within the time-out), NotPermitted, HealthmonError.
        """
        if self._inlets.outdated:
            await self._learn()
        places, commands = zip(*self._inlets.commands(beats), strict=True)
        try:
            with store_errors():
                replies = await self._client.execute_all(commands)
        except BaseException:
            self._inlets.forget()
            raise
        entries = [""] * len(beats)
        for here, reply in zip(places, replies, strict=True):
            for place in here:
                entries[place] = reply.decode()
        return entries

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _learn(self) -> None:
        try:
            with store_errors():
                self._inlets.learn(await self._client.execute_command(*self._inlets.question))
        except StoreUnavailable:
            raise
        except HealthmonError:
            self._inlets.learn(None)


def _entries(beats: Sequence[Beat], places: list[int]) -> Iterator[tuple[list[int], tuple[str | bytes, ...]]]:
    """The fields of the entries that carry the heartbeats of these places: as few as the limits of an entry allow."""
    if len(places) == 1:
        said = dict(beats[places[0]])
        yield places, ("id", str(said.pop("id")), "p", pack_heartbeat(said))
        return
    if len(places) <= BATCH_MAX:
        packed = pack_batch([beats[place] for place in places])
        if len(packed) < PAYLOAD_MAX:
            yield places, ("b", packed)
            return
    half = len(places) // 2
    yield from _entries(beats, places[:half])
    yield from _entries(beats, places[half:])


def _count(value: bytes | None) -> int | None:
    """A count of at least 1, or nothing: what is stored there was written by others."""
    return int(value) if value and value.isdigit() and int(value) > 0 else None
