"""How late silence is found: an event's stream id less the moment at which its component had been silent long enough.

Both are of the server's clock, so that no other clock and no reader has a part in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import anyio

from healthmon.bench.figures import Row, Target, percentile
from healthmon.bench.ground import Ground, id_of
from healthmon.bench.processes import Processes, stage, until
from healthmon.bench.raw import packed
from healthmon.core.component import HealthState
from healthmon.store.codec import text_map

STAGES: Final = (HealthState.DEGRADED, HealthState.UNHEALTHY, HealthState.DEAD)
GROUPS_APART_S: Final = 0.37
_SAID: Final = "up to 15 s, its check interval"


async def measure(ground: Ground) -> list[Row]:
    """Groups of a hundred that fall silent together, and a thousand."""
    stage_s = ground.plan.stage_s
    thresholds = {"heartbeat_timeout": stage_s, "degraded_threshold": 2 * stage_s, "dead_threshold": 3 * stage_s}
    groups, mass = ground.plan.silent, ground.plan.mass
    with stage(ground, "how late silence is found", **thresholds) as children:
        await children.replicas("lateness")
        together = await _late_ms(children, groups)
        alone = await _late_ms(children, (mass,), first=sum(groups))
    late_ms = [late for stage in together.values() for late in stage]
    note = f"three stages of {len(groups)} groups of {max(groups)} that were heard in the same moment; one replica"
    worst = "the worst of three stages; `mass_failure` is off"
    return [
        Row("late beyond a silence deadline, p50", percentile(late_ms, 50), "ms", Target(3), said=_SAID, note=note),
        Row("late beyond a silence deadline, p99", percentile(late_ms, 99), "ms", Target(25), said=_SAID),
        Row(f"{mass} silent together, the first", max(map(min, alone.values())), "ms", Target(25), note=worst),
        Row(f"{mass} silent together, the last", max(map(max, alone.values())), "ms", Target(250)),
    ]


async def _late_ms(children: Processes, groups: Sequence[int], first: int = 0) -> dict[str, list[float]]:
    """Let groups be heard once each, then wait until all are dead; how late each stage of each was."""
    keys, raw = children.keys, children.raw
    heard_ms: dict[str, int] = {}
    begin = raw.call("XADD", keys.events, "*", "type", "benchmark")
    for size in groups:
        ids = [id_of(first + len(heard_ms) + n) for n in range(size)]
        entries = raw.call_all([packed("XADD", keys.heartbeats, "*", "id", one) for one in ids])
        heard_ms.update(zip(ids, map(_ms, entries), strict=True))
        await anyio.sleep(GROUPS_APART_S)

    async def all_dead() -> bool:
        return int(raw.call("ZCARD", keys.state(HealthState.DEAD))) >= first + len(heard_ms)

    await until(all_dead, "the silent ones are dead")
    late_ms: defaultdict[str, list[float]] = defaultdict(list)
    for entry, fields in raw.call("XRANGE", keys.events, begin, "+"):
        event = text_map(fields)
        if event.get("rule") == "silence":
            silent_ms = (STAGES.index(HealthState(event["to"])) + 1) * children.ground.plan.stage_s * 1000
            late_ms[event["to"]].append(_ms(entry) - heard_ms[event["id"]] - silent_ms)
    return late_ms


def _ms(entry: bytes) -> int:
    return int(entry.partition(b"-")[0])
