"""Who owns a component: one leased key each, held by an owner for as long as it lives.

Promised: at most one owner at a time, and epochs of a component that rise with each new one. Not promised: that an
owner which was stopped by its kernel knows at once that its lease has run out; its epoch tells others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from healthmon.core.heartbeat import shown
from healthmon.store.calls import call
from healthmon.store.keys import Keys
from healthmon.store.reading import call_many
from healthmon.store.scripts import Script

REFUSAL_MAX = 120


@dataclass(frozen=True, slots=True)
class OwnerLease:
    """A lease as it is stored: `owner|epoch`, and `|why` where its owner refuses restarts. `owner`: who, one name.

    `epoch`: microseconds of the Redis clock at its taking, or above what was seen before.
    """

    owner: str
    epoch: int
    refusal: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """What a stored lease says; one that anybody wrote by hand has epoch 0."""
        owner, _, rest = text.partition("|")
        epoch, _, refusal = rest.partition("|")
        return cls(owner, int(epoch) if epoch.isdecimal() else 0, refusal)

    def __str__(self) -> str:
        return "|".join([self.owner, str(self.epoch), *([self.refusal] if self.refusal else [])])


@dataclass(frozen=True, slots=True)
class Owned:
    """The component is the caller's."""

    lease: OwnerLease


@dataclass(frozen=True, slots=True)
class HeldBy:
    """The component is another's, whose lease has so many milliseconds left."""

    lease: OwnerLease
    left_ms: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an owner asks for. `held`: the lease that it has, to prolong or change. `floor`: the highest epoch seen."""

    name: str
    ttl_ms: int
    held: OwnerLease | None = None
    refusal: str = ""
    floor: int = 0


class Owners:
    """The owners of one shard's components. Commands raise StoreUnavailable and NotPermitted; none is tried twice."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._own = Script("own")
        self._disown = Script("disown")

    async def own(self, client: Redis, component_id: str, wanted: Wanted) -> Owned | HeldBy:
        """Take a component that nobody owns, or prolong the lease `wanted.held` and say anew what it says.

        A lease under the caller's own name is the caller's: an answer was lost on the way.
        """
        reply = await self._try(client, component_id, wanted, str(wanted.held or ""))
        if isinstance(reply, HeldBy) and reply.lease.owner == wanted.name:
            reply = await self._try(client, component_id, wanted, str(reply.lease))
        return reply

    async def disown(self, client: Redis, component_id: str, lease: OwnerLease) -> bool:
        """Give a component up. False when the lease was lost before."""
        reply = await self._disown(client, [self._keys.owner(component_id)], [str(lease)])
        return bool(reply[0] == b"OK")

    async def owner(self, client: Redis, component_id: str) -> HeldBy | None:
        """Who owns a component now, None for nobody."""
        key = self._keys.owner(component_id)
        held, left_ms = await call_many(client, [("GET", key), ("PTTL", key)])
        return None if held is None else HeldBy(OwnerLease.read(held.decode("utf-8", "replace")), max(0, left_ms))

    async def _try(self, client: Redis, component_id: str, wanted: Wanted, held: str) -> Owned | HeldBy:
        said: list[str | bytes] = [
            held,
            wanted.name,
            str(wanted.ttl_ms),
            shown(wanted.refusal, REFUSAL_MAX),
            str(wanted.floor),
        ]
        reply = await self._own(client, [self._keys.owner(component_id)], said)
        lease = OwnerLease.read(reply[1].decode("utf-8", "replace"))
        return Owned(lease) if reply[0] == b"OWNED" else HeldBy(lease, max(0, reply[2]))


class OwnerVerifier:
    """The owner of a component must agree to its restart. The rule:

    - Nobody owns it, or its owner's lease has run out: agreed. A dead owner holds nothing up for longer than its lease.
    - Its living owner said nothing of restarts: agreed. It wants the component alive, and the monitor brings it back.
    - Its living owner refuses restarts (it restarts the component itself, or works on it): refused, with its reason.

    The leader asks right before each attempt. Nothing is remembered: an owner that stops refusing is believed at once.
    Raises StoreUnavailable and NotPermitted: then nobody knows, and nothing is restarted.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._key = keys.owner

    async def agrees(self, component_id: str) -> str:
        """Empty, or who refuses and why."""
        held = await call(self._client, "GET", self._key(component_id))
        lease = OwnerLease.read(held.decode("utf-8", "replace")) if held else None
        return f"its owner {lease.owner} refuses: {lease.refusal}" if lease is not None and lease.refusal else ""
