"""Heartbeats to Redis: one blocking connection that appends, in the compact form, what a thread hands it."""

from __future__ import annotations

# Connecting looks host names up with this. Were it imported then, in the thread, a fork just at that moment would leave
# its import lock held in the child for ever.
import encodings.idna  # noqa: F401  # as said
from typing import TYPE_CHECKING, Final

from healthmon.errors import HealthmonError, StoreUnavailable
from healthmon.store.client import open_sync, store_errors
from healthmon.store.heartbeats import Inlets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_S: Final = 2.0


class Wire:
    """Appends heartbeats. Not connected until the first, and anew after any failure. For one thread at a time.

    Raises ConfigurationError for a URL that cannot be used.
    """

    def __init__(self, url: str, prefix: str, *, name: str = "heartbeats", timeout_s: float = TIMEOUT_S) -> None:
        self._connection = open_sync(url, name=name, timeout_s=timeout_s)
        self._inlets = Inlets(prefix)

    def append(self, beats: Sequence[Mapping[str, object]]) -> list[str]:
        """Append the heartbeats, each the names and values of the contract with its `id`; returns the entries' ids.

        One heartbeat is an entry `id` + `p`; several share entries of the form `b`, each of at most 16 KiB, and all
        cross the network together. Streams are cut to about `heartbeats_max` entries, for the days on which no monitor
        trims them. At least once, not exactly once: after an error nobody knows which of them arrived.

        Raises StoreUnavailable (within the time-out), NotPermitted, HealthmonError.
        """
        try:
            with store_errors():
                if self._inlets.outdated:
                    self._learn()
                commands = [command for _, command in self._inlets.commands(beats)]
                self._connection.send_packed_command(self._connection.pack_commands(commands))
                return [self._read_id() for _ in commands]
        except BaseException:
            self.close()  # replies that nobody read would answer the next command
            raise

    def close(self) -> None:
        """Close the connection. In a forked child this closes the child's copy and leaves the parent's alone."""
        self._inlets.forget()
        self._connection.disconnect()

    def _learn(self) -> None:
        """Ask how many shards there are and how long a stream may get. A user who may only XADD gets the defaults."""
        self._connection.send_command(*self._inlets.question)
        try:
            with store_errors():
                self._inlets.learn(self._connection.read_response())
        except StoreUnavailable:
            raise
        except HealthmonError:
            self._inlets.learn(None)

    def _read_id(self) -> str:
        entry_id: bytes = self._connection.read_response()
        return entry_id.decode()
