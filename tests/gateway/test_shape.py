from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.heartbeat import read_heartbeat
from healthmon.core.refusal import Refusal
from healthmon.gateway.shape import said_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def test_the_specification_s_names_become_those_of_the_stream() -> None:
    said, dropped = said_of(
        {
            "type": "heartbeat",
            "component_id": "j_prime",
            "timestamp": 1700000000.5,
            "status": "degraded",
            "msg": "slow",
            "role": "jarvis_prime",
            "metrics": {"memory_mb": 456.2, "sessions": 3, "latency_ms": None, "custom": {"depth": 7}, "timestamp": 1},
            "surplus": {"deep": [1]},
        }
    )
    assert said == {
        "id": "j_prime",
        "ts": 1700000000.5,
        "status": "degraded",
        "msg": "slow",
        "role": "jarvis_prime",
        "memory_mb": 456.2,
        "m.sessions": 3,
        "m.depth": 7,
    }
    assert dropped == ()


def test_the_names_of_the_stream_may_be_used_as_they_are() -> None:
    said, _ = said_of({"id": "a", "ts": 5, "interval": 10, "pid": 7, "cpu_percent": 3.5, "m.depth": 2, "p": "x"})
    assert said == {"id": "a", "ts": 5, "interval": 10, "pid": 7, "cpu_percent": 3.5, "m.depth": 2}


def test_what_is_of_no_use_is_told_and_the_heartbeat_counts() -> None:
    said, dropped = said_of({"id": "a", "status": "fine", "metrics": {"error_rate": math.nan, "x": [1], "y": True}})
    assert len(dropped) == 4
    assert set(said) == {"id", "status", "error_rate", "m.x", "m.y"}, "it goes along, so that the monitor notes it"


@pytest.mark.parametrize(
    ("beat", "status", "code"),
    [
        (None, 422, "not_a_map"),
        ([], 422, "not_a_map"),
        ({}, 422, "no_id"),
        ({"component_id": ""}, 422, "no_id"),
        ({"component_id": 7}, 422, "bad_id"),
        ({"component_id": "a b"}, 422, "bad_id"),
        ({"component_id": "x" * 129}, 422, "bad_id"),
        ({"id": "a", "metrics": {f"{n:0128}": 1.5 for n in range(150)}}, 413, "too_large"),
    ],
)
def test_what_is_no_heartbeat_is_refused(beat: Any, status: int, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        said_of(beat)
    assert (refused.value.status, refused.value.code) == (status, code)


def test_long_texts_are_cut() -> None:
    said, _ = said_of({"id": "a", "msg": "ü" * 5000})
    assert said["msg"] == "ü" * 512


@given(st.dictionaries(st.sampled_from(["component_id", "metrics", "status", "interval", "ts", "msg"]), JSON) | JSON)
def test_whatever_is_sent_is_a_heartbeat_that_can_be_read_or_a_refusal(beat: Any) -> None:
    try:
        said, dropped = said_of(beat)
    except Refusal:
        return
    assert read_heartbeat(said).dropped == dropped
