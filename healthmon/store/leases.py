"""Who leads: acquire, renew and release the lease of a shard."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from healthmon.core.alert import rfc3339
from healthmon.core.lease import Lease
from healthmon.errors import GenerationChanged
from healthmon.store.keys import Keys
from healthmon.store.scripts import Scripts


@dataclass(frozen=True, slots=True)
class Acquired:
    """A lease that was won. `founded`: this call made the data set. `event`: the stream id of the leader event."""

    lease: Lease
    event: str
    generation: str
    founded: bool
    era: int


@dataclass(frozen=True, slots=True)
class Held:
    """Another's lease, and the milliseconds that it has left. Empty: one that holds a table should found."""

    value: str
    left_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Who asks for the lease, and what it knows. `dead`: the lease value whose holder it saw dead for the grace."""

    replica: str
    incarnation: str
    floor: int
    generation: str
    new_generation: str
    dead: str = ""
    may_found: bool = True
    reason: str = "no leader"
    era: int = 0


class Leases:
    """The lease of one shard. Commands raise StoreUnavailable and NotPermitted; nothing is tried twice."""

    def __init__(self, keys: Keys, scripts: Scripts, ttl_ms: int) -> None:
        self._keys = keys
        self._scripts = scripts
        self._ttl_ms = ttl_ms

    async def acquire(self, client: Redis, claim: Claim, now_ms: int) -> Acquired | Held:
        """Take the lease if it is free or its holder is dead. Raises GenerationChanged when the data is another's."""
        k = self._keys
        reply = await self._scripts.acquire(
            client,
            [k.leader, k.epoch, k.generation, k.events, k.cursor],
            [
                claim.replica,
                claim.incarnation,
                str(self._ttl_ms),
                str(claim.floor),
                claim.generation,
                claim.dead,
                k.alive_root,
                k.hot,
                claim.new_generation,
                "1" if claim.may_found else "0",
                claim.reason,
                rfc3339(now_ms),
                str(claim.era),
            ],
        )
        match reply[0]:
            case b"LEADER":
                lease = Lease(claim.replica, claim.incarnation, int(reply[1]))
                return Acquired(lease, reply[2].decode(), reply[3].decode(), bool(reply[4]), int(reply[5]))
            case b"GENERATION":
                raise GenerationChanged(reply[1].decode())
            case b"HELD":
                return Held(reply[1].decode(), int(reply[2]))
            case _:
                return Held("", self._ttl_ms)

    async def renew(self, client: Redis, lease: Lease) -> int | None:
        """Prolong the lease. How many listen on the holder's own alive channel, or None when the lease is lost."""
        alive = self._keys.alive(lease.replica, lease.incarnation)
        reply = await self._scripts.renew(client, [self._keys.leader], [str(lease), str(self._ttl_ms), alive])
        return int(reply[1]) if reply[0] == b"OK" else None

    async def release(self, client: Redis, lease: Lease) -> bool:
        """Give the lease up and tell the others. False when it was lost before."""
        reply = await self._scripts.release(client, [self._keys.leader], [str(lease), self._keys.hint])
        return bool(reply[0] == b"OK")
