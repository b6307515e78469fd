"""What a replica says of itself, and sees of the others: `P:monitors` and `P:monitor:<replica>`."""

from __future__ import annotations

import json
import logging
import os
import socket
from dataclasses import dataclass, field
from itertools import starmap

from healthmon import __version__, clock
from healthmon.core.alert import rfc3339
from healthmon.core.lease import GATEWAY
from healthmon.store.calls import Client, call
from healthmon.store.keys import GONE_KEPT_MS, MONITOR_TTL_S, Keys
from healthmon.store.reading import call_many

logger = logging.getLogger("healthmon.monitor")
LIVE_MS = 5000
_TOLD = ("incarnation", "digest", "role", "handlers")


@dataclass
class Announcer:
    """Writes this replica's hash and reads who else is there. `live` are those that lead or may come to lead."""

    keys: Keys
    client: Client
    replica: str
    incarnation: str
    digest: str
    began_ms: int = 0
    leader: str = ""
    live: frozenset[str] = frozenset()
    handlers: dict[str, str] = field(default_factory=dict)
    _rtt_ms: float = 0.0
    _met: dict[str, str] = field(default_factory=dict)
    _differing: set[str] = field(default_factory=set)

    async def announce(self, now_ms: int, said: dict[str, str]) -> None:
        """Say what this replica is and does, and see who leads and who lives. Raises StoreUnavailable."""
        keys, mine = self.keys, self.keys.monitor(self.replica)
        self.began_ms = self.began_ms or now_ms
        fields = {
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "version": __version__,
            "incarnation": self.incarnation,
            "digest": self.digest,
            "since": rfc3339(self.began_ms),
            "seen": rfc3339(now_ms),
            "rtt_ms": f"{self._rtt_ms or await self._measure():.2f}",
            **said,
        }
        asked_s = clock.monotonic_s()
        *_, seen, leader = await call_many(
            self.client,
            [
                ("ZADD", keys.monitors, now_ms, self.replica),
                ("HSET", mine, *(part for pair in fields.items() for part in pair)),
                ("EXPIRE", mine, MONITOR_TTL_S),
                ("ZREMRANGEBYSCORE", keys.monitors, "-inf", now_ms - GONE_KEPT_MS),
                ("ZRANGEBYSCORE", keys.monitors, now_ms - LIVE_MS, "+inf"),
                ("GET", keys.leader),
            ],
        )
        self._rtt_ms = (clock.monotonic_s() - asked_s) * 1000
        self.leader = (leader or b"").decode().partition("|")[0]
        await self._meet([one.decode() for one in seen if one.decode() != self.replica], leads=said["role"] != GATEWAY)

    async def leave(self) -> None:
        """A clean stop leaves no trace of a live replica."""
        await call(self.client, "ZREM", self.keys.monitors, self.replica)
        await call(self.client, "DEL", self.keys.monitor(self.replica))

    async def _measure(self) -> float:
        """How long a trip takes before the first announcement; later ones tell of the trip before."""
        asked_s = clock.monotonic_s()
        await call(self.client, "PING")
        return (clock.monotonic_s() - asked_s) * 1000

    async def _meet(self, others: list[str], *, leads: bool) -> None:
        """Who of those that announced themselves lately lives, and whether all have the same rules.

        `leads`: whether this replica may come to lead; what the rules of one are that never does changes nothing.

        One that was killed announces nothing more, but is remembered for seconds: its alive channel tells at once.
        Channels are asked for by the incarnations known from before, and again where one has changed.
        """
        for _ in range(2):
            known = {other: self._met.get(other, "") for other in others}
            channels = [self.keys.alive(self.replica, self.incarnation), *starmap(self.keys.alive, known.items())]
            *told, counts = await call_many(
                self.client,
                [
                    *(("HMGET", self.keys.monitor(other), *_TOLD) for other in others),
                    ("PUBSUB", "SHARDNUMSUB", *channels),
                ],
            )
            self._met = {other: (one or b"").decode() for other, (one, *_) in zip(others, told, strict=True)}
            if self._met == known:
                break
        observing = {other for other, (_, _, role, _) in zip(others, told, strict=True) if role == GATEWAY.encode()}
        for other, (_, digest, *_) in zip(others, told, strict=True):
            if leads and other not in observing:
                self._compare(other, (digest or b"").decode())
        pairs = zip([self.replica, *others], counts[1::2], strict=True)
        self.live = frozenset(one for one, count in pairs if count and one not in observing)
        offers = {other: _names(handlers) for other, (*_, handlers) in zip(others, told, strict=True)}
        living = [other for other in sorted(offers, reverse=True) if other in self.live]
        self.handlers = {one: other for other in living for one in offers[other]}

    def runners(self, own: list[str]) -> dict[str, str]:
        """Component id or `*` -> the replica whose process offers a restart handler for it; this one comes first."""
        return {**self.handlers, **dict.fromkeys(own, self.replica)}

    def _compare(self, other: str, digest: str) -> None:
        """Replicas with other rules are told of once: a failover would change the rules."""
        if digest and digest != self.digest and other not in self._differing:
            self._differing.add(other)
            logger.warning("replica %s has other thresholds or score rows: a failover would change the rules", other)
        elif digest == self.digest:
            self._differing.discard(other)


def _names(handlers: bytes | None) -> list[str]:
    """The ids that another replica offers handlers for; what can't be read offers none."""
    try:
        names = json.loads(handlers or b"[]")
    except ValueError:
        return []
    return [one for one in names if isinstance(one, str)] if isinstance(names, list) else []
