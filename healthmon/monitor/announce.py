"""What a replica says of itself, and sees of the others: `P:monitors` and `P:monitor:<replica>`."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass, field

from healthmon import __version__, clock
from healthmon.core.alert import rfc3339
from healthmon.store.calls import Client, call
from healthmon.store.keys import GONE_KEPT_MS, MONITOR_TTL_S, Keys

logger = logging.getLogger("healthmon.monitor")
LIVE_MS = 5000


@dataclass
class Announcer:
    """Writes this replica's hash and reads who else is there."""

    keys: Keys
    client: Client
    replica: str
    incarnation: str
    digest: str
    began_ms: int = 0
    leader: str = ""
    live: frozenset[str] = frozenset()
    _differing: set[str] = field(default_factory=set)

    async def announce(self, now_ms: int, said: dict[str, str]) -> None:
        """Say what this replica is and does, and see who leads and who lives. Raises StoreUnavailable."""
        keys, mine = self.keys, self.keys.monitor(self.replica)
        self.began_ms = self.began_ms or now_ms
        asked_s = clock.monotonic_s()
        await call(self.client, "ZADD", keys.monitors, now_ms, self.replica)
        rtt_ms = (clock.monotonic_s() - asked_s) * 1000
        fields = {
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "version": __version__,
            "incarnation": self.incarnation,
            "digest": self.digest,
            "since": rfc3339(self.began_ms),
            "seen": rfc3339(now_ms),
            "rtt_ms": f"{rtt_ms:.2f}",
            **said,
        }
        await call(self.client, "HSET", mine, *(part for pair in fields.items() for part in pair))
        await call(self.client, "EXPIRE", mine, MONITOR_TTL_S)
        await call(self.client, "ZREMRANGEBYSCORE", keys.monitors, "-inf", now_ms - GONE_KEPT_MS)
        seen = await call(self.client, "ZRANGEBYSCORE", keys.monitors, now_ms - LIVE_MS, "+inf")
        await self._meet([one.decode() for one in seen if one.decode() != self.replica])

    async def leave(self) -> None:
        """A clean stop leaves no trace of a live replica."""
        await call(self.client, "ZREM", self.keys.monitors, self.replica)
        await call(self.client, "DEL", self.keys.monitor(self.replica))

    async def _meet(self, others: list[str]) -> None:
        """Who leads, who of those that announced themselves lately lives, and whether all have the same rules.

        One that was killed announces nothing more, but is remembered for seconds: its alive channel tells at once.
        """
        self.leader = (await call(self.client, "GET", self.keys.leader) or b"").decode().partition("|")[0]
        channels = [self.keys.alive(self.replica, self.incarnation)]
        for other in others:
            incarnation, digest = await call(self.client, "HMGET", self.keys.monitor(other), "incarnation", "digest")
            channels.append(self.keys.alive(other, (incarnation or b"").decode()))
            self._compare(other, (digest or b"").decode())
        counts = await call(self.client, "PUBSUB", "SHARDNUMSUB", *channels)
        pairs = zip([self.replica, *others], counts[1::2], strict=True)
        self.live = frozenset(one for one, count in pairs if count)

    def _compare(self, other: str, digest: str) -> None:
        """Replicas with other rules are told of once: a failover would change the rules."""
        if digest and digest != self.digest and other not in self._differing:
            self._differing.add(other)
            logger.warning("replica %s has other thresholds or score rows: a failover would change the rules", other)
        elif digest == self.digest:
            self._differing.discard(other)
