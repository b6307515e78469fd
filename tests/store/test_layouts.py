"""The metrics of an entry whose other bytes are known, read without reading the rest."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.heartbeat import Heartbeat, Unreadable
from healthmon.store.codec import decode_heartbeats, pack_heartbeat
from healthmon.store.layouts import layout_of

WHO = {"role": "api", "pid": 4121, "interval": 10.0}
METRICS = {"latency_ms": 12.5, "m.queue": 3.0}
NUMBERS = st.one_of(st.floats(), st.integers(-(2**63), 2**64 - 1), st.booleans(), st.text(max_size=8), st.none())


def packed(said: dict[str, Any], component_id: str = "a") -> list[bytes]:
    return [b"id", component_id.encode(), b"p", pack_heartbeat(said)]


def plain(said: dict[str, Any], component_id: str = "a") -> list[bytes]:
    return [text.encode() for pair in {"id": component_id, **said}.items() for text in map(str, pair)]


def read(fields: list[bytes]) -> Heartbeat:
    try:
        (beat,) = decode_heartbeats(fields)
    except Unreadable:
        return Heartbeat("unreadable")
    assert isinstance(beat, Heartbeat)
    return beat


@pytest.mark.parametrize("form", [packed, plain])
def test_the_next_values_are_read_at_their_places(form: Any) -> None:
    known = form({**WHO, **METRICS})
    layout = layout_of(known)
    assert layout is not None
    assert layout.names == ("latency_ms", "m.queue")
    assert layout.values(form({**WHO, "latency_ms": 14.25, "m.queue": 9.0}), known) == (14.25, 9.0)


@pytest.mark.parametrize("form", [packed, plain])
@pytest.mark.parametrize(
    "said",
    [
        {**WHO, "pid": 4122, **METRICS},
        {**WHO, "status": "failing", **METRICS},
        {**WHO, "latency_ms": 12.5, "m.other": 3.0},
        {**WHO, "m.queue": 3.0, "latency_ms": 12.5},
        {**WHO, "latency_ms": 12.5},
        {**WHO, **METRICS, "m.more": 1.0},
        {**WHO, **METRICS, "msg": "disk slow"},
    ],
)
def test_whatever_else_changes_is_left_to_the_long_way(form: Any, said: dict[str, Any]) -> None:
    known = form({**WHO, **METRICS})
    layout = layout_of(known)
    assert layout is not None
    assert layout.values(form(said), known) is None


@pytest.mark.parametrize(
    "fields",
    [
        packed(WHO),
        plain(WHO),
        packed({**METRICS, **WHO}),
        plain({**METRICS, **WHO}),
        [b"role", b"api", *packed(METRICS)],
        [*plain(METRICS), b"latency_ms", b"9"],
        [*plain(METRICS), b"m.stray"],
        plain({"msg": "x" * 16_000, **METRICS}),
        packed({**{f"note{n}": n for n in range(16)}, **METRICS}),
    ],
)
def test_an_entry_without_metrics_at_its_end_has_no_layout(fields: list[bytes]) -> None:
    assert layout_of(fields) is None


def test_an_entry_of_another_component_or_form_is_not_mistaken_for_this_one() -> None:
    known = packed({**WHO, **METRICS})
    layout = layout_of(known)
    assert layout is not None
    said = pack_heartbeat({**WHO, **METRICS})
    assert layout.values([b"id", b"a", b"msg", said], known) is None
    assert layout.values([b"role", b"a", b"p", said], known) is None
    assert layout.values([b"id", b"a", b"p", said, b"msg", b"x"], known) is None


@pytest.mark.parametrize("form", [packed, plain])
@given(NUMBERS, NUMBERS)
def test_what_a_layout_reads_is_what_the_whole_heartbeat_says(form: Any, latency: object, queue: object) -> None:
    known = form({**WHO, **METRICS})
    layout = layout_of(known)
    assert layout is not None
    fields = form({**WHO, "latency_ms": latency, "m.queue": queue})
    values = layout.values(fields, known)
    if values is not None and all(map(math.isfinite, values)):
        assert dict(zip(layout.names, values, strict=True)) == read(fields).metrics


@given(st.binary(max_size=40))
def test_any_bytes_may_come_in_the_place_of_the_metrics(data: bytes) -> None:
    known = packed({**WHO, **METRICS})
    layout = layout_of(known)
    assert layout is not None
    payload = pack_heartbeat({**WHO, **METRICS})
    head = payload[: -len(msgpack.packb(METRICS)) + 1]
    layout.values([b"id", b"a", b"p", head + data], known)
