"""The wire format both ways: heartbeats in their forms, records and events as they are stored."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthmon.core.alert import rfc3339
from healthmon.core.attempts import Attempts
from healthmon.core.circuit import Breaker, CircuitState
from healthmon.core.component import Component, HealthState, Status
from healthmon.core.failures import Failures, Probes
from healthmon.core.heartbeat import CUSTOM, STANDARD_METRICS, Heartbeat, Unreadable
from healthmon.core.policy import Defaults, parse_policy
from healthmon.errors import Refused
from healthmon.store.codec import (
    decode_heartbeats,
    hash_fields,
    pack_batch,
    pack_heartbeat,
    read_component,
    read_time_ms,
    text_map,
)
from healthmon.store.memory import MEMORY, MEMORY_PARTS

DEFAULTS = Defaults()
FIRST = {"id": "a", "born": "1", "rev": "2", "state": "healthy"}
HEALED = (
    *("circuit_breaker_state", "breaker_failures", "breaker_retry_at", "restart_attempt", "restart_max"),
    *("restart_method", "next_restart_at", "restart_waits", "restart_rev", "restart_deadline", "self_recoveries"),
    *("depends_on", "held", "flapping", "failure"),
)
FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))

ids = st.from_regex(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
numbers = st.floats(-1e9, 1e9).map(lambda number: round(number, 3))
moments = st.integers(1, 4_000_000_000_000)
metrics = st.dictionaries(st.sampled_from([*STANDARD_METRICS, f"{CUSTOM}queue", f"{CUSTOM}é"]), numbers, max_size=4)
said = st.fixed_dictionaries(
    {"id": ids},
    optional={
        "status": st.sampled_from([status.value for status in Status]),
        "interval": st.floats(0.001, 1e6).map(lambda seconds: round(seconds, 3)),
        "ts": st.floats(1, 9e9).map(lambda seconds: round(seconds, 3)),
        **dict.fromkeys(("msg", "role", "host", "pid", "version", "incarnation"), texts),
    },
)


def flat(given_: dict[str, Any]) -> list[bytes]:
    """Plain fields, as redis-cli sends them."""
    return [str(part).encode() for pair in given_.items() for part in pair]


def only(read: list[Heartbeat | Unreadable]) -> Heartbeat:
    (beat,) = read
    assert isinstance(beat, Heartbeat), beat
    return beat


@FEW
@given(said, metrics)
def test_all_forms_of_a_heartbeat_say_the_same(given_: dict[str, Any], measured: dict[str, float]) -> None:
    whole = {**given_, **measured}
    rest = {name: value for name, value in whole.items() if name != "id"}
    beat = only(decode_heartbeats(flat(whole)))
    assert not beat.dropped
    assert (beat.id, beat.metrics) == (given_["id"], measured)
    assert only(decode_heartbeats([b"id", given_["id"].encode(), b"p", pack_heartbeat(rest)])) == beat
    assert only(decode_heartbeats([b"p", pack_heartbeat(whole)])) == beat
    assert decode_heartbeats([b"b", pack_batch([whole, whole])]) == [beat, beat]


def test_plain_fields_beat_the_packed_ones_and_the_last_of_the_same_name_counts() -> None:
    packed = pack_heartbeat({"id": "b", "msg": "packed", "host": "h"})
    beat = only(decode_heartbeats([b"id", b"x", b"p", packed, b"msg", b"one", b"msg", b"two", b"id", b"a"]))
    assert (beat.id, beat.msg, beat.host) == ("a", "two", "h")


@pytest.mark.parametrize("form", ["b", "p"])
def test_bytes_of_another_encoding_are_text_as_far_as_they_can_be_shown(form: str) -> None:
    said_ = {"id": b"a", "msg": b"caf\xe9\x00", "host": b"h\x1b[0m"}
    payload = msgpack.packb([said_] if form == "b" else said_)
    beat = only(decode_heartbeats([form.encode(), payload]))
    assert (beat.id, beat.msg, beat.host) == ("a", "caf��", "h�[0m")


def test_of_a_batch_the_good_are_read_and_the_bad_are_told_once_a_reason() -> None:
    batch = [{"id": "a"}, 1, {"id": "b"}, {"id": "../x"}, {}, {"id": "a"}, None, {"id": "?"}]
    read = decode_heartbeats([b"b", msgpack.packb(batch)])
    assert [beat.id for beat in read if isinstance(beat, Heartbeat)] == ["a", "b", "a"]
    refused = {one.reason: one.detail for one in read if isinstance(one, Unreadable)}
    assert refused.keys() == {"not_a_map", "bad_id", "no_id"}
    assert refused["bad_id"].startswith("2 of 8 in b: '../x' is no id")


junk = st.lists(
    st.one_of(
        st.sampled_from([b"id", b"p", b"b", b"status", b"latency_ms", b"m.x", b"interval", b"canary", b"a", b"ok"]),
        st.binary(max_size=24),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner),
            max_leaves=6,
        ).map(lambda value: bytes(msgpack.packb(value))),
    ),
    max_size=8,
)


@FEW
@given(junk)
def test_whatever_the_bytes_they_are_heartbeats_or_unreadable_with_a_reason(fields: list[bytes]) -> None:
    try:
        read = decode_heartbeats(fields)
    except Unreadable as error:
        read = [error]
    for one in read:
        if isinstance(one, Unreadable):
            assert one.reason in ("no_id", "bad_id", "not_a_map", "too_large")
            assert one.detail.isprintable()
        else:
            shown = (one.msg, one.role, one.host, one.pid, one.version, one.incarnation, *one.dropped)
            assert all(text.isprintable() and len(text) <= 512 for text in shown)
            json.dumps(one.metrics, allow_nan=False)


# -- records -----------------------------------------------------------------------------------------------------------

policies = st.sampled_from(
    [
        *("", '{"interval":2.5}', '{"role":"batch","score":{"m.queue":[10,50,100]}}', '{"expected":"always"}'),
        '{"restart":{"method":"exec","command":["run"]},"probe":{"url":"tcp://db:1"},"depends_on":["db","cache"]}',
    ]
)
counts = st.integers(0, 10**9)
breakers = st.builds(
    Breaker,
    state=st.sampled_from(CircuitState).map(lambda state: state.value),
    by=st.sampled_from(["", "probe", "words", "recorded", "restart"]),
    **dict.fromkeys(("generation", "reopened", "at_ms", "until_ms", "failures_base", "words_base"), counts),
)
attempts = st.builds(
    Attempts,
    **dict.fromkeys(
        ("done", "next_ms", "rev", "deadline_ms", "awaiting_ms", "claimed", "reported", "by_itself"), counts
    ),
    **dict.fromkeys(("waits", "incarnation", "method", "runner", "taken", "exited"), texts),
)
failures = st.builds(
    Failures,
    **dict.fromkeys(("words", "recorded", "total", "at_ms", "ok_ms"), counts),
    **dict.fromkeys(("source", "detail"), texts),
)
probes = st.builds(
    Probes,
    **dict.fromkeys(("at_ms", "ok_ms", "generation", "failed", "good"), counts),
    **dict.fromkeys(("outcome", "detail"), texts),
)


@st.composite
def components(draw: st.DrawFn) -> Component:
    policy = parse_policy(json.loads(draw(policies) or "{}"), DEFAULTS)
    heard_ms, interval_ms = draw(moments), draw(st.integers(0, 10**6))
    component = Component(draw(ids), draw(moments), policy, policy.limits(DEFAULTS, interval_ms))
    component.interval_ms, component.last_heartbeat_ms = interval_ms, heard_ms
    component.state = draw(st.sampled_from(HealthState))
    component.since_ms, component.rev, component.epoch = draw(moments), draw(st.integers(1, 99)), draw(moments)
    component.status, component.metrics = draw(st.sampled_from(Status)), draw(metrics)
    component.era, component.last_id = draw(st.integers(0, 3)), f"{heard_ms}-{draw(st.integers(0, 9))}".encode()
    component.control_folded = draw(st.sampled_from(["", "5-0"]))
    for name in ("reason", "previous", "incident", "role", "msg", "host", "pid", "version", "incarnation", "beat_role"):
        setattr(component, name, draw(texts))
    for name in ("total_heartbeats", "missed_heartbeats", "refused_heartbeats", "restart_count", "respawn_count"):
        setattr(component, name, draw(st.integers(0, 10**9)))
    component.respawns, component.respawns_told = tuple(draw(st.lists(moments, max_size=3))), draw(st.integers(0, 9))
    component.declared, component.rule = draw(st.booleans()), draw(texts)
    component.alive_since_ms, component.metrics_ms = draw(moments), draw(moments)
    component.starting_ms, component.skew_ms = draw(moments), draw(st.integers(-(10**6), 10**6))
    component.band, component.good_streak = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    component.breaker, component.restart = draw(breakers), draw(attempts)
    component.failures, component.probes = draw(failures), draw(probes)
    component.reports_folded = draw(st.sampled_from(["", "6-0"]))
    component.held, component.failure = draw(texts), draw(st.dictionaries(texts, texts | counts, max_size=2))
    component.watch_ms, component.silent_ms, component.flapping = (
        draw(moments),
        draw(moments),
        draw(st.just(0) | moments),
    )
    component.turns, component.down = tuple(draw(st.lists(moments, max_size=3))), tuple(draw(st.lists(ids, max_size=2)))
    component.acts, component.changes = (tuple(draw(st.lists(texts, max_size=2))) for _ in range(2))
    component.unwell_heartbeats, component.probed_latency = draw(counts), draw(st.booleans())
    return component


@FEW
@given(components())
def test_a_record_read_back_is_as_good_as_the_one_it_was_written_from(component: Component) -> None:
    stored = hash_fields(component)
    back = read_component(stored, DEFAULTS)
    mine, theirs = asdict(component), asdict(back)
    for derived in ("score", "worst_metric"):  # computed again from the metrics
        del mine[derived], theirs[derived]
    assert theirs == mine
    assert hash_fields(read_component(hash_fields(back), DEFAULTS)) == hash_fields(back)
    assert all(isinstance(value, str) for value in stored.values())


@FEW
@given(components(), st.sampled_from(MEMORY_PARTS))
def test_what_a_newer_version_remembers_beside_is_left_out(component: Component, part: str) -> None:
    stored = hash_fields(component)
    memory = json.loads(stored["memory"])
    memory[part] = {**memory.get(part, {}), "mood": {"of": "a newer version"}}
    newer = {**stored, "memory": json.dumps({**memory, "weather": [1, 2]})}
    assert hash_fields(read_component(newer, DEFAULTS)) == hash_fields(read_component(stored, DEFAULTS))


@FEW
@given(components(), st.sampled_from(MEMORY_PARTS))
def test_what_an_older_version_did_not_know_is_as_it_was_at_first(component: Component, part: str) -> None:
    stored = hash_fields(component)
    memory = json.loads(stored["memory"])
    memory.pop(part, None)
    back = read_component({**stored, "memory": json.dumps(memory)}, DEFAULTS)
    kind = type(getattr(component, part))
    assert getattr(back, part) == kind()


@pytest.mark.parametrize("part", MEMORY_PARTS)
def test_a_part_of_the_memory_of_another_kind_is_refused(part: str) -> None:
    (name, *_) = [one.name for one in fields(getattr(read_component(FIRST, DEFAULTS), part)) if one.type == "int"]
    with pytest.raises(ValueError, match="is of another kind"):
        read_component({**FIRST, "memory": json.dumps({part: {name: "x"}})}, DEFAULTS)


def test_the_memory_holds_nothing_that_is_as_it_was_at_first() -> None:
    assert hash_fields(read_component(FIRST, DEFAULTS))["memory"] == "{}"


def test_healing_is_told_in_words_and_times_for_people() -> None:
    policy = '{"restart":{"method":"agent","max_retries":3},"depends_on":["db","cache"]}'
    component = read_component({**FIRST, "state": "dead", "policy": policy}, DEFAULTS)
    component.breaker = Breaker("open", generation=1, until_ms=1_795_462_127_112, failures_base=5)
    component.restart = Attempts(done=2, next_ms=1_795_462_127_112, waits="mass failure", by_itself=4)
    component.failures, component.held = Failures(recorded=2, total=7), "by alice: disk"
    component.flapping, component.failure = 1_795_462_127_112, {"code": 1}
    stored = hash_fields(component)
    assert {name: stored[name] for name in HEALED} == {
        "circuit_breaker_state": "open",
        "breaker_failures": "2",
        "breaker_retry_at": "2026-11-23T19:28:47.112Z",
        "restart_attempt": "2",
        "restart_max": "3",
        "restart_method": "agent",
        "next_restart_at": "2026-11-23T19:28:47.112Z",
        "restart_waits": "mass failure",
        "restart_rev": "",
        "restart_deadline": "",
        "self_recoveries": "4",
        "depends_on": "db cache",
        "held": "by alice: disk",
        "flapping": "2026-11-23T19:28:47.112Z",
        "failure": '{"code":1}',
    }
    component.restart = Attempts(done=2, rev=17, deadline_ms=1_795_462_127_112)
    assert (hash_fields(component)["restart_rev"], hash_fields(component)["restart_deadline"]) == (
        "17",
        "2026-11-23T19:28:47.112Z",
    )


def test_hash_values_are_words_and_times_for_people() -> None:
    component = read_component(FIRST, DEFAULTS)
    component.last_heartbeat_ms, component.last_id = 1_795_462_127_112, b"1795462127112-3"
    stored = hash_fields(component)
    assert stored["last_heartbeat"] == "2026-11-23T19:28:47.112Z"
    assert (stored["state"], stored["score"], stored["folded"]) == ("healthy", "1.00", "0:1795462127112-3")


def test_a_record_of_another_version_is_read_as_far_as_it_goes() -> None:
    component = read_component(
        {"id": "a", "born": "1", "rev": "2", "state": "dead", "colour": "red", "memory": '{"mood": 1, "band": 2}'},
        DEFAULTS,
    )
    assert (component.state, component.rev, component.band, component.total_heartbeats) == (HealthState.DEAD, 2, 2, 0)


@FEW
@given(
    components(),
    st.sampled_from(
        sorted(hash_fields(read_component({"id": "a", "born": "1", "rev": "2", "state": "dead"}, DEFAULTS)))
    ),
    st.text(max_size=12),
)
def test_a_record_that_a_hand_has_edited_is_read_or_refused(component: Component, name: str, value: str) -> None:
    stored = {**hash_fields(component), name: value}
    try:
        back = read_component(stored, DEFAULTS)
    except (KeyError, ValueError, TypeError, Refused):
        return
    hash_fields(back)


@FEW
@given(
    components(), st.sampled_from(MEMORY), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())
)
def test_a_memory_of_another_kind_is_refused(component: Component, name: str, value: object) -> None:
    kind = type(getattr(component, name))
    stored = hash_fields(component)
    stored["memory"] = json.dumps({**json.loads(stored["memory"]), name: value})
    if type(value) is kind or (kind is tuple and isinstance(value, list)):
        read_component(stored, DEFAULTS)
    else:
        with pytest.raises(ValueError, match="is of another kind"):
            read_component(stored, DEFAULTS)


# -- small things ------------------------------------------------------------------------------------------------------


@FEW
@given(moments)
def test_times_come_back_to_the_millisecond(ms: int) -> None:
    assert read_time_ms(rfc3339(ms)) == ms


def test_no_time_is_no_text() -> None:
    assert (rfc3339(0), read_time_ms("")) == ("", 0)


def test_replies_of_both_shapes_are_text() -> None:
    assert text_map([b"a", b"\xff", b"b", b"2"]) == text_map({b"a": b"\xff", b"b": b"2"}) == {"a": "�", "b": "2"}
