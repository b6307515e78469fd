"""What a replica holds while it leads: the lease, until when it may write, and whether a renewal has been earned."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from healthmon import clock
from healthmon.core.lease import Lease, writes_until_s
from healthmon.errors import Fenced


class SteppedDown(Exception):
    """This replica leads no more, by its own doing; the reason is the text."""


@dataclass
class Leadership:
    """One term of one replica. `scope` is cancelled when the lease is lost; what it guards ends with it."""

    lease: Lease
    ttl_s: float
    began_s: float
    generation: str
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    renewed_s: float = 0.0
    earned: bool = True
    rounds_s: float = 0.0
    commits: int = 0
    ended: str = ""

    @property
    def ends_s(self) -> float:
        """The local moment at which the lease is over unless it is renewed."""
        return (self.renewed_s or self.began_s) + self.ttl_s

    def may_write(self) -> bool:
        """Whether enough of the lease is left, by the local clock, to write under it."""
        return not self.ended and clock.monotonic_s() < writes_until_s(self.renewed_s or self.began_s, self.ttl_s)

    def check(self) -> None:
        """Raises Fenced when this replica may write no more: better to say so than to be refused."""
        if not self.may_write():
            raise Fenced(self.ended or "two thirds of the lease went by without a renewal")

    def earn(self) -> None:
        """A round was completed: folded, its commit answered. Only so may the lease be renewed."""
        self.earned = True
        self.rounds_s = clock.monotonic_s()

    def end(self, reason: str) -> None:
        """Stop leading now: what is under way is cancelled."""
        self.ended = self.ended or reason
        self.scope.cancel()

    def next_commit(self) -> str:
        """A commit id that no other commit has."""
        self.commits += 1
        return f"{self.lease.epoch}-{self.commits}"
