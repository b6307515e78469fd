"""The wire format both ways: heartbeats in their forms, records and events as they are stored."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthmon.core.alert import rfc3339
from healthmon.core.component import Component, HealthState, Status
from healthmon.core.event import SETTABLE, Event, EventType
from healthmon.core.heartbeat import CUSTOM, STANDARD_METRICS, Heartbeat, Unreadable
from healthmon.core.policy import Defaults, parse_policy
from healthmon.errors import Refused
from healthmon.store.codec import (
    MEMORY,
    decode_heartbeats,
    event_fields,
    hash_fields,
    history_fields,
    pack_batch,
    pack_heartbeat,
    read_component,
    read_event,
    read_time_ms,
    text_map,
)

DEFAULTS = Defaults()
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
    ["", '{"interval":2.5}', '{"role":"batch","score":{"m.queue":[10,50,100]}}', '{"expected":"always"}']
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


def test_hash_values_are_words_and_times_for_people() -> None:
    component = read_component({"id": "a", "born": "1", "rev": "2", "state": "healthy"}, DEFAULTS)
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


# -- events ------------------------------------------------------------------------------------------------------------

events = st.builds(
    Event,
    type=st.sampled_from(EventType),
    id=ids | st.just(""),
    rev=st.integers(0, 999),
    born_ms=st.just(0) | moments,
    at_ms=moments,
    reason=texts,
    rule=texts,
    source=st.sampled_from(["", *HealthState]).map(str),
    target=st.sampled_from(["", *HealthState]).map(str),
    cause=st.sampled_from(["", "5-0"]),
    epoch=st.just(0) | moments,
    replica=texts,
    set=st.dictionaries(st.sampled_from(sorted(SETTABLE)), texts, max_size=2),
)


@FEW
@given(events)
def test_an_event_read_back_is_the_one_that_was_written(event: Event) -> None:
    stored = event_fields(event)
    assert read_event("7-1", stored) == replace(event, stream_id="7-1")
    assert "" not in stored.values()
    kept = history_fields(event)
    assert kept.pop("failure", "") == (
        json.dumps(event.set["failure"], separators=(",", ":")) if event.set.get("failure") else ""
    )
    assert kept.items() <= stored.items()


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"type": "celebration"},
        {"type": "transition", "to": "splendid"},
        {"type": "transition", "rev": "x"},
        {"type": "guard", "set": "[]"},
        {"type": "guard", "set": "{"},
        {"type": "guard", "at": "yesterday"},
    ],
)
def test_an_entry_that_this_version_does_not_know_is_passed_over(entry: dict[str, str]) -> None:
    assert read_event("7-1", entry) is None


def test_an_event_without_a_time_was_at_that_of_its_entry() -> None:
    event = read_event("1795462127112-3", {"type": "leader"})
    assert event is not None
    assert event.at_ms == 1_795_462_127_112


# -- small things ------------------------------------------------------------------------------------------------------


@FEW
@given(moments)
def test_times_come_back_to_the_millisecond(ms: int) -> None:
    assert read_time_ms(rfc3339(ms)) == ms


def test_no_time_is_no_text() -> None:
    assert (rfc3339(0), read_time_ms("")) == ("", 0)


def test_replies_of_both_shapes_are_text() -> None:
    assert text_map([b"a", b"\xff", b"b", b"2"]) == text_map({b"a": b"\xff", b"b": b"2"}) == {"a": "�", "b": "2"}
