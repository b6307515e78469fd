"""Hypothesis strategies: streams as a fleet with bugs would fill them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from healthmon.core.marks import Entry
from healthmon.store.codec import pack_batch, pack_heartbeat
from tests.core.shard import START_MS, entry

IDS = ("a", "b", "c")
GOOD: dict[str, Any] = {"latency_ms": 10.0, "cpu_percent": 20.0}
# Repetitions are what the hot path lives on: most heartbeats of a real stream say what the one before said.
SAYINGS: list[dict[str, Any]] = [
    {},
    {},
    {"interval": 1},
    {"interval": 1, **GOOD},
    {"interval": 1, **GOOD},
    {"interval": 1, "incarnation": "i1", **GOOD},
    {"interval": 1, "incarnation": "i1", "latency_ms": 60.5, "cpu_percent": 20.0},
    {"interval": 1, "incarnation": "i1", "latency_ms": 450, "cpu_percent": 20.0},
    {"interval": 1, "incarnation": "i2", **GOOD},
    {"interval": 0.4, **GOOD},
    {"interval": 30},
    {"status": "starting"},
    {"status": "degraded", "msg": "disk slow"},
    {"status": "failing", "interval": 1},
    {"status": "stopping"},
    {"latency_ms": 5000.0},
    {"ts": 1_795_460_000.5},
    {"m.queue": 3, "role": "worker"},
]
WRONG: list[dict[str, Any]] = [
    {"latency_ms": math.nan},
    {"latency_ms": "fast", "interval": 1},
    {"status": "sideways"},
    {"interval": -1, **GOOD},
]
# What the metrics of one and the same component read like from heartbeat to heartbeat, and what a bug makes of them.
READINGS: tuple[object, ...] = (
    *(10.0, 10.5, 11, 49.9, 50, 50.1, 60, 199.9, 200, 201, 450, 999, 1000, 1001, 5000.0, -1, 0, 1e-9),
    *(math.nan, math.inf, True, None, "12", "x", 1e308, 2**63),
)
STEPS_MS = (0, 0, 1, 100, 400, 700, 1000, 1000, 1000, 1600, 3100, 9000, 40_000)


def _entry_of(form: str, who: str, other: str, said: dict[str, Any], more: dict[str, Any]) -> list[str | bytes]:
    pairs = [text for name, value in said.items() for text in (name, str(value))]
    forms: dict[str, list[str | bytes]] = {
        "flat": ["id", who, *pairs],
        "late id": [*pairs, "id", who],
        "packed": ["id", who, "p", pack_heartbeat(said)],
        "batch": ["b", pack_batch([{"id": who, **said}, {"id": other, **more}])],
        "half bad batch": ["b", pack_batch([{"id": who, **said}, {"id": "/"}, {"id": other, **more}])],
        "canary": ["canary", "mon-a"],
        "no id": ["role", who, "p", pack_heartbeat(said)],
        "other name": ["id", who, "msg", pack_heartbeat(said)],
        "bad id": ["id", f"../{who}"],
        "no map": ["id", who, "p", b"\xc1 no map"],
        "too large": ["id", who, "msg", "x" * 17_000],
    }
    return forms[form]


FORMS = ("flat", "flat", "flat", "packed", "packed", "packed", "batch", "late id", "canary")
BAD_FORMS = ("no id", "other name", "bad id", "no map", "too large", "half bad batch")


def stream_of(drawn: bytes, steps_ms: tuple[int, ...] = STEPS_MS) -> list[Entry]:
    """A stream of heartbeats of three components: mostly the same again, in any form, with gaps and bad entries.

    Three bytes make an entry, so that hypothesis draws and shrinks one value; noughts are the simplest entries.
    """
    at_ms, seq, entries = START_MS, 0, list[Entry]()
    said = dict.fromkeys(IDS, SAYINGS[0])
    form = dict.fromkeys(IDS, FORMS[0])
    for who_and_step, kind, choice in zip(drawn[::3], drawn[1::3], drawn[2::3], strict=False):
        who = IDS[who_and_step % len(IDS)]
        step_ms = steps_ms[who_and_step // len(IDS) % len(steps_ms)]
        at_ms, seq = at_ms + step_ms, 0 if step_ms else seq + 1
        saying = (SAYINGS + WRONG)[choice % (len(SAYINGS) + len(WRONG))]
        if kind >= 176:
            said[who], form[who] = saying, FORMS[kind % len(FORMS)]
        elif kind >= 64 and "latency_ms" in said[who]:
            said[who] = {**said[who], "latency_ms": READINGS[(choice if kind >= 144 else choice % 6) % len(READINGS)]}
        used = BAD_FORMS[choice % len(BAD_FORMS)] if 160 <= kind < 176 else form[who]
        other = IDS[choice % len(IDS)]
        entries.append(entry(at_ms, *_entry_of(used, who, other, said[who], saying), seq=seq))
    return entries


def slices(entries: list[Entry], cuts: bytes) -> list[list[Entry]]:
    """The stream cut at these places."""
    ends = sorted({cut % (len(entries) + 1) for cut in cuts} | {0, len(entries)})
    return [entries[start:end] for start, end in pairwise(ends)]


STREAMS = st.binary(min_size=30, max_size=180).map(stream_of)
CUTS = st.binary(max_size=10)
