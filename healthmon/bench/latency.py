"""How long it takes from a heartbeat that changes a state until a subscriber holds the alert.

Through one leading replica, and in turns with it through a floor of raw sockets in a process of its own: XADD, blocked
XREAD, a fenced script that publishes, a subscriber. The heartbeats keep further apart than `coalesce`, as do those of
a component that is well.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final

import anyio

from healthmon import clock
from healthmon.bench.figures import Row, Target, percentile
from healthmon.bench.ground import Ground, beat_of, packed_heartbeat
from healthmon.bench.processes import stage
from healthmon.bench.raw import Raw
from healthmon.store.keys import Keys

COMPONENTS: Final = 100
APART_S: Final = 0.06
GOOD_MS, BAD_MS = 12.5, 450.0
WARM_UP: Final = 5


async def measure(ground: Ground) -> list[Row]:
    """The median and the 99th percentile of both."""
    with stage(ground, "from a heartbeat to its alert", recovery_heartbeats=1) as children:
        keys, raw = children.keys, children.raw
        await children.replicas("end-to-end")
        ours, floor = _Way(ground.url, keys), _Way(ground.url, Keys(f"{keys.prefix}:floor"))
        with closing(ours), closing(floor):
            for n in range(COMPONENTS):
                raw.call_all([packed_heartbeat(keys.heartbeats, beat_of(n, GOOD_MS))])
            await anyio.sleep(1)
            alert = ours.alert(0, BAD_MS)
            children.floor("floor", "follow", prefix=floor.keys.prefix, alert=alert.decode())
            took_ms = await _in_turns(ours, floor, ground.plan.changes)
    note = f"one leading replica; {ground.plan.changes} changes more than {APART_S * 1000:g} ms apart, in turns"
    return [
        Row(
            f"heartbeat that changes the state -> alert, {name}",
            percentile(took_ms[0], percent),
            "ms",
            Target(most),
            percentile(took_ms[1], percent),
            "raw sockets",
            said,
            note if percent == 50 else "",
        )
        for name, percent, most, said in (("p50", 50, 2.2, "0.8 ms"), ("p99", 99, 1.5, "3.2 ms"))
    ]


async def _in_turns(ours: _Way, floor: _Way, changes: int) -> tuple[list[float], list[float]]:
    took_ms: tuple[list[float], list[float]] = ([], [])
    for n in range(changes + WARM_UP):
        # Each component in its turn goes bad, and the next time round good again: component 0 is bad already.
        number, turn = (n + 1) % COMPONENTS, (n + 1) // COMPONENTS
        for way, took in zip((floor, ours), took_ms[::-1], strict=True):
            await anyio.sleep(APART_S / 2)
            began_s = clock.monotonic_s()
            way.alert(number, GOOD_MS if turn % 2 else BAD_MS)
            if n >= WARM_UP:
                took.append((clock.monotonic_s() - began_s) * 1000)
    return took_ms


class _Way:
    """A sender and a subscriber, each on a raw socket."""

    def __init__(self, url: str, keys: Keys) -> None:
        self.keys = keys
        self._sender, self._subscriber = Raw(url), Raw(url)
        self._subscriber.call("SUBSCRIBE", keys.alerts)

    def alert(self, number: int, latency_ms: float) -> bytes:
        """Send the heartbeat and wait for the alert that it causes."""
        self._sender.send(packed_heartbeat(self.keys.heartbeats, beat_of(number, latency_ms)))
        alert: bytes = self._subscriber.read()[2]
        self._sender.read()
        return alert

    def close(self) -> None:
        """Close both."""
        self._sender.close()
        self._subscriber.close()
