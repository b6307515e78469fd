"""What sending a heartbeat costs the sender: the agent's way, beside the floor and beside redis-py."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from healthmon import clock
from healthmon.agent.wire import Wire
from healthmon.bench.figures import Row, Side, Target, take_turns
from healthmon.bench.ground import Ground, beat_of, packed_heartbeat
from healthmon.bench.raw import Raw
from healthmon.store.codec import pack_heartbeat
from healthmon.store.founding import HEARTBEATS_MAX
from healthmon.store.keys import Keys
from healthmon.store.plain import open_plain

TOGETHER: Final = 100
US: Final = 1e6


async def measure(ground: Ground) -> list[Row]:
    """A hundred heartbeats at once, and one."""
    with ground.section("sending heartbeats") as (keys, raw):
        client, wire = open_plain(ground.url), Wire(ground.url, keys.prefix)
        beats = [beat_of(n) for n in range(TOGETHER)]
        rounds, many = ground.plan.rounds, max(1, ground.plan.publish // TOGETHER)
        try:
            together: list[Side] = [
                partial(_raw_together, raw, keys, beats, many),
                partial(_ours, wire, beats, many),
            ]
            one: list[Side] = [
                partial(_redis_py, client, keys, beats[0], ground.plan.publish),
                partial(_ours, wire, beats[:1], ground.plan.publish),
            ]
            floor, batch = await take_turns(together, rounds)
            bare, single = await take_turns(one, rounds)
        finally:
            wire.close()
            client.close()
    note = "both pack the payloads; ours shares one stream entry, the floor pipelines a hundred"
    return [
        Row(f"publish {TOGETHER} at once", batch, "us", Target(1.6), floor, "hiredis, pipelined", "", note),
        Row("publish 1", single, "us", Target(1.25), bare, "a bare redis-py call", "", "both block until the answer"),
    ]


async def _ours(wire: Wire, beats: Sequence[dict[str, Any]], times: int) -> float:
    began_s = clock.cpu_s()
    for _ in range(times):
        wire.append(beats)
    return (clock.cpu_s() - began_s) * US / (times * len(beats))


async def _raw_together(raw: Raw, keys: Keys, beats: Sequence[dict[str, Any]], times: int) -> float:
    began_s = clock.cpu_s()
    for _ in range(times):
        raw.call_all([packed_heartbeat(keys.heartbeats, beat) for beat in beats])
    return (clock.cpu_s() - began_s) * US / (times * len(beats))


async def _redis_py(client: Any, keys: Keys, beat: dict[str, Any], times: int) -> float:  # noqa: ANN401  # redis-py's own
    began_s = clock.cpu_s()
    for _ in range(times):
        said = dict(beat)
        fields = {"id": said.pop("id"), "p": pack_heartbeat(said)}
        client.xadd(keys.heartbeats, fields, maxlen=HEARTBEATS_MAX, approximate=True)
    return (clock.cpu_s() - began_s) * US / times
