"""Whether this Redis user may do what a replica does, asked at start: not found out in the middle of a commit."""

from __future__ import annotations

import msgpack
from redis.asyncio import Redis

from healthmon.errors import NotPermitted
from healthmon.store.calls import call
from healthmon.store.keys import STATES, Keys
from healthmon.store.scripts import Scripts


async def check_permissions(client: Redis, keys: Keys, scripts: Scripts, replica: str, incarnation: str) -> None:
    """Raises NotPermitted with what is denied and the fix. Nothing is run but a script that asks."""
    channels = (keys.alive(replica, incarnation), keys.hint)
    await _ask(client, keys, scripts, _commands(keys, channels[0]), channels, role="monitor")


async def check_taking(client: Redis, keys: Keys, scripts: Scripts, component_id: str) -> None:
    """Whether this user may read restart orders and take those of this component: for agents, which do no more.

    Raises NotPermitted with what is denied and the fix, and StoreUnavailable.
    """
    await _ask(client, keys, scripts, _taking(keys, component_id), role="agent")
    for command in _reading_orders(keys):  # asked by doing it: a script would want the right to write them, too
        await call(client, *command)


async def _ask(
    client: Redis, keys: Keys, scripts: Scripts, commands: list[list[str]], channels: tuple[str, ...] = (), *, role: str
) -> None:
    words = {word for command in commands for word in command if word.startswith(keys.root)}
    touched = sorted(words.difference(channels))
    denied = await scripts.permitted(client, touched, [msgpack.packb(commands, use_bin_type=False)])
    if denied:
        first = denied[0].decode()
        raise NotPermitted(
            f"the Redis user may not run {first!r} ({len(denied)} such commands are denied): "
            f"grant what `healthmon acl --role {role}` prints"
        )


def _taking(k: Keys, component_id: str) -> list[list[str]]:
    """What the verb `take` runs."""
    component = k.component(component_id)
    return [
        ["TYPE", component],
        ["TYPE", k.control],
        ["HMGET", component, "a"],
        ["TIME"],
        ["XADD", k.control, "*", "a", "b"],
        ["HSET", component, "a", "b"],
    ]


def _delivering(k: Keys) -> list[list[str]]:
    """What the delivery of alerts takes."""
    return [
        ["XGROUP", "CREATE", k.events, "a", "$"],
        ["XGROUP", "DELCONSUMER", k.events, "a", "b"],
        ["XINFO", "CONSUMERS", k.events, "a"],
        ["XREADGROUP", "GROUP", "a", "b", "STREAMS", k.events, ">"],
        ["XAUTOCLAIM", k.events, "a", "b", "0", "0-0"],
        ["XACK", k.events, "a", "1-1"],
        ["HGETALL", k.alerts_firing],
        ["HSET", k.alerts_firing, "a", "b"],
        ["HDEL", k.alerts_firing, "a"],
        ["XADD", k.alerts_dead, "*", "a", "b"],
    ]


def _reading_orders(k: Keys) -> list[list[str]]:
    """What reading restart orders takes."""
    return [
        ["XREAD", "COUNT", "1", "STREAMS", k.restarts, "0-0"],
        ["XREVRANGE", k.restarts, "+", "-", "COUNT", "1"],
        ["ZRANGE", k.state("restarting"), "0", "0"],
        ["GET", k.generation],
    ]


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
        *_taking(k, "x"),
        *_reading_orders(k),
        *_delivering(k),
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
