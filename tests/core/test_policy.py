"""Policies: what may be set, each refusal in a sentence, and the limits that follow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from healthmon.core.policy import INTERVAL_MS_MAX, Defaults, Limits, Policy, parse_policy, read_policy
from healthmon.core.score import DEFAULT_ROWS, Row
from healthmon.errors import Refused

DEFAULTS = Defaults()


def stages(limits: Limits) -> tuple[int, int, int]:
    return limits.timeout_ms, limits.degraded_ms, limits.dead_ms


def test_without_a_policy_the_defaults_hold() -> None:
    limits = Policy().limits(DEFAULTS)
    assert stages(limits) == (45_000, 90_000, 180_000)
    assert (limits.startup_ms, limits.recovery_heartbeats, limits.crash_loop) == (120_000, 2, 5)
    assert limits.rows is DEFAULT_ROWS


def test_thresholds_are_at_least_two_three_and_four_announced_intervals() -> None:
    assert stages(Policy().limits(DEFAULTS, 10_000)) == (45_000, 90_000, 180_000)
    assert stages(Policy().limits(DEFAULTS, 25_000)) == (50_000, 90_000, 180_000)
    assert stages(Policy().limits(DEFAULTS, 40_000)) == (80_000, 120_000, 180_000)
    assert stages(Policy().limits(DEFAULTS, 60_000)) == (120_000, 180_000, 240_000)


def test_an_announced_interval_is_bounded_to_an_hour() -> None:
    hour = stages(Policy().limits(DEFAULTS, INTERVAL_MS_MAX))
    assert hour == (7_200_000, 10_800_000, 14_400_000)
    assert stages(Policy().limits(DEFAULTS, 86_400_000)) == hour


def test_a_policys_interval_takes_the_place_of_the_announced_one_and_may_be_longer() -> None:
    assert stages(Policy(interval=7_200).limits(DEFAULTS, 1_000)) == (14_400_000, 21_600_000, 28_800_000)
    assert stages(Policy(interval=1).limits(DEFAULTS, 60_000)) == (45_000, 90_000, 180_000)


def test_thresholds_that_the_policy_sets_hold_whatever_was_announced() -> None:
    policy = Policy(heartbeat_timeout=1, degraded_threshold=2, dead_threshold=3)
    assert stages(policy.limits(DEFAULTS, 60_000)) == (1_000, 2_000, 3_000)


def test_a_long_interval_never_puts_a_stage_behind_a_later_one_of_the_policy() -> None:
    assert stages(Policy(dead_threshold=180).limits(DEFAULTS, 3_600_000)) == (180_000, 180_000, 180_000)
    assert stages(Policy(degraded_threshold=100).limits(DEFAULTS, 3_600_000)) == (100_000, 100_000, 14_400_000)


def test_durations_are_rounded_to_milliseconds() -> None:
    assert Policy(heartbeat_timeout=0.0015).limits(DEFAULTS).timeout_ms == 2


def test_rows_of_the_policy_join_the_default_ones() -> None:
    limits = parse_policy({"score": {"latency_ms": [1, 2, 3], "m.queue": [10, 20, 30]}}, DEFAULTS).limits(DEFAULTS)
    assert dict(limits.rows) == {**DEFAULT_ROWS, "latency_ms": Row(1, 2, 3), "m.queue": Row(10, 20, 30)}


def test_the_crash_loop_is_as_long_as_the_restart_attempts() -> None:
    assert parse_policy({"restart": {"max_retries": 0}}, DEFAULTS).limits(DEFAULTS).crash_loop == 0


FULL = {
    "role": "db",
    "interval": 10.0,
    "heartbeat_timeout": 20.0,
    "degraded_threshold": 30.0,
    "dead_threshold": 40.0,
    "startup_timeout": 5.0,
    "expected": "always",
    "recovery_heartbeats": 3,
    "score": {"latency_ms": [1.0, 2.0, 3.0], "request_rate": [100.0, 50.0, 20.0]},
    "restart": {"max_retries": 3, "base_delay": 1.0, "max_delay": 2.0, "exponential_base": 2.0, "jitter": False},
    "breaker": {"failure_threshold": 4, "recovery_timeout": 60.0, "success_threshold": 1},
}


def test_a_policy_is_read_back_from_its_json_and_equal_ones_have_equal_text() -> None:
    policy = parse_policy(FULL, DEFAULTS)
    assert json.loads(policy.to_json()) == FULL
    assert read_policy(policy.to_json(), DEFAULTS) == policy
    turned = parse_policy(dict(reversed(FULL.items())), DEFAULTS)
    assert turned.to_json() == policy.to_json()


def test_only_what_is_set_is_written() -> None:
    assert Policy().to_json() == "{}"
    assert parse_policy({"role": "db", "interval": None, "score": {}}, DEFAULTS).to_json() == '{"role":"db"}'
    assert read_policy("", DEFAULTS) == Policy()


def test_registering_again_replaces_the_given_parts_and_keeps_the_others() -> None:
    before = parse_policy({"role": "db", "heartbeat_timeout": 20, "restart": {"max_retries": 3}}, DEFAULTS)
    after = before.merged(parse_policy({"heartbeat_timeout": 25, "expected": "always"}, DEFAULTS))
    assert (after.role, after.heartbeat_timeout, after.expected) == ("db", 25.0, "always")
    assert after.restart == {"max_retries": 3}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"heartbeat_timout": 5}, "policy has no part 'heartbeat_timout'"),
    ({"interval": "10"}, "policy interval is '10'; it must be a number"),
    ({"interval": True}, "policy interval is True; it must be a number"),
    ({"interval": float("nan")}, "policy interval is nan; it must be a number"),
    ({"interval": 0}, "policy interval is 0 s; it must be between 1 ms and 10 years"),
    ({"dead_threshold": 1e12}, "policy dead_threshold is 1e+12 s; it must be between 1 ms and 10 years"),
    ({"startup_timeout": -1}, "policy startup_timeout is -1 s"),
    ({"role": 5}, "policy role must be text of at most 128 characters"),
    ({"role": "x" * 129}, "policy role must be text of at most 128 characters"),
    ({"role": "a\nb"}, "policy role must be text of at most 128 characters"),
    ({"expected": "never"}, "policy expected is 'never'; it is 'always' or 'sometimes'"),
    ({"recovery_heartbeats": 0}, "policy recovery_heartbeats is 0; it must be a whole number of at least 1"),
    ({"recovery_heartbeats": 1.5}, "policy recovery_heartbeats is 1.5; it must be a whole number"),
    ({"score": [1]}, "policy score must map metric names to [good, warn, critical]"),
    ({"score": {"m.x": [1, 2]}}, "policy score row 'm.x' must be [good, warn, critical]"),
    ({"score": {"m.x": [1, "2", 3]}}, "policy score row m.x is '2'; it must be a number"),
    ({"score": {"m.x": [1, 3, 2]}}, "policy score row 'm.x' must rise or fall all the way"),
    ({"score": {"m.x": [1, 1, 2]}}, "policy score row 'm.x' must rise or fall all the way"),
    ({"score": {"m.x": [3, 2, -1]}}, "policy score row 'm.x' must rise or fall all the way"),
    ({"restart": 5}, "policy restart must be an object of max_retries"),
    ({"restart": {"retries": 5}}, "policy restart has no 'retries'; it has max_retries"),
    ({"restart": {"max_retries": -1}}, "policy restart max_retries is -1; it must be a whole number of at least 0"),
    ({"restart": {"jitter": 1}}, "policy restart jitter must be true or false"),
    ({"restart": {"base_delay": 9, "max_delay": 5}}, "restart policy base_delay 9 s is above max_delay 5 s"),
    ({"breaker": {"failure_threshold": 0}}, "policy breaker failure_threshold is 0; it must be a whole number"),
    ({"breaker": {"colour": 1}}, "policy breaker has no 'colour'"),
    ({"heartbeat_timeout": 90}, "policy thresholds must rise: heartbeat_timeout < degraded_threshold < dead_threshold"),
    ({"dead_threshold": 60}, "but they are 45, 90, 60 s"),
    ({"degraded_threshold": 180}, "but they are 45, 180, 180 s"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED, ids=[json.dumps(given)[:48] for given, _ in REFUSED])
def test_what_makes_no_sense_is_refused_in_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_policy(given, DEFAULTS)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[]", "5", "null", "[" * 100_000, '{"interval": ' + "9" * 400 + "}"])
def test_text_that_is_no_policy_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(Refused):
        read_policy(text, DEFAULTS)
