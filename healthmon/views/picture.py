"""What a viewer sees of the fleet, pure: stored fields in, JSON values and sentences out, with now as an argument."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.alert import rfc3339
from healthmon.core.lease import GATEWAY
from healthmon.store.codec import read_time_ms
from healthmon.views.states import PROBLEMS, WORST_FIRST
from healthmon.views.words import duration, number, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# State fields are written at each transition and the busy ones every five seconds, so younger data needs no remark.
FRESH_MS: Final = 5000
# While somebody leads, only busy fields can lag: a round that writes none of them for so long is worth a remark.
LED_FRESH_MS: Final = 15_000
# A replica announces itself every second.
HERE_MS: Final = 5000

_WHOLE: Final = frozenset(
    (
        *("total_heartbeats", "missed_heartbeats", "refused_heartbeats", "restart_count", "restart_attempt"),
        *("restart_max", "restart_rev", "breaker_failures", "self_recoveries", "born", "epoch", "rev", "guard"),
        *("lag_entries", "lag_ms", "skew_ms", "fenced_writes", "components"),
    )
)
_REAL: Final = frozenset(("score", "uptime_seconds", "interval_s", "rtt_ms", "round_p99_ms"))
_TIME: Final = frozenset(
    (
        *("since", "last_heartbeat", "next_restart_at", "restart_deadline", "breaker_retry_at", "flapping"),
        *("last_probe_at", "registered_at", "at", "last_seen", "silenced_until"),
    )
)
# What a person looks for first in a long object; the rest follows by name.
_FIRST: Final = ("id", "type", "state", "from", "to", "since", "at", "reason", "score", "last_heartbeat", "role")
_JSON: Final = frozenset(("policy", "metrics", "memory", "failure", "set", "json", "rules", "handlers"))
_IDS: Final = frozenset(("depends_on", "dependencies_down"))


def json_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Stored fields under their own names as JSON values: numbers, null for no time, objects for JSON texts."""
    ranks = {name: rank for rank, name in enumerate(_FIRST)}
    names = sorted(fields, key=lambda name: (ranks.get(name, len(ranks)), name))
    return {name: _value(name, fields[name]) for name in names}


def _value(name: str, text: str) -> object:
    if name in _IDS:
        return text.split()
    if not text and (name in _TIME or name in _WHOLE or name in _REAL):
        return None
    try:
        if name in _WHOLE:
            return int(text)
        if name in _REAL:
            return float(text)
        if name in _JSON:
            return json.loads(text) if text else None
    except ValueError:
        pass  # written by somebody else: shown as it is
    return text


def kind_of(name: str) -> str:
    """What `json_of` makes of a field: `whole`, `real`, `time`, `ids`, `object` or `text`."""
    kinds = {"whole": _WHOLE, "real": _REAL, "time": _TIME, "ids": _IDS, "object": _JSON}
    return next((kind for kind, names in kinds.items() if name in names), "text")


def time_of(fields: Mapping[str, str], name: str) -> int:
    """The stored time of this name in milliseconds; 0 for none, and for what is no time."""
    try:
        return read_time_ms(fields.get(name, ""))
    except ValueError:
        return 0


# -- the fleet at a glance -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Freshness:
    """Until when the shown data is known to be complete, and who keeps it so. `as_of_ms` 0: there is no data.

    `reachable` False: whoever shows it has lost Redis, and knows nothing younger.
    """

    now_ms: int
    as_of_ms: int
    led: bool
    reachable: bool = True

    @property
    def word(self) -> str:
        """`live`, `leaderless` or `redis_unreachable`."""
        if not self.reachable:
            return "redis_unreachable"
        return "live" if self.led else "leaderless"

    @property
    def age_ms(self) -> int:
        """How old the data is; 0 while a leader keeps it."""
        age_ms = max(0, self.now_ms - self.as_of_ms) if self.as_of_ms else 0
        if not self.reachable:
            return age_ms
        return 0 if age_ms <= (LED_FRESH_MS if self.led else FRESH_MS) else age_ms

    def remark(self) -> str:
        """What to tell a viewer of the data's age; "" when there is nothing to tell."""
        if not self.reachable:
            age = f"the data is {duration(self.age_ms)} old" if self.as_of_ms else "there is no data yet"
            return f"Redis unreachable: {age}"
        if not self.as_of_ms:
            return "" if self.led else "no leader and no data yet: start `healthmon monitor`, or `healthmon up`"
        if not self.age_ms:
            return "" if self.led else "no leader right now: states change when one leads"
        if self.led:
            return f"the leader has written nothing for {duration(self.age_ms)}: the data is that old"
        return f"no leader: the data is {duration(self.age_ms)} old and the states below are frozen"


def counts_of(stored: Mapping[str, str]) -> dict[str, int]:
    """Components by state, worst first, zeros included; states that this version doesn't know come last."""
    given = {state: int(count) for state, count in stored.items() if count.isdecimal()}
    return {state: given.get(state, 0) for state in (*WORST_FIRST, *sorted(given.keys() - set(WORST_FIRST)))}


def headline(counts: Mapping[str, int]) -> str:
    """The one sentence: is anything wrong, and how much."""
    total, wrong = sum(counts.values()), sum(counts.get(state, 0) for state in PROBLEMS)
    if not total:
        return "no components yet"
    if not wrong:
        well = counts.get("healthy", 0)
        if well == total:
            return "the one component is healthy" if total == 1 else f"all {number(total)} components are healthy"
        return f"no problems among {plural(total, 'component')}"
    return f"{number(wrong)} of {plural(total, 'component')} {'needs' if wrong == 1 else 'need'} attention"


# -- the cluster -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replica:
    """One monitor process as it says of itself. Empty or None where it said nothing."""

    id: str
    last_seen_ms: int
    here: bool
    said: Mapping[str, str]

    def get(self, name: str) -> str:
        return self.said.get(name, "")

    @property
    def watches(self) -> bool:
        """Whether it is here and leads, or may come to lead; a gateway never does."""
        return self.here and self.get("role") != GATEWAY


def replica_of(replica: str, last_seen_ms: int, now_ms: int, said: Mapping[str, str]) -> Replica:
    """A replica as it was seen. One that has said nothing for five of its seconds is not here any more."""
    return Replica(replica, last_seen_ms, bool(said) and now_ms - last_seen_ms <= HERE_MS, said)


def replica_json(replica: Replica) -> dict[str, Any]:
    """A replica for a program: what it says of itself, and whether it is here."""
    pid = replica.get("pid")
    return {
        "id": replica.id,
        "here": replica.here,
        "last_seen": rfc3339(replica.last_seen_ms) or None,
        **json_of(replica.said),
        **({"pid": int(pid)} if pid.isdecimal() else {}),
    }


def handlers_of(replica: Replica) -> list[str]:
    """Whom its process has restart handlers for: ids, `*` for all. What can't be read is nobody."""
    named = json_of({"handlers": replica.get("handlers")})["handlers"]
    return [one for one in named if isinstance(one, str)] if isinstance(named, list) else []


def cluster_warnings(replicas: Iterable[Replica], leader: str, leaderless_ms: int) -> list[str]:
    """What an operator should know of these replicas, one sentence each. `leaderless_ms`: 0 when somebody leads."""
    live = [replica for replica in replicas if replica.watches]
    warnings = []
    if not leader:
        since = f" for {duration(leaderless_ms)}" if leaderless_ms else ""
        fix = "start `healthmon monitor`" if not live else "see the replicas' logs"
        warnings.append(f"nobody leads{since}: states are frozen; {fix}")
    elif leader not in {replica.id for replica in live}:
        warnings.append(f"{leader} leads and is not among the replicas: it may have just died")
    if len(live) == 1:
        warnings.append("only one replica: when it stops, nobody watches; start another `healthmon monitor`")
    warnings += _differences(live, "version", "versions differ: finish the upgrade")
    warnings += _differences(live, "digest", "settings that decide differ: a failover would change the rules")
    warnings += [
        f"{replica.id} reads {duration(int(replica.get('lag_ms')))} behind"
        for replica in live
        if replica.get("lag_ms").isdecimal() and int(replica.get("lag_ms")) > FRESH_MS
    ]
    return warnings


def _differences(live: Iterable[Replica], name: str, sentence: str) -> list[str]:
    sorts: dict[str, list[str]] = {}
    for replica in live:
        if replica.get(name):
            sorts.setdefault(replica.get(name), []).append(replica.id)
    if len(sorts) < 2:
        return []
    told = "; ".join(f"{value}: {', '.join(ids)}" for value, ids in sorted(sorts.items()))
    return [f"{sentence} ({told})"]


def cluster_headline(replicas: Iterable[Replica], leader: str, epoch: int, led_ms: int) -> str:
    """Who leads since when, and how many follow."""
    live = [replica for replica in replicas if replica.watches]
    count = plural(len(live), "replica")
    if not leader:
        return f"nobody leads, {count}"
    return f"{leader} leads for {duration(led_ms)}, epoch {epoch}, {count}"
