"""Whether this Redis user may do what a replica does, asked at start: not found out in the middle of a commit."""

from __future__ import annotations

import msgpack
from redis.asyncio import Redis

from healthmon.errors import NotPermitted
from healthmon.store.keys import STATES, Keys
from healthmon.store.scripts import Scripts


async def check_permissions(client: Redis, keys: Keys, scripts: Scripts, replica: str, incarnation: str) -> None:
    """Raises NotPermitted with what is denied and the fix. Nothing is run but a script that asks."""
    channels = (keys.alive(replica, incarnation), keys.hint)
    commands = _commands(keys, channels[0])
    words = {word for command in commands for word in command if word.startswith(keys.root)}
    touched = sorted(words.difference(channels))
    denied = await scripts.permitted(client, touched, [msgpack.packb(commands, use_bin_type=False)])
    if denied:
        first = denied[0].decode()
        raise NotPermitted(
            f"the Redis user may not run {first!r} ({len(denied)} such commands are denied): "
            "grant what `healthmon acl --role monitor` prints"
        )


def _commands(k: Keys, alive: str) -> list[list[str]]:
    """One of each kind of command that the verbs and the reader run, with keys of this shard."""
    component, history, monitor = k.component("x"), k.history("x"), k.monitor("x")
    streams = (k.heartbeats, k.control, k.events, k.restarts, k.rejected, k.blind, history)
    hashes = (component, k.counts, k.cursor, k.guard, monitor)
    zsets = (k.components, k.gone, k.monitors, *(k.state(state) for state in STATES))
    return [
        *(["XADD", stream, "*", "a", "b"] for stream in streams),
        *(["XTRIM", stream, "MINID", "1"] for stream in streams),
        *(["XREVRANGE", stream, "+", "-"] for stream in streams),
        *(["XREAD", "STREAMS", stream, "0-0"] for stream in (k.heartbeats, k.control, k.events)),
        *(["HSET", name, "a", "b"] for name in hashes),
        *(["HMGET", name, "a"] for name in hashes),
        *(["HGETALL", name] for name in hashes),
        *(["ZADD", name, "1", "a"] for name in zsets),
        *(["ZREM", name, "a"] for name in zsets),
        *(["TYPE", name] for name in (*streams, *hashes, *zsets)),
        ["GET", k.generation],
        ["SET", k.leader, "a", "PX", "1"],
        ["PEXPIRE", k.leader, "1"],
        ["DEL", k.leader],
        ["DEL", component],
        ["XSETID", k.heartbeats, "1-0"],
        ["TIME"],
        ["PUBLISH", k.alerts, "a"],
        ["SPUBLISH", k.hint, "a"],
        ["SSUBSCRIBE", alive],
        ["PUBSUB", "SHARDNUMSUB", alive],
    ]
