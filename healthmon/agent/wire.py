"""Heartbeats to Redis: one blocking connection that appends, in the compact form, what a thread hands it."""

from __future__ import annotations

# Connecting looks host names up with this. Were it imported then, in the thread, a fork just at that moment would leave
# its import lock held in the child for ever.
import encodings.idna  # noqa: F401  # as said
from typing import TYPE_CHECKING, Final

from healthmon import clock
from healthmon.core.heartbeat import PAYLOAD_MAX
from healthmon.errors import HealthmonError, StoreUnavailable
from healthmon.store.client import open_sync, store_errors
from healthmon.store.codec import BATCH_MAX, pack_batch, pack_heartbeat
from healthmon.store.keys import Keys, meta_key, shard_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TIMEOUT_S: Final = 2.0
HEARTBEATS_MAX: Final = 1_000_000
# How old the knowledge of shards and of the stream's length may be: the founder may come after the first heartbeat.
META_S: Final = 60.0


class Wire:
    """Appends heartbeats. Not connected until the first, and anew after any failure. For one thread at a time.

    Raises ConfigurationError for a URL that cannot be used.
    """

    def __init__(self, url: str, prefix: str, *, name: str = "heartbeats", timeout_s: float = TIMEOUT_S) -> None:
        self._connection = open_sync(url, name=name, timeout_s=timeout_s)
        self._prefix = prefix
        self._streams = [Keys(prefix).heartbeats]
        self._heartbeats_max = HEARTBEATS_MAX
        self._learnt_s = float("-inf")

    def append(self, beats: Sequence[Mapping[str, object]]) -> list[str]:
        """Append the heartbeats, each the names and values of the contract with its `id`; returns the entries' ids.

        One heartbeat is an entry `id` + `p`; several share entries of the form `b`, each of at most 16 KiB, and all
        cross the network together. Streams are cut to about `heartbeats_max` entries, for the days on which no monitor
        trims them. At least once, not exactly once: after an error nobody knows which of them arrived.

        Raises StoreUnavailable (within the time-out), NotPermitted, HealthmonError.
        """
        try:
            with store_errors():
                if clock.monotonic_s() - self._learnt_s > META_S:
                    self._learn()
                commands = [
                    ("XADD", stream, "MAXLEN", "~", self._heartbeats_max, "*", *fields)
                    for stream, here in self._by_stream(beats)
                    for fields in _entries(here)
                ]
                self._connection.send_packed_command(self._connection.pack_commands(commands))
                return [self._read_id() for _ in commands]
        except BaseException:
            self.close()  # replies that nobody read would answer the next command
            raise

    def close(self) -> None:
        """Close the connection. In a forked child this closes the child's copy and leaves the parent's alone."""
        self._learnt_s = float("-inf")
        self._connection.disconnect()

    def _learn(self) -> None:
        """Ask how many shards there are and how long a stream may get. A user who may only XADD gets the defaults."""
        self._connection.send_command("HMGET", meta_key(self._prefix), "shards", "heartbeats_max")
        try:
            with store_errors():
                shards, most = (_count(value) for value in self._connection.read_response())
        except StoreUnavailable:
            raise
        except HealthmonError:
            shards = most = None
        self._streams = [Keys(self._prefix, shard).heartbeats for shard in range(shards or 1)]
        self._heartbeats_max = most or HEARTBEATS_MAX
        self._learnt_s = clock.monotonic_s()

    def _by_stream(self, beats: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, list[Mapping[str, object]]]]:
        shards = len(self._streams)
        sorted_out: dict[int, list[Mapping[str, object]]] = {}
        for beat in beats:
            sorted_out.setdefault(shard_of(str(beat["id"]), shards), []).append(beat)
        for shard, here in sorted_out.items():
            yield self._streams[shard], here

    def _read_id(self) -> str:
        entry_id: bytes = self._connection.read_response()
        return entry_id.decode()


def _entries(beats: Sequence[Mapping[str, object]]) -> Iterator[tuple[str | bytes, ...]]:
    """The fields of the entries that carry these heartbeats: as few as the limits of an entry allow."""
    if len(beats) == 1:
        said = dict(beats[0])
        yield "id", str(said.pop("id")), "p", pack_heartbeat(said)
        return
    if len(beats) <= BATCH_MAX:
        packed = pack_batch(beats)
        if len(packed) < PAYLOAD_MAX:
            yield "b", packed
            return
    half = len(beats) // 2
    yield from _entries(beats[:half])
    yield from _entries(beats[half:])


def _count(value: bytes | None) -> int | None:
    """A count of at least 1, or nothing: what is stored there was written by others."""
    return int(value) if value and value.isdigit() and int(value) > 0 else None
