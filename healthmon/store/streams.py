"""Reading: the tail of the three streams that every replica follows, and what the server's clock says.

Plain XREAD, no consumer groups: each replica reads everything. The entries come back as the server sent
them; nothing is made of them here but their order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from redis import exceptions

from healthmon.core.marks import Entry
from healthmon.errors import HealthmonError
from healthmon.store.calls import call, first_id, open_raw
from healthmon.store.keys import Keys

COUNT: Final = 1000
# A read blocks for at most a second, far below the socket's time-out, so that a dead connection is noticed.
BLOCK_MS_MAX: Final = 1000

Stream = Literal["heartbeats", "control", "events"]
LED: Final[tuple[Stream, ...]] = ("heartbeats", "control")
FOLLOWED: Final[tuple[Stream, ...]] = ("heartbeats", "control", "events")


@dataclass(slots=True)
class Read:
    """One reply: the entries of each stream, and which of them came back full, so that more may be there."""

    heartbeats: list[Entry] = field(default_factory=list)
    control: list[Entry] = field(default_factory=list)
    events: list[Entry] = field(default_factory=list)
    full: bool = False

    def __bool__(self) -> bool:
        return bool(self.heartbeats or self.control or self.events)


class Tail:
    """The positions in the three streams, on a connection of its own that may block."""

    def __init__(self, url: str, keys: Keys, name: str) -> None:
        self._keys = keys
        self._client = open_raw(url, name=f"{name}-read", dedicated=True)
        self._other = open_raw(url, name=f"{name}-wake", dedicated=True)
        self._connection_id = 0
        self.at: dict[Stream, bytes] = {"heartbeats": b"0-0", "control": b"0-0", "events": b"0-0"}
        self.blocked = False

    async def connect(self) -> None:
        """Make both connections; the reader's id is what `wake` unblocks. Raises StoreUnavailable, NotPermitted."""
        self._connection_id = int(await call(self._client, "CLIENT", "ID"))
        await call(self._other, "PING")

    async def close(self) -> None:
        """Close both connections."""
        await self._client.aclose()
        await self._other.aclose()

    async def read(self, streams: tuple[Stream, ...], block_ms: int | None = None) -> Read:
        """Everything after the positions, at most 1000 entries a stream; blocks for the first when told how long.

        Heartbeats and control are cut to what may be folded in the order of their ids: up to the lower of the two ends
        while either came back full. The positions move past what is returned.
        """
        names = {self._name(stream).encode(): stream for stream in streams}
        block = () if block_ms is None else ("BLOCK", max(1, min(BLOCK_MS_MAX, block_ms)))
        self.blocked = block_ms is not None
        try:
            reply = await call(
                self._client,
                "XREAD",
                "COUNT",
                COUNT,
                *block,
                "STREAMS",
                *names,
                *(self.at[stream] for stream in streams),
            )
        finally:
            self.blocked = False
        read = Read()
        for name, entries in reply or ():
            setattr(read, names[name], entries)
        self._cut(read)
        for stream in streams:
            entries = getattr(read, stream)
            if entries:
                self.at[stream] = entries[-1][0]
        return read

    async def wake(self) -> bool:
        """End a blocked read now: BLOCK's own time-out is up to 100 ms late. The connection stays whole.

        False when the server had not begun to block yet: then it must be asked again.
        """
        return not self.blocked or bool(await call(self._other, "CLIENT", "UNBLOCK", self._connection_id))

    async def time_ms(self) -> int:
        """The server's clock."""
        seconds, micros = await call(self._other, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def canary(self, replica: str) -> str:
        """Append an entry that is nobody's heartbeat: proof that the stream takes entries.

        Why not, when the server answers but takes none: its memory is full, it is read-only, the ids are at their end.
        """
        try:
            await call(self._other, "XADD", self._keys.heartbeats, "*", "canary", replica)
        except HealthmonError as error:
            if isinstance(error.__cause__, exceptions.ResponseError):
                return str(error)
            raise
        return ""

    async def last(self, stream: Stream) -> bytes:
        """The id of the stream's last entry, 0-0 when it is empty."""
        newest = await call(self._other, "XREVRANGE", self._name(stream), "+", "-", "COUNT", 1)
        return first_id(newest) or b"0-0"

    async def gap(self) -> tuple[int, int] | None:
        """Heartbeats that were trimmed before they were read: from when to when; nothing when none can be missing.

        A stream that ends before the position (data was lost) is read from its end: else nothing would ever come.
        """
        at = order(self.at["heartbeats"])
        first = await call(self._other, "XRANGE", self._keys.heartbeats, "-", "+", "COUNT", 1)
        last = order(await self.last("heartbeats"))
        if last < at:
            self.at["heartbeats"] = f"{last[0]}-{last[1]}".encode()
            return None
        oldest = order(first_id(first) or b"0-0")
        return (at[0], oldest[0]) if at != (0, 0) and oldest > at else None

    async def behind(self) -> int:
        """About how many heartbeats stand beyond the position: the share of the stream's time that is not read yet."""
        reply = await call(self._other, "XINFO", "STREAM", self._keys.heartbeats)
        said = dict(zip(reply[::2], reply[1::2], strict=True))
        at_ms, last_ms = order(self.at["heartbeats"])[0], order(said[b"last-generated-id"])[0]
        first_ms = order(first_id([said[b"first-entry"]]) if said[b"first-entry"] else b"0-0")[0]
        share = (last_ms - at_ms) / max(1, last_ms - first_ms)
        return round(int(said[b"length"]) * min(1.0, max(0.0, share)))

    async def range(self, stream: Stream, after: bytes, upto: bytes) -> list[Entry]:
        """All entries beyond one id up to another, read in chunks of a thousand."""
        entries: list[Entry] = []
        while True:
            chunk = await call(self._other, "XRANGE", self._name(stream), b"(" + after, upto, "COUNT", COUNT)
            entries += chunk
            if len(chunk) < COUNT:
                return entries
            after = chunk[-1][0]

    def _name(self, stream: Stream) -> str:
        return str(getattr(self._keys, stream))

    def _cut(self, read: Read) -> None:
        ends = [entries[-1][0] for entries in (read.heartbeats, read.control) if len(entries) >= COUNT]
        read.full = bool(ends) or len(read.events) >= COUNT
        if ends:
            end = min(map(order, ends))
            read.heartbeats = _upto(read.heartbeats, end)
            read.control = _upto(read.control, end)


def order(entry_id: bytes) -> tuple[int, int]:
    """A stream id as numbers, for comparing."""
    ms, _, seq = entry_id.partition(b"-")
    return int(ms), int(seq or 0)


def before(entry_id: bytes) -> bytes:
    """The greatest stream id below this one."""
    ms, seq = order(entry_id)
    return f"{ms}-{seq - 1}".encode() if seq else f"{ms - 1}-{(1 << 63) - 1}".encode()


def _upto(entries: list[Entry], end: tuple[int, int]) -> list[Entry]:
    """The entries whose ids are not beyond the end; most often all, which costs one look."""
    if not entries or order(entries[-1][0]) <= end:
        return entries
    return entries[: bisect_right(entries, end, key=lambda entry: order(entry[0]))]


def in_order(read: Read) -> Iterator[tuple[list[Entry], Entry | None]]:
    """Heartbeats and commands in the order of their ids: stretches of heartbeats, each with the command that follows.

    At equal milliseconds the command comes first: else an old heartbeat would register again what was forgotten.
    """
    heartbeats, start = read.heartbeats, 0
    for command in read.control:
        command_ms = order(command[0])[0]
        end = start
        while end < len(heartbeats) and order(heartbeats[end][0])[0] < command_ms:
            end += 1
        yield heartbeats[start:end], command
        start = end
    if start < len(heartbeats):
        yield heartbeats[start:] if start else heartbeats, None
