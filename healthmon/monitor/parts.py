"""What one replica is made of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from healthmon.core.measures import Measures
from healthmon.core.table import Table
from healthmon.monitor.announce import Announcer
from healthmon.monitor.campaign import Campaign
from healthmon.monitor.healing import Healing
from healthmon.monitor.ledger import Ledger
from healthmon.monitor.orders import Orders
from healthmon.monitor.reading import Reading
from healthmon.monitor.redis_clock import RedisClock
from healthmon.monitor.repair import Repair
from healthmon.monitor.round import Round
from healthmon.monitor.wake import Alarm
from healthmon.store.alive import Alive
from healthmon.store.calls import Client
from healthmon.store.keys import Keys
from healthmon.store.leases import Leases
from healthmon.store.liveness import LeaderWatch
from healthmon.store.streams import Tail


@dataclass
class Parts:
    """What one replica is made of; `healthmon.run` puts it together.

    `beside`: what else runs for as long as the replica does. `offers`: whom this process has restart handlers for.
    `look_at` is told who is probed and has changed.
    """

    keys: Keys
    table: Table
    tail: Tail
    time: RedisClock
    alarm: Alarm
    reading: Reading
    orders: Orders
    healing: Healing
    ledger: Ledger
    repair: Repair
    round: Round
    leases: Leases
    watch: LeaderWatch
    alive: Alive
    campaign: Campaign
    announcer: Announcer
    checker: Client
    plain: Client
    clients: tuple[Client, ...]
    measures: Measures
    beside: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = ()
    offers: Callable[[], list[str]] = list
    look_at: Callable[[str], object] = str

    async def close(self) -> None:
        """Close every connection."""
        await self.tail.close()
        for client in self.clients:
            await client.aclose()
