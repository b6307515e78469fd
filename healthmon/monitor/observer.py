"""A replica that never leads: it has the table, for whoever serves it, and leaves the lease to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from healthmon.core.lease import GATEWAY
from healthmon.monitor.announce import Announcer
from healthmon.monitor.replica import Replica


@dataclass
class Observer(Replica):
    """Follows for ever. Other replicas don't count it: neither as a standby nor as one that watches the fleet."""

    stands_by_as: ClassVar[str] = GATEWAY

    async def _campaign(self) -> None:
        """It asks for no lease."""

    async def _watch(self) -> None:
        """It would not take the lease of a leader that is gone."""

    async def _be_hot(self) -> None:
        """Lost data is founded anew by a hot replica, which can lead; this one only puts back what it holds."""

    async def _announce_once(self, announcer: Announcer) -> None:
        await super()._announce_once(announcer)
        self.parts.campaign.seen = announcer.leader  # else it would take a fleet that is led for leaderless
