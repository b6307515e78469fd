"""How long nobody leads: from the end of the leader to the first commit of its successor.

A new component's first heartbeat is sent right after the leader was ended; its event's stream id less the server's time
just before is what an alert's reader would have waited for. One component turning again and again would be flapping,
whose states are committed every ten seconds only.
"""

from __future__ import annotations

from typing import Final

import anyio

from healthmon.bench.figures import Row, Target, percentile
from healthmon.bench.ground import Ground
from healthmon.bench.processes import Processes, stage, until
from healthmon.bench.raw import Raw, packed
from healthmon.store.codec import text_map
from healthmon.store.keys import Keys

REPLICAS: Final = ("one", "two", "three")
LEASE_TTL_S: Final = 1.5


async def measure(ground: Ground) -> list[Row]:
    """Kills and clean stops of the leader of three replicas."""
    kills, handovers = ground.plan.kills, ground.plan.handovers
    with stage(ground, "killing and stopping the leader", lease_ttl=LEASE_TTL_S) as children:
        await children.replicas(*REPLICAS)
        took_ms = [await _lose_leader(children, number, kill=True) for number in range(kills)]
        handed_ms = [await _lose_leader(children, number, kill=False) for number in range(kills, kills + handovers)]
    note = f"{kills} kills of the leader of three; until its successor's first commit, not only its lease"
    return [
        Row("takeover after kill -9, p95", percentile(took_ms, 95), "ms", Target(250), note=note),
        Row(
            "clean handover, p95",
            percentile(handed_ms, 95),
            "ms",
            Target(50),
            note=f"{handovers} SIGTERMs; until its successor leads",
        ),
    ]


async def _lose_leader(children: Processes, number: int, *, kill: bool) -> float:
    keys, raw = children.keys, children.raw
    await _may_steal(keys, raw)
    await anyio.sleep(children.ground.plan.settle_s)
    leader = await children.leader()
    last = (raw.call("XREVRANGE", keys.events, "+", "-", "COUNT", 1) or [[b"0-0"]])[0][0]
    began_ms = raw.now_ms()
    (children.kill if kill else children.stop)(leader)
    raw.send(packed("XADD", keys.heartbeats, "*", "id", f"turning-{number}"))
    raw.read()

    async def committed() -> int:
        for entry, fields in raw.call("XRANGE", keys.events, b"(" + last, "+"):
            event = text_map(fields)
            # A leader told to stop may still commit the change itself: then its successor's election is what counts.
            counts = event["type"] == "transition" or (not kill and event["type"] == "leader")
            if counts and event["replica"] != leader:
                return int(entry.partition(b"-")[0])
        return 0

    took_ms = await until(committed, "the successor commits") - began_ms
    await children.gone(leader)
    await children.replicas(leader)
    return float(took_ms)


async def _may_steal(keys: Keys, raw: Raw) -> None:
    """A dead leader's lease may be taken before it runs out once in a ttl."""
    free_ms = int(raw.call("HGET", keys.cursor, "stolen_ms") or 0) + LEASE_TTL_S * 1000

    async def free() -> bool:
        return raw.now_ms() > free_ms

    await until(free, "the lease may be taken again")
