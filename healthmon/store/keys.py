"""Every Redis key: its name, its type, and whether it expires. No other file spells one.

Keys of a shard carry the hash tag `{N}`, so that one script may touch all of them on Redis Cluster.
`rows_of` says of each what it is and when it goes; `healthmon keys` prints that, and a test finds keys not listed.
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
        names = "heartbeats control events restarts rejected components counts leader epoch generation cursor blind"
        for name in f"{names} guard gone monitors hot hint".split():
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

    def silence(self, component_id: str) -> str:
        return f"{self.root}:silence:{component_id}"

    def history(self, component_id: str) -> str:
        return f"{self.root}:history:{component_id}"

    def owner(self, component_id: str) -> str:
        return f"{self.root}:owner:{component_id}"

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


@dataclass(frozen=True)
class KeyRow:
    """One key, or one pattern of keys, of a shard: its type, when it goes, what it is."""

    name: str
    type: str
    expires: str
    meaning: str


def rows_of(keys: Keys) -> tuple[KeyRow, ...]:
    """Every key and channel there is, under the prefix and the shard of `keys`."""
    never, member, day = "never", "members by `forget`", "members after a day"
    return (
        KeyRow(keys.help, "string", never, "a cheat sheet for redis-cli"),
        KeyRow(keys.meta, "hash", never, "what clients must know: schema, shards, canary (ms), heartbeats_max"),
        KeyRow(keys.heartbeats, "stream", "by age", "the way in: anybody may XADD"),
        KeyRow(keys.control, "stream", "behind the cursor", "commands, each answered by an event or a refusal"),
        KeyRow(keys.events, "stream", "by age (events_retention)", "every committed fact, in order"),
        KeyRow(keys.restarts, "stream", "by age (restarts_retention)", "restart commands for agents"),
        KeyRow(keys.rejected, "stream", f"capped at {REJECTED_MAX}", "what was refused, and why"),
        KeyRow(keys.component("<id>"), "hash", "by `forget`", "all there is to know of one component"),
        KeyRow(keys.components, "zset", member, "id -> last heartbeat (ms)"),
        KeyRow(keys.state("<state>"), "zset", member, "id -> since when it is in this state (ms)"),
        KeyRow(keys.counts, "hash", never, "state -> number of components"),
        KeyRow(keys.history("<id>"), "stream", f"capped at {HISTORY_MAX}; by `forget`", "a component's past"),
        KeyRow(keys.silence("<id>"), "hash", "PX, by itself; by `forget`", "a silence: until when, by whom and why"),
        KeyRow(keys.owner("<id>"), "string", "PX, by its owner", "who owns a component: owner|epoch[|refusal]"),
        KeyRow(keys.leader, "string", "PX lease_ttl", "who leads: replica|incarnation|epoch"),
        KeyRow(keys.epoch, "string", never, "the highest epoch given out"),
        KeyRow(keys.generation, "string", never, "identity of this data: missing or changed means that it was lost"),
        KeyRow(keys.cursor, "hash", never, "where a cold replica begins to read; the last commit"),
        KeyRow(keys.blind, "stream", "by age", "stretches in which nobody could be heard"),
        KeyRow(keys.guard, "hash", never, "what belongs to the shard itself; counts of refusals"),
        KeyRow(keys.gone, "zset", day, "id -> when it was forgotten (ms)"),
        KeyRow(keys.monitors, "zset", day, "replica -> last seen (ms)"),
        KeyRow(
            keys.monitor("<replica>"), "hash", f"{MONITOR_TTL_S} s after its last sign", "a replica in its own words"
        ),
        KeyRow(keys.alerts, "channel", "", "every alert, as one CloudEvents JSON object"),
        KeyRow(keys.alive("<replica>", "<start>"), "shard channel", "", "held open by a living replica"),
        KeyRow(keys.hot, "shard channel", "", "held open by replicas that hold a table"),
        KeyRow(keys.hint, "shard channel", "", "the leader released its lease"),
    )
