"""Watching the leader from a thread: a dead process's socket is closed by its kernel, and its alive channel is empty.

A thread on a blocking connection, because the same look from the event loop cost 1.2 % of a core. What it sees is a
hint; the steal itself is one script that looks again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from redis import exceptions

from healthmon import clock
from healthmon.store.client import open_sync
from healthmon.store.keys import Keys

LOOK_EVERY_S = 0.055
ANSWER_WITHIN_S = 1.0


@dataclass
class LeaderWatch:
    """Looks whether the holder of the lease still listens on its alive channel.

    `dead(value)` is called in the thread with the lease value whose holder was gone for the whole grace, on one
    unbroken connection, with "" when there is no lease. `closely`: the first standby looks every 55 ms, others at a
    third of the ttl, and nobody while it leads itself (`resting`).
    """

    url: str
    keys: Keys
    name: str
    grace_s: float
    ttl_s: float
    dead: Callable[[str], None]
    closely: bool = False
    resting: bool = False
    _was_first: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look until `stop`; a lost connection is made anew, and the grace then begins again."""
        while not self._stop.is_set():
            connection = open_sync(self.url, name=f"{self.name}-watch", timeout_s=ANSWER_WITHIN_S)
            try:
                self._look_on(connection)
            except (exceptions.RedisError, OSError):
                self._pause(self.ttl_s / 3)
            finally:
                connection.disconnect()

    def stop(self) -> None:
        """End `run` within a second."""
        self._stop.set()
        self._wake.set()

    def rank(self, rank: int) -> None:
        """The first standby (0) looks closely at once; one that was goes on until told again: the new one is late."""
        closely = rank == 0 or self._was_first
        if closely and not self.closely:
            self.look_now()
        self.closely, self._was_first = closely, rank == 0

    def look_now(self) -> None:
        """Do not wait for the next look: the role or the rank changed."""
        self._wake.set()

    def _look_on(self, connection: redis.Connection) -> None:
        value, gone_since_s = "", 0.0
        while not self._stop.is_set():
            if self.resting:
                gone_since_s = 0.0
                self._pause(self.ttl_s)
                continue
            seen, listeners = self._look(connection, value)
            now_s = clock.monotonic_s()
            if seen != value or listeners:
                value, gone_since_s = seen, 0.0
                if not seen:
                    self.dead("")
            elif value and not gone_since_s:
                gone_since_s = now_s
            elif value and now_s - gone_since_s >= self.grace_s:
                self.dead(value)
                gone_since_s = 0.0
            self._pause(self._next_look_s(gone_since_s, now_s))

    def _next_look_s(self, gone_since_s: float, now_s: float) -> float:
        if gone_since_s:
            return max(0.0, min(LOOK_EVERY_S, gone_since_s + self.grace_s - now_s))
        return LOOK_EVERY_S if self.closely else self.ttl_s / 3

    def _look(self, connection: redis.Connection, value: str) -> tuple[str, int]:
        holder = value.rpartition("|")[0]
        commands = [("GET", self.keys.leader), ("PUBSUB", "SHARDNUMSUB", self.keys.alive_root + holder)]
        connection.send_packed_command(connection.pack_commands(commands))
        held = connection.read_response()
        counts = connection.read_response()
        return (held or b"").decode(), int(counts[1])

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()
