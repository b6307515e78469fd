"""What a replica pays to read and fold a heartbeat, beside a bare drain of the same entries into a dict.

The entries are in the stream beforehand. Ours is the way of a replica: XREAD by `Tail`, fold, and a decision for
whoever is due. What is counted is the processor time of this process, not the server's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgpack

from healthmon import clock
from healthmon.bench.figures import Row, Side, Target, take_turns
from healthmon.bench.ground import INTERVAL_S, Ground, beat_of, packed_heartbeat, plain_heartbeat
from healthmon.bench.raw import Raw, packed
from healthmon.core.decide import decide
from healthmon.core.policy import Defaults
from healthmon.core.table import Table
from healthmon.store.client import open_client
from healthmon.store.codec import Wire
from healthmon.store.keys import Keys
from healthmon.store.streams import COUNT, Tail

COMPONENTS: Final = 1000
US: Final = 1e6
_DRAIN: Final = "a bare hiredis drain into a dict"


@dataclass(frozen=True, slots=True)
class _Form:
    """How the heartbeats are written, and whether each brings other metrics."""

    plain: bool = False
    changing: bool = False


async def measure(ground: Ground) -> list[Row]:
    """Repeated bytes and changing metrics, packed and in plain text, and a table of another size."""
    rows: list[Row] = []
    with ground.section("reading and folding heartbeats") as (keys, raw):
        rows += await _repeated(ground, keys, raw)
    with ground.section("reading and folding plain text") as (keys, raw):
        floor, ours, _ = await _compare(ground, keys, raw, _Form(plain=True))
        rows.append(Row("  the same in plain text fields", ours, "us", Target(1.5), floor, _DRAIN))
    with ground.section("reading, folding and judging changed metrics") as (keys, raw):
        floor, ours, _ = await _compare(ground, keys, raw, _Form(changing=True))
        note = "latencies of 10 to 150 ms, most of them above `good`; the floor decodes nothing"
        rows.append(Row("every heartbeat's metrics changed and judged", ours, "us", Target(3), floor, _DRAIN, "", note))
    with ground.section("reading, folding and judging changed plain text") as (keys, raw):
        floor, ours, _ = await _compare(ground, keys, raw, _Form(plain=True, changing=True))
        rows.append(Row("  the same in plain text fields", ours, "us", Target(3), floor, _DRAIN))
    many = f"{ground.plan.fleet // 1000}k"
    with ground.section(f"reading and folding heartbeats of {many} components") as (keys, raw):
        large, small = await _sizes(ground, keys, raw)
        note = "components beat in turn, so that each is met with a cold cache"
        against = f"with {COMPONENTS} components"
        rows.append(Row(f"cost per heartbeat, {many} components", large, "us", Target(3), small, against, "", note))
    return rows


async def _repeated(ground: Ground, keys: Keys, raw: Raw) -> list[Row]:
    floor, ours, plain = await _compare(ground, keys, raw, _Form())
    note = "ours is asyncio and keeps order, gaps, marks and deadlines; the drain is one blocking socket and a dict"
    beside = "asyncio with hiredis and its own callbacks, each payload unpacked when it is read"
    return [
        Row(f"read + fold, {COMPONENTS} components", ours, "us", Target(1.5), floor, _DRAIN, "< 1 ms", note),
        Row(
            "  the same beside redis-py",
            ours,
            "us",
            Target(1 / 3, "<= 1/3 x"),
            plain,
            "redis-py as it comes",
            "",
            beside,
        ),
    ]


async def _compare(ground: Ground, keys: Keys, raw: Raw, form: _Form) -> list[float]:
    """Microseconds a heartbeat: the bare drain, ours, and redis-py as it comes, for the packed form."""
    count = _preload(raw, keys, COMPONENTS, ground.plan.read, form)
    reader = await _Replica.meet(ground.url, keys)
    client = open_client(ground.url, name="bench", dedicated=True)
    sides: list[Side] = [
        partial(_drained, raw, keys, count),
        partial(reader.read_again, count),
        partial(_read_plainly, client, keys, count),
    ]
    try:
        return await take_turns(sides, ground.plan.rounds)
    finally:
        await reader.tail.close()
        await client.aclose()


async def _sizes(ground: Ground, keys: Keys, raw: Raw) -> tuple[float, float]:
    """Microseconds a heartbeat in a large table, and in one of a thousand."""
    few = Keys(f"{keys.prefix}:few")
    counts = [
        _preload(raw, few, COMPONENTS, ground.plan.read, _Form()),
        _preload(raw, keys, ground.plan.fleet, 2 * ground.plan.fleet, _Form()),
    ]
    readers = [await _Replica.meet(ground.url, few), await _Replica.meet(ground.url, keys)]
    sides: list[Side] = [partial(reader.read_again, count) for reader, count in zip(readers, counts, strict=True)]
    try:
        small, large = await take_turns(sides, ground.plan.rounds)
    finally:
        for reader in readers:
            await reader.tail.close()
    return large, small


def _preload(raw: Raw, keys: Keys, components: int, beats: int, form: _Form) -> int:
    """Heartbeats of components that beat every ten seconds, with ids that show it, up to now. How many."""
    begin_ms = raw.now_ms() - round(math.ceil(beats / components) * INTERVAL_S * 1000)
    raw.call_all(list(_heartbeats(keys, components, beats, begin_ms, form)))
    return beats


def _heartbeats(keys: Keys, components: int, beats: int, begin_ms: int, form: _Form) -> Iterator[bytes]:
    apart_ms = INTERVAL_S * 1000 / components
    last_ms = sequence = 0
    for n in range(beats):
        ms = begin_ms + int(n * apart_ms)
        sequence = sequence + 1 if ms == last_ms else 0
        last_ms = ms
        metrics = (10.0 + n * 37 % 1400 / 10, 5.0 + n * 13 % 550 / 10) if form.changing else (12.5, 31.0)
        beat = beat_of(n % components, *metrics)
        made = plain_heartbeat if form.plain else packed_heartbeat
        yield made(keys.heartbeats, beat, f"{ms}-{sequence}")


@dataclass
class _Replica:
    """A table and the tail that fills it, as every replica has them."""

    tail: Tail
    table: Table

    @classmethod
    async def meet(cls, url: str, keys: Keys) -> _Replica:
        """Read the stream once, so that everybody is known and healthy."""
        replica = cls(Tail(url, keys, "bench"), Table(Defaults(), Wire()))
        await replica.tail.connect()
        await replica.read_again(0)
        return replica

    async def read_again(self, count: int) -> float:
        """Read the whole stream from its beginning; the microseconds of processor time a heartbeat."""
        self.tail.at["heartbeats"] = b"0-0"
        began_s = clock.cpu_s()
        while read := await self.tail.read(("heartbeats", "control")):
            self.table.fold(read.heartbeats)
            moment = self.table.moment(self.table.seen_ms)
            for component in self.table.due(moment):
                for event in decide(component, moment, self.table.defaults):
                    self.table.apply(event, moment)
        return (clock.cpu_s() - began_s) * US / max(1, count)


async def _drained(raw: Raw, keys: Keys, count: int) -> float:
    """The floor: the newest entry of each component, in a dict."""
    newest: dict[bytes, Any] = {}
    at = b"0-0"
    began_s = clock.cpu_s()
    while True:
        raw.send(packed("XREAD", "COUNT", COUNT, "STREAMS", keys.heartbeats, at))
        reply = raw.read()
        if not reply:
            return (clock.cpu_s() - began_s) * US / count
        entries = reply[0][1]
        for entry in entries:
            newest[entry[1][1]] = entry
        at = entries[-1][0]


async def _read_plainly(client: Any, keys: Keys, count: int) -> float:  # noqa: ANN401  # a client of redis-py's own
    """The way that comes to mind first: `xread`, and each payload unpacked into numbers."""
    newest: dict[bytes, Any] = {}
    at: bytes = b"0-0"
    began_s = clock.cpu_s()
    while True:
        reply = await client.xread({keys.heartbeats: at}, count=COUNT)
        if not reply:
            return (clock.cpu_s() - began_s) * US / count
        entries = reply[0][1]
        for entry_id, fields in entries:
            newest[fields[b"id"]] = entry_id, msgpack.unpackb(fields.get(b"p", b"\x80"))
        at = entries[-1][0]
