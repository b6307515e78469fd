"""What a replica costs in processor time: at rest, and with a thousand heartbeats a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio

from healthmon import clock
from healthmon.bench.figures import Row, Target
from healthmon.bench.ground import INTERVAL_S, Ground, beat_of, packed_heartbeat
from healthmon.bench.processes import Processes, stage
from healthmon.bench.raw import Raw
from healthmon.store.keys import Keys

QUIET: Final = 10  # components
BUSY: Final = 1000  # components, and heartbeats a second
TICK_S: Final = 0.01
REPLICAS: Final = ("leader", "standby")


async def measure(ground: Ground) -> list[Row]:
    """The leader and the first standby at rest, beside loops that wake as often, and the leader under load."""
    plan = ground.plan
    with stage(ground, "replicas at rest") as children:
        keys, raw = children.keys, children.raw
        await children.replicas(REPLICAS[0])
        await children.replicas(REPLICAS[1])
        await _load(keys, raw, QUIET / INTERVAL_S, QUIET, plan.warm_up_s)
        rest = await _used(children, REPLICAS, lambda: _load(keys, raw, QUIET / INTERVAL_S, QUIET, plan.rest_s))
        for name in REPLICAS:
            children.floor(f"floor of {name}", "pace", per_second=max(1.0, rest[name].wakes_per_s))
        await anyio.sleep(1)
        floors = tuple(f"floor of {name}" for name in REPLICAS)
        paced = await _used(children, floors, lambda: anyio.sleep(plan.rest_s / 2))
    with stage(ground, f"{BUSY} heartbeats a second") as children:
        keys, raw = children.keys, children.raw
        await children.replicas(REPLICAS[0])
        await _load(keys, raw, BUSY, BUSY, plan.warm_up_s)
        load = await _used(children, REPLICAS[:1], lambda: _load(keys, raw, BUSY, BUSY, plan.load_s))
    return _rows(rest, paced, load["leader"])


def _rows(rest: dict[str, _Usage], paced: dict[str, _Usage], load: _Usage) -> list[Row]:
    leader, standby = rest["leader"], rest["standby"]
    wakes = f"{leader.wakes_per_s:.0f} and {standby.wakes_per_s:.0f} wake-ups a second"
    beside = "an event loop that asks Redis once at each wake-up"
    probe = "the probe of the leader's life, 18 times a second from a thread, is in it"
    parsing = "0.08 % is below what parsing a thousand entries costs; checkpoints are in it"
    return [
        Row(f"{QUIET} components at {INTERVAL_S:g} s, leader", leader.percent, "%", Target(0.4), said="< 0.1 %"),
        Row(f"{QUIET} components at {INTERVAL_S:g} s, standby", standby.percent, "%", Target(0.7), note=probe),
        Row(
            "the leader at rest beside a raw loop",
            leader.percent,
            "%",
            Target(1.3),
            paced["floor of leader"].percent,
            "as many wake-ups",
            "",
            f"{wakes}; the other is {beside}",
        ),
        Row(f"{BUSY} heartbeats/s, leader", load.percent, "%", Target(1.5), said="0.08 %", note=parsing),
    ]


@dataclass(frozen=True, slots=True)
class _Usage:
    """What a process used: percent of one core, and how often a second it woke."""

    percent: float
    wakes_per_s: float


async def _used(
    children: Processes, names: tuple[str, ...], meanwhile: Callable[[], Awaitable[None]]
) -> dict[str, _Usage]:
    """What these processes use while something is done."""
    began_s = clock.monotonic_s()
    before = {name: (children.cpu_s(name), children.switches(name)) for name in names}
    await meanwhile()
    passed_s = clock.monotonic_s() - began_s
    return {
        name: _Usage((children.cpu_s(name) - cpu_s) / passed_s * 100, (children.switches(name) - switches) / passed_s)
        for name, (cpu_s, switches) in before.items()
    }


async def _load(keys: Keys, raw: Raw, per_second: float, components: int, seconds: float) -> None:
    """Heartbeats of components in turn, at a pace, for so long."""
    began_s, sent = clock.monotonic_s(), 0
    while (passed_s := clock.monotonic_s() - began_s) < seconds:
        due = int(passed_s * per_second) + 1
        raw.call_all([packed_heartbeat(keys.heartbeats, beat_of(n % components)) for n in range(sent, due)])
        sent = due
        await anyio.sleep(max(TICK_S, 1 / per_second))
