"""`python -m healthmon.bench.floor`: the least that could stand in a replica's place, for comparing with.

`follow`: a blocked XREAD over a raw socket, and for each heartbeat one fenced script that writes an event and a state
and publishes an alert of the same size. `pace`: an event loop that wakes so many times a second and asks Redis once.
"""

from __future__ import annotations

from typing import Any, Final

import anyio

from healthmon.bench.child import orders
from healthmon.bench.raw import Raw, packed
from healthmon.store.keys import Keys

BLOCK_MS: Final = 1000
LEASE: Final = "floor|0|1"
SCRIPT: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[2], '*', 'json', ARGV[2])
redis.call('HSET', KEYS[3], 'state', ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[2])
return 1
"""


def main() -> None:
    """Run until the parent's end."""
    given = orders()
    raw = Raw(given["url"])
    if given["what"] == "follow":
        _follow(raw, Keys(given["prefix"]), given["alert"])
    else:
        anyio.run(_pace, raw, given)


def _follow(raw: Raw, keys: Keys, alert: str) -> None:
    script = raw.call("SCRIPT", "LOAD", SCRIPT)
    raw.call("SET", keys.leader, LEASE)
    at: bytes = b"0-0"
    while True:
        reply = raw.call("XREAD", "BLOCK", BLOCK_MS, "STREAMS", keys.heartbeats, at)
        for entry_id, fields in reply[0][1] if reply else ():
            at = entry_id
            hash_key = keys.component(fields[1].decode())
            words = (keys.leader, keys.events, hash_key, LEASE, alert, "degraded", keys.alerts)
            raw.send(packed("EVALSHA", script, 3, *words))
            raw.read()


async def _pace(raw: Raw, given: dict[str, Any]) -> None:
    while True:
        await anyio.sleep(1 / given["per_second"])
        raw.call("PING")


if __name__ == "__main__":
    main()
