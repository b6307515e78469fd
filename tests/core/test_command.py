"""Commands of the control stream: read or refused, and the events that answer them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.command import KNOWN, Command, forget, read_command, register
from healthmon.core.component import Component, HealthState
from healthmon.core.event import EventType, apply
from healthmon.core.heartbeat import Unreadable
from healthmon.core.policy import Defaults, Policy
from healthmon.errors import Refused
from tests.core.shard import Shard

DEFAULTS = Defaults()
ENTRY = "1795460000000-7"


def blank() -> Component:
    return Component("a", 1_795_460_000_000, Policy(), Policy().limits(DEFAULTS), since_ms=1_795_460_000_000)


def test_a_command_is_read_with_who_asked_and_why() -> None:
    command = read_command(ENTRY, {"cmd": "forget", "id": "a", "by": "alice", "reason": "gone for good"})
    assert command == Command(ENTRY, "forget", id="a", by="alice", reason="gone for good")
    assert command.ms == 1_795_460_000_000


def test_a_step_down_names_the_epoch_and_needs_no_id() -> None:
    assert read_command(ENTRY, {"cmd": "step-down", "epoch": "17"}).epoch == 17


def test_a_sync_says_up_to_where() -> None:
    assert read_command(ENTRY, {"cmd": "sync", "id": "a", "upto": "5-1"}).upto == "5-1"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "unknown_command"),
        ({"cmd": "explode", "id": "a"}, "unknown_command"),
        ({"cmd": "forget"}, "no_id"),
        ({"cmd": "forget", "id": "../a"}, "bad_id"),
        ({"cmd": "step-down"}, "bad_command"),
        ({"cmd": "step-down", "epoch": "-5"}, "bad_command"),
        ({"cmd": "step-down", "epoch": "²"}, "bad_command"),
        ({"cmd": "step-down", "epoch": "9" * 5000}, "bad_command"),
        ({"cmd": "sync", "id": "a", "upto": "tomorrow"}, "bad_command"),
        ({"cmd": "sync", "id": "a", "upto": "5-"}, "bad_command"),
        ({"cmd": "report", "id": "a"}, "bad_command"),
        ({"cmd": "report", "id": "a", "kind": "weather"}, "bad_command"),
        ({"cmd": "register", "id": "a", "policy": "x" * 20_000}, "too_large"),
    ],
)
def test_a_bad_command_is_refused_with_a_counted_reason(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_command(ENTRY, said)
    assert refused.value.reason == reason
    assert len(refused.value.detail) < 300


def test_what_people_write_is_one_line() -> None:
    command = read_command(ENTRY, {"cmd": "forget", "id": "a", "by": "al\nice", "reason": "x\x1b" + "y" * 300})
    assert (command.by + command.reason).isprintable()
    assert len(command.reason) == 120


FIELDS = st.sampled_from(("cmd", "id", "by", "reason", "policy", "upto", "epoch", "kind"))


@given(st.dictionaries(FIELDS, st.text(max_size=6) | st.sampled_from((*KNOWN, "a", "7-7", "{}")), max_size=6))
def test_whatever_a_command_says_it_is_read_or_refused(said: dict[str, str]) -> None:
    with suppress(Unreadable):
        assert read_command(ENTRY, said).cmd in KNOWN


def asked(policy: str = "", **said: str) -> Command:
    return read_command(ENTRY, {"cmd": "register", "id": "a", "policy": policy, **said})


def test_registering_makes_a_component_known_by_a_declared_policy() -> None:
    component = blank()
    (event,) = register(component, asked('{"role":"db","heartbeat_timeout":5}'), DEFAULTS)
    assert (event.type, event.rev, event.cause) == (EventType.REGISTERED, 1, ENTRY)
    apply(component, event, DEFAULTS)
    assert (component.declared, component.role, component.limits.timeout_ms) == (True, "db", 5_000)
    assert component.control_folded == ENTRY
    assert component.state is HealthState.UNKNOWN


def test_registering_again_keeps_state_totals_and_clock() -> None:
    component = blank()
    for event in register(component, asked('{"role":"db","heartbeat_timeout":5}'), DEFAULTS):
        apply(component, event, DEFAULTS)
    component.state, component.total_heartbeats, component.since_ms = HealthState.HEALTHY, 7, 1_795_460_000_500
    (event,) = register(component, asked('{"heartbeat_timeout":9}', by="alice", reason="slower"), DEFAULTS)
    assert (event.type, event.rev, event.rule) == (EventType.OPERATOR, 2, "register")
    assert event.reason == "registered again by alice: slower"
    apply(component, event, DEFAULTS)
    assert (component.state, component.total_heartbeats) == (HealthState.HEALTHY, 7)
    assert component.since_ms == 1_795_460_000_500
    assert (component.role, component.limits.timeout_ms) == ("db", 9_000)


@pytest.mark.parametrize("policy", ["{", '{"colour":1}', '{"heartbeat_timeout":500}'])
def test_a_policy_that_makes_no_sense_is_refused(policy: str) -> None:
    with pytest.raises(Refused):
        register(blank(), asked(policy), DEFAULTS)


def test_parts_that_contradict_those_kept_are_refused() -> None:
    component = blank()
    for event in register(component, asked('{"degraded_threshold":60}'), DEFAULTS):
        apply(component, event, DEFAULTS)
    with pytest.raises(Refused, match="thresholds must rise"):
        register(component, asked('{"heartbeat_timeout":70}'), DEFAULTS)


def test_forgetting_says_who_asked() -> None:
    component = blank()
    component.rev = 4
    event = forget(component, read_command(ENTRY, {"cmd": "forget", "id": "a", "by": "alice"}))
    assert (event.type, event.rev, event.rule, event.cause) == (EventType.FORGOTTEN, 5, "forget", ENTRY)
    assert event.reason == "forgotten by alice"


def test_one_that_is_dead_already_gets_its_next_attempt_with_the_method_that_it_is_given() -> None:
    shard = Shard()
    shard.say()
    shard.watch(200)
    assert (shard.state(), shard["a"].restart.next_ms) == ("dead", 0)
    policy = '{"restart":{"method":"agent","base_delay":5,"jitter":false}}'
    asked = Command(f"{shard.now_ms}-0", "register", id="a", policy=policy)
    for event in register(shard["a"], asked, shard.defaults):
        assert shard.table.apply(event, shard.moment)
    assert shard["a"].restart.next_ms == shard.now_ms + 5_000
    taken_back = Command(f"{shard.now_ms}-1", "register", id="a", policy="{}", replace=True)
    for event in register(shard["a"], taken_back, shard.defaults):
        assert shard.table.apply(event, shard.moment)
    assert shard["a"].restart.next_ms == 0
