"""The arithmetic of the lease: who holds it, until when it may be written under, and which epoch comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# The holder stops writing at two thirds of the ttl after the moment before its last good renewal was sent: the rest is
# for what its clock and Redis's may differ by while a write is under way.
WRITES_UNTIL: Final = 2 / 3
RENEW_EVERY: Final = 1 / 3
# The role of a process that holds the table and never leads: it stands in no queue for the lease.
GATEWAY: Final = "gateway"


@dataclass(frozen=True, slots=True)
class Lease:
    """The value of the lease key. Compared whole: the same replica in another incarnation is another holder."""

    replica: str
    incarnation: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.replica}|{self.incarnation}|{self.epoch}"


def read_lease(value: str) -> Lease | None:
    """The lease that a stored value says, or nothing when it says none."""
    replica, _, rest = value.partition("|")
    incarnation, _, epoch = rest.partition("|")
    if not replica or not epoch.isdigit():
        return None
    return Lease(replica, incarnation, int(epoch))


def writes_until_s(renewal_sent_s: float, ttl_s: float) -> float:
    """The local moment after which the holder writes no more, even with a renewal in flight."""
    return renewal_sent_s + ttl_s * WRITES_UNTIL


def standby_rank(replica: str, live: frozenset[str], leader: str) -> int:
    """A replica's place in the queue of standbys: 0 is the one that watches the leader closely."""
    return sorted(live - {leader} | {replica}).index(replica)
