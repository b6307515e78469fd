"""What the founder of a data set leaves for everybody: `meta` for clients, `help` for people."""

from __future__ import annotations

from redis.asyncio import Redis

from healthmon.errors import ConfigurationError
from healthmon.store.calls import call
from healthmon.store.keys import Keys

SCHEMA = "1"
HEARTBEATS_MAX = 1_000_000


async def found(client: Redis, keys: Keys, shards: int, canary_ms: int) -> None:
    """Write `meta` and `help` where they are missing. Raises ConfigurationError when the data has other shards."""
    given = {"schema": SCHEMA, "shards": str(shards), "canary": str(canary_ms), "heartbeats_max": str(HEARTBEATS_MAX)}
    for name, value in given.items():
        await call(client, "HSETNX", keys.meta, name, value)
    await call(client, "SET", keys.help, help_text(keys), "NX")
    stored = (await call(client, "HGET", keys.meta, "shards") or b"").decode()
    if stored != str(shards):
        raise ConfigurationError(
            f"this data has {stored} shards and HEALTH_SHARDS is {shards}: set it to {stored}, or use another prefix"
        )


async def tell_canary(client: Redis, keys: Keys, canary_ms: int) -> None:
    """Say in `meta` how long nothing may be read before a canary is appended."""
    await call(client, "HSET", keys.meta, "canary", str(canary_ms))


def help_text(keys: Keys) -> str:
    """The cheat sheet: `redis-cli --raw GET healthmon:help`."""
    root = keys.root
    lines = (
        ("how are we doing?", f"redis-cli -3 HGETALL '{keys.counts}'"),
        ("who is dead, since when?", f"redis-cli ZRANGE '{keys.state('dead')}' 0 49 WITHSCORES"),
        ("why, and since when?", f"redis-cli HMGET '{keys.component('ID')}' state since reason"),
        ("what happened to it?", f"redis-cli XREVRANGE '{keys.history('ID')}' + - COUNT 5"),
        ("who is quietest?", f"redis-cli ZRANGE '{keys.components}' 0 9 WITHSCORES"),
        ("who leads?", f"redis-cli GET '{keys.leader}'"),
        ("tell me when it changes", f"redis-cli SUBSCRIBE {keys.alerts}"),
        ("what did I miss?", f"redis-cli XREVRANGE '{keys.events}' + - COUNT 20"),
        ("send a heartbeat", f"redis-cli XADD '{keys.heartbeats}' '*' id ID"),
        ("silence it for 2 h", f"redis-cli XADD '{keys.control}' '*' cmd silence id ID for 7200 by ME reason WHY"),
        ("I look after it", f"redis-cli XADD '{keys.control}' '*' cmd acknowledge id ID by ME"),
        ("forget a component", f"redis-cli XADD '{keys.control}' '*' cmd forget id ID by ME"),
    )
    width = max(len(question) for question, _ in lines)
    text = "\n".join(f"{question:<{width}}  {command}" for question, command in lines)
    return f"healthmon: health of components, under {root}\n{text}\n"
