"""Every Redis key: its name, its type, and whether it expires. No other file spells one.

Keys of a shard carry the hash tag `{N}`, so that one script may touch all of them on Redis Cluster.

    key                        type                          expires
    healthmon:help             string                        never
    healthmon:meta             hash                          never
    P:heartbeats               stream                        trimmed by age by the leader
    P:control                  stream                        trimmed behind the cursor
    P:events                   stream                        trimmed by age (events_retention)
    P:restarts                 stream                        trimmed by age (restarts_retention)
    P:rejected                 stream                        capped at 1000 entries
    P:component:<id>           hash                          never; `forget` removes it
    P:components               zset                          never; `forget` removes the member
    P:state:<state>            zset                          never; `forget` removes the member
    P:counts                   hash                          never
    P:history:<id>             stream                        capped at 200; `forget` removes it
    P:leader                   string                        PX lease_ttl
    P:epoch P:generation       string                        never
    P:cursor                   hash                          never
    P:blind                    stream                        trimmed by age
    P:guard                    hash                          never
    P:gone                     zset                          never; members older than a day are removed
    P:monitors                 zset                          never; members older than a day are removed
    P:monitor:<replica>        hash                          30 s after the replica's last sign
    channels                   healthmon:alerts, P:alive:<replica|incarnation>, P:hot, P:hint
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

HISTORY_MAX = 200
REJECTED_MAX = 1000
GONE_KEPT_MS = 86_400_000
MONITOR_TTL_S = 30
STATES = (
    "unknown",
    "initializing",
    "healthy",
    "degraded",
    "unhealthy",
    "dead",
    "restarting",
    "permanently_failed",
)


def shard_of(component_id: str, shards: int) -> int:
    """The shard that a component belongs to: crc32 of its id, modulo the number of shards."""
    return zlib.crc32(component_id.encode()) % shards


def help_key(prefix: str) -> str:
    return f"{prefix}:help"


def meta_key(prefix: str) -> str:
    return f"{prefix}:meta"


def alerts_channel(prefix: str) -> str:
    return f"{prefix}:alerts"


@dataclass(frozen=True)
class Keys:
    """The keys of one shard under one prefix."""

    prefix: str = "healthmon"
    shard: int = 0
    root: str = field(init=False)
    heartbeats: str = field(init=False)
    control: str = field(init=False)
    events: str = field(init=False)
    restarts: str = field(init=False)
    rejected: str = field(init=False)
    components: str = field(init=False)
    counts: str = field(init=False)
    leader: str = field(init=False)
    epoch: str = field(init=False)
    generation: str = field(init=False)
    cursor: str = field(init=False)
    blind: str = field(init=False)
    guard: str = field(init=False)
    gone: str = field(init=False)
    monitors: str = field(init=False)
    hot: str = field(init=False)
    hint: str = field(init=False)

    def __post_init__(self) -> None:
        root = f"{self.prefix}:{{{self.shard}}}"
        object.__setattr__(self, "root", root)
        for name in (
            "heartbeats control events restarts rejected components counts leader epoch generation cursor blind guard"
            " gone monitors hot hint"
        ).split():
            object.__setattr__(self, name, f"{root}:{name}")

    @property
    def help(self) -> str:
        return help_key(self.prefix)

    @property
    def meta(self) -> str:
        return meta_key(self.prefix)

    @property
    def alerts(self) -> str:
        return alerts_channel(self.prefix)

    def component(self, component_id: str) -> str:
        return f"{self.root}:component:{component_id}"

    def history(self, component_id: str) -> str:
        return f"{self.root}:history:{component_id}"

    def state(self, state: str) -> str:
        return f"{self.root}:state:{state}"

    def monitor(self, replica: str) -> str:
        return f"{self.root}:monitor:{replica}"

    @property
    def alive_root(self) -> str:
        """What every alive channel begins with; the holder's `replica|incarnation` follows."""
        return f"{self.root}:alive:"

    def alive(self, replica: str, incarnation: str) -> str:
        return f"{self.alive_root}{replica}|{incarnation}"
