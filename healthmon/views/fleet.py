"""What one process knows of the fleet: its replica's table, and what was last heard of who leads. Nothing here waits.

Rows and records are those of the stored hashes (`healthmon.store.codec`), made of the table's records, so that a page
and the command line say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthmon import __version__
from healthmon.core.alert import rfc3339
from healthmon.core.component import SILENCE, Component, HealthState
from healthmon.core.lease import Lease
from healthmon.core.overlays import is_silenced
from healthmon.core.table import Table
from healthmon.errors import StoreUnavailable
from healthmon.store.codec import hash_fields
from healthmon.store.keys import Keys
from healthmon.views.picture import Freshness, counts_of, headline, json_of
from healthmon.views.prospect import prospect
from healthmon.views.states import PROBLEMS

# The columns of a list, by the hash's names.
COLUMNS: Final = (
    *("id", "state", "since", "reason", "previous", "score", "last_heartbeat", "interval_s", "role", "host"),
    *("flapping", "held", "acknowledged_by", "silenced_until", "circuit_breaker_state", "restart_attempt"),
    *("restart_max", "next_restart_at", "total_heartbeats", "dependencies_down"),
)
_TEXTS: Final = frozenset(("id", "state", "reason", "circuit_breaker_state"))
# A replica that has read nothing of the stream for so long is behind, though Redis answers.
BEHIND_MS: Final = 15_000


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What Redis last said of who leads. `as_of_ms`: until when what is stored was complete then.

    `reachable`: whether it answers now; `answered_ms`: the server's clock when it last did, 0 for never.
    """

    lease: Lease | None = None
    left_ms: int = 0
    as_of_ms: int = 0
    reachable: bool = False
    answered_ms: int = 0


@dataclass(frozen=True)
class Fleet:
    """One replica's table and what is known beside it.

    `now_ms`: the server's clock, carried on locally. `loaded`: whether the table holds what was stored. `last_event`:
    the newest event that this process has seen.
    """

    table: Table
    keys: Keys
    replica: str
    now_ms: Callable[[], int]
    loaded: Callable[[], bool]
    about: Callable[[], ClusterFacts]
    last_event: Callable[[], str]

    # -- one component -------------------------------------------------------------------------------------------------

    def get(self, component_id: str) -> Component | None:
        """A component's record with all that was folded counted in; one that is not registered yet is not known."""
        component = self.table.get(component_id)
        return component if component is not None and component.rev else None

    def record(self, component: Component) -> dict[str, str]:
        """The names and values of its hash, as a leader would write them now."""
        taken = component.restart.taken
        return {**hash_fields(component), **({"restart_taken": taken} if taken else {})}

    def row(self, component: Component) -> dict[str, Any]:
        """A row of a list: COLUMNS as JSON values, what is done next, and whether a heartbeat is overdue."""
        record = self.record(component)
        values = json_of({name: record.get(name, "") for name in COLUMNS})
        row = {name: value if value != "" or name in _TEXTS else None for name, value in values.items()}
        if not is_silenced(component, self.now_ms()):
            row["silenced_until"] = None
        row["next"] = next_attempt(row)
        row["next_words"] = prospect(record, self.now_ms())
        row["late"] = self.is_late(component)
        return row

    def is_late(self, component: Component) -> bool:
        """Whether a heartbeat is overdue by half of its interval, and nothing has come of it yet."""
        paced_ms = component.expected_interval_ms
        if not paced_ms or not component.last_heartbeat_ms or component.silence_rests or component.rule in SILENCE:
            return False
        seen_ms = min(self.now_ms(), self.table.seen_ms)
        return self.table.blindness.silence_ms(component.last_heartbeat_ms, seen_ms) > paced_ms * 3 // 2

    # -- all of them ---------------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Components by state, worst first, zeros included."""
        census = self.table.census
        counts = counts_of({state.value: str(count) for state, count in census.states.items()})
        return {**counts, "unknown": counts["unknown"] - census.unregistered}

    def freshness(self) -> Freshness:
        """How far what is shown can be trusted."""
        about, now_ms = self.about(), self.now_ms()
        if not about.reachable:
            return Freshness(now_ms, about.answered_ms, led=False, reachable=False)
        behind_ms = now_ms - self.table.seen_ms
        as_of_ms = self.table.seen_ms if behind_ms > BEHIND_MS else about.as_of_ms
        return Freshness(now_ms, as_of_ms, led=about.lease is not None)

    def ask_redis(self) -> None:
        """Raises StoreUnavailable where Redis is known not to answer: whoever would ask it need not wait for that."""
        about = self.about()
        if about.answered_ms and not about.reachable:
            raise StoreUnavailable(f"{self.freshness().remark()}; what is not in this process can't be shown now")

    def leader(self) -> dict[str, Any] | None:
        """Who leads since when."""
        lease = self.about().lease
        if lease is None:
            return None
        return {"replica": lease.replica, "epoch": lease.epoch, "since": rfc3339(lease.epoch)}

    def mass_failure(self) -> dict[str, Any] | None:
        """Since when a mass failure holds deaths and restarts, and how many are silent."""
        table = self.table
        if not table.brake.on:
            return None
        return {"since": rfc3339(table.brake.since_ms), "silent": len(table.census.silent)}

    def pulse(self) -> dict[str, Any]:
        """What a viewer is told every two seconds: that the connection lives, how fresh this is, the counts."""
        counts, fresh = self.counts(), self.freshness()
        return {
            "at": rfc3339(fresh.now_ms) or None,
            "freshness": freshness_json(fresh),
            "leader": self.leader(),
            "counts": counts,
            "problems": problems_of(counts),
            "headline": headline(counts),
            "mass_failure": self.mass_failure(),
        }

    def glance(self) -> dict[str, Any]:
        """The fleet at a glance, but for its roles, which take a look at every component."""
        return {
            **self.pulse(),
            "prefix": self.keys.prefix,
            "shard": self.keys.shard,
            "version": __version__,
            "last_event": self.last_event(),
        }


def problems_of(counts: Mapping[str, int]) -> int:
    """How many need somebody's attention."""
    return sum(counts.get(state, 0) for state in PROBLEMS)


def freshness_json(fresh: Freshness) -> dict[str, Any]:
    """How far the data can be trusted, for a program."""
    return {
        "word": fresh.word,
        "as_of": rfc3339(fresh.as_of_ms) or None,
        "age_ms": fresh.age_ms,
        "remark": fresh.remark() or None,
    }


def next_attempt(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The restart that comes next by itself, as an alert says it."""
    if row["state"] != HealthState.DEAD or not row["next_restart_at"]:
        return None
    attempt = (row["restart_attempt"] or 0) + 1
    return {"action": "restart", "attempt": attempt, "max": row["restart_max"], "at": row["next_restart_at"]}
