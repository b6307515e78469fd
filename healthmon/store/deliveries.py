"""What is kept of the delivery of alerts: incidents that people were told of, dead letters, and what waits.

The leader writes it, by one script under its lease, so that whoever leads next goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack
from redis.asyncio import Redis

from healthmon.core.lease import Lease
from healthmon.errors import Fenced
from healthmon.store.calls import call
from healthmon.store.codec import text_map
from healthmon.store.groups import Group
from healthmon.store.keys import ALERTS_DEAD_MAX, Keys
from healthmon.store.reading import StreamEntry, entries_of
from healthmon.store.scripts import Scripts

GROUP: Final = "alerts"
# One call carries at most so many; the server serves nobody else meanwhile.
ITEMS_MAX: Final = 500


@dataclass(slots=True)
class Settled:
    """What one call stores: events that are done with, incidents as they now are, incidents that are over, and
    dead letters.
    """

    done: list[str] = field(default_factory=list)
    records: dict[str, str] = field(default_factory=dict)
    over: list[str] = field(default_factory=list)
    dead: list[Mapping[str, str]] = field(default_factory=list)


class Deliveries:
    """The delivery state of one shard, over a client made by `open_raw`. Raises StoreUnavailable and NotPermitted."""

    def __init__(self, client: Redis, keys: Keys, scripts: Scripts) -> None:
        self._client = client
        self._keys = keys
        self._settle = scripts.settle

    async def settle(self, lease: Lease, settled: Settled) -> None:
        """Store all of it, or nothing where the lease is another's: then Fenced is raised."""
        packed: bytes = msgpack.packb(
            {
                "done": settled.done,
                "set": [part for pair in settled.records.items() for part in pair],
                "over": settled.over,
                "dead": [[part for pair in letter.items() for part in pair] for letter in settled.dead],
            },
            use_bin_type=False,
            unicode_errors="replace",
        )
        keys = self._keys
        touched = [keys.leader, keys.events, keys.alerts_firing, keys.alerts_dead]
        word, *rest = await self._settle(self._client, touched, [str(lease), GROUP, packed, str(ALERTS_DEAD_MAX)])
        if word != b"OK":
            raise Fenced(f"alerts are delivered by another leader: {rest[0].decode() or 'none'}")

    async def incidents(self) -> dict[str, dict[str, Any]]:
        """Incident -> what is known of it. One that somebody made unreadable is left out."""
        stored = text_map(await call(self._client, "HGETALL", self._keys.alerts_firing))
        return {key: found for key, text in stored.items() if (found := _object(text))}

    async def dead_letters(self, count: int) -> list[StreamEntry]:
        """Messages that no sink took, the newest first."""
        return entries_of(await call(self._client, "XREVRANGE", self._keys.alerts_dead, "+", "-", "COUNT", count))

    async def dead_total(self) -> int:
        """How many are kept."""
        return int(await call(self._client, "XLEN", self._keys.alerts_dead))

    async def waiting(self) -> int:
        """How many events were read and are not acknowledged yet."""
        return sum(one.pending for one in await Group(self._client, self._keys, GROUP, "").consumers())


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
