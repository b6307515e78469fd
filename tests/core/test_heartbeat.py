"""What a heartbeat says, read from any form, and what is dropped or refused."""

from __future__ import annotations

import math
from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.component import Status
from healthmon.core.heartbeat import METRICS_MAX, TEXT_MAX, Unreadable, read_heartbeat, read_id
from healthmon.store.codec import decode_heartbeats


def test_the_id_alone_is_a_whole_heartbeat() -> None:
    beat = read_heartbeat({"id": "j_prime"})
    assert (beat.id, beat.status, beat.interval_ms, beat.metrics, beat.dropped) == ("j_prime", Status.OK, 0, {}, ())


def test_every_documented_name_is_read_from_text() -> None:
    beat = read_heartbeat(
        {
            "id": "a",
            "status": "degraded",
            "msg": "disk slow",
            "interval": "10",
            "role": "db",
            "host": "h1",
            "pid": "17",
            "version": "1.2",
            "incarnation": "i-9",
            "ts": "1795460000.25",
            "latency_ms": "450",
            "memory_mb": "512",
            "cpu_percent": "45.5",
            "error_rate": "0",
            "request_rate": "12",
            "active_connections": "5",
            "m.queue": "3",
        }
    )
    assert (beat.status, beat.msg, beat.interval_ms, beat.role) == (Status.DEGRADED, "disk slow", 10_000, "db")
    assert (beat.host, beat.pid, beat.version, beat.incarnation) == ("h1", "17", "1.2", "i-9")
    assert beat.sent_ms == 1_795_460_000_250
    assert beat.metrics == {
        "latency_ms": 450.0,
        "memory_mb": 512.0,
        "cpu_percent": 45.5,
        "error_rate": 0.0,
        "request_rate": 12.0,
        "active_connections": 5.0,
        "m.queue": 3.0,
    }
    assert not beat.dropped


@pytest.mark.parametrize("status", list(Status))
def test_each_status_is_read(status: Status) -> None:
    assert read_heartbeat({"id": "a", "status": status.value}).status is status


@pytest.mark.parametrize(("value", "reason"), [(None, "no_id"), ("", "no_id"), (".a", "bad_id"), (7, "bad_id")])
def test_a_missing_or_bad_id_is_refused_with_a_counted_reason(value: object, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_id(value)
    assert refused.value.reason == reason
    assert "\n" not in refused.value.detail


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "fast", "", None, True, [1], math.nan, math.inf, 10**400])
def test_a_metric_that_is_no_finite_number_is_dropped_and_the_heartbeat_counts(value: object) -> None:
    beat = read_heartbeat({"id": "a", "error_rate": value, "latency_ms": 5})
    assert beat.metrics == {"latency_ms": 5.0}
    assert len(beat.dropped) == 1
    assert "error_rate" in beat.dropped[0]


def test_more_than_64_metrics_are_dropped_one_by_one() -> None:
    beat = read_heartbeat({"id": "a", **{f"m.{n}": n for n in range(METRICS_MAX + 2)}})
    assert len(beat.metrics) == METRICS_MAX
    assert beat.dropped == tuple(f"'m.{n}' is beyond the 64 metrics of a heartbeat" for n in (64, 65))


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "soon", 86_400 * 366, None])
def test_an_interval_that_is_no_time_is_dropped_and_the_heartbeat_counts(interval: object) -> None:
    beat = read_heartbeat({"id": "a", "interval": interval})
    assert beat.interval_ms == 0
    assert len(beat.dropped) == 1


def test_the_shortest_interval_is_a_millisecond() -> None:
    assert read_heartbeat({"id": "a", "interval": 1e-9}).interval_ms == 1


def test_an_unknown_status_is_dropped_and_counts_as_ok() -> None:
    beat = read_heartbeat({"id": "a", "status": "sideways"})
    assert beat.status is Status.OK
    assert "ok, starting, degraded, failing, stopping" in beat.dropped[0]


def test_a_strange_ts_only_means_that_no_skew_is_known() -> None:
    assert [read_heartbeat({"id": "a", "ts": ts}).sent_ms for ts in ("x", "-5", "1e30", "nan")] == [0, 0, 0, 0]


def test_unknown_names_are_for_later_versions_and_left_alone() -> None:
    assert read_heartbeat({"id": "a", "colour": "red", "m": 5}).dropped == ()


def test_texts_are_one_line_and_bounded() -> None:
    beat = read_heartbeat({"id": "a", "msg": "a\nb\x1b[31m" + "x" * 600, "host": 17})
    assert len(beat.msg) == TEXT_MAX
    assert beat.msg.startswith("a�b�[31m")
    assert beat.host == "17"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
NAMES = st.sampled_from(
    ("id", "status", "msg", "interval", "ts", "role", "latency_ms", "error_rate", "m.x", "m.", "incarnation", "?")
)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_whatever_is_said_is_read_or_refused(said: dict[str, object]) -> None:
    with suppress(Unreadable):
        beat = read_heartbeat({"id": "a", **said})
        assert all(math.isfinite(value) for value in beat.metrics.values())
        assert beat.interval_ms >= 0
        assert (beat.msg + beat.role + beat.incarnation + "".join(beat.dropped)).isprintable()


@given(st.lists(st.binary(max_size=12) | st.sampled_from((b"id", b"a", b"p", b"b", b"interval")), max_size=6))
def test_whatever_bytes_an_entry_carries_are_read_or_refused(fields: list[bytes]) -> None:
    _decodes_or_refuses(fields if len(fields) % 2 == 0 else fields[:-1])


@given(VALUES, st.sampled_from((b"p", b"b")))
def test_whatever_is_packed_is_read_or_refused(value: object, name: bytes) -> None:
    _decodes_or_refuses([b"id", b"a", name, msgpack.packb(value)])


def _decodes_or_refuses(fields: list[bytes]) -> None:
    reason = "read"
    try:
        decode_heartbeats(fields)
    except Unreadable as error:
        reason = error.reason
    assert reason in ("read", "no_id", "bad_id", "not_a_map", "too_large")


def test_all_forms_say_the_same() -> None:
    said = {"status": "degraded", "interval": 2, "latency_ms": 450.0, "m.x": 1.0, "msg": "slow"}
    flat = [b"id", b"a", *(str(one).encode() for pair in said.items() for one in pair)]
    packed = [b"id", b"a", b"p", msgpack.packb(said)]
    batch = [b"b", msgpack.packb([{"id": "a", **said}])]
    assert decode_heartbeats(flat) == decode_heartbeats(packed) == decode_heartbeats(batch)
