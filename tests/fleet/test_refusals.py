"""What the core says against parts of a policy, asked for part by part."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.policy import Defaults, Policy, parse_policy
from healthmon.errors import Refused
from healthmon.fleet.layers import layer_of
from healthmon.fleet.refusals import contradictions, refusal_of

NAMES = sorted(each.name for each in fields(Policy))
JUNK: list[object] = [True, -1, 0, 1e300, float("nan"), float("inf"), "", "x", [], [1], {}, dt.date(2026, 1, 2)]


def said(policy: dict[str, Any], **defaults: Any) -> list[str]:
    return [one.says for one in contradictions(layer_of(policy, ("components", "a")), Defaults(**defaults))[1]]


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        (("interval",), "30s", "interval is '30s'; it must be a number; durations are seconds, without a unit"),
        (("intervall",), 3, "did you mean interval?"),
        (("heartbeat_timeout",), True, "heartbeat_timeout is True; it must be a number"),
        (("expected",), "alway", "did you mean always?"),
        (("restart", "method"), "agnet", "it is one of agent, exec, webhook, handler, none; did you mean agent?"),
        (("restart", "metod"), "agent", "restart has no 'metod'; it has max_retries"),
        (("restart", "metod"), "agent", "did you mean method?"),
        (("restart", "command"), "systemctl restart x", "restart command must be a list of 1 to 64 strings"),
        (("restart", "url"), "example.com", "restart url is no address of a known kind"),
        (("probe", "callable"), "yes", "probe callable must be true or false"),
        (("probe", "url"), "tcp://host", "tcp:// names host and port"),
        (("breaker", "failure_threshold"), 0, "it must be a whole number of at least 1"),
        (("score", "cpu_percent"), [1, 3, 2], "must rise or fall all the way"),
        (("depends_on",), "db", "depends_on must be a list of at most 64 component ids"),
        (("depends_on",), "", "depends_on must be a list"),
        (("restart",), 0, "restart must be a table"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_right(part: tuple[str, ...], value: object, says: str) -> None:
    assert says in refusal_of(part, value)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (("dead_threshold",), 1),
        (("restart", "reset_after"), 1),
        (("restart", "method"), "exec"),
        (("restart", "method"), "webhook"),
        (("restart", "command"), ["true"]),
        (("restart", "url"), "https://example.com"),
        (("restart", "base_delay"), 10_000),
        (("probe", "callable"), True),
        (("probe", "callable"), False),
        (("probe", "exec"), ["true"]),
        (("probe", "timeout"), 3),
        (("score", "anything"), [3, 2, 1]),
        (("role",), "any words"),
    ],
)
def test_a_value_that_may_be_right_beside_others_is_right_alone(part: tuple[str, ...], value: object) -> None:
    assert refusal_of(part, value) == ""


def test_values_that_contradict_each_other_are_all_told() -> None:
    found = said(
        {
            "heartbeat_timeout": 60,
            "dead_threshold": 50,
            "probe": {"url": "http://a", "exec": ["b"]},
            "restart": {"method": "webhook", "command": ["c"], "base_delay": 400, "max_delay": 3, "reset_after": 100},
        }
    )
    assert [one.partition(";")[0][:56] for one in found] == [
        'restart command needs method = "exec"',
        'restart method "webhook" needs url, an http:// or https:',
        "restart policy base_delay 400 s is above max_delay 3 s",
        "probe needs exactly one of url, exec and callable",
        "thresholds must rise: heartbeat_timeout < degraded_thres",
        "restart policy could never give up: reset_after 100 s mu",
    ]
    assert "degraded_threshold by the monitor's settings" in found[4]
    assert "heartbeat_timeout 60 s" in found[5], "the time-out counts also where the thresholds do not rise"


def test_what_the_file_does_not_set_is_as_the_leader_has_it() -> None:
    assert said({"dead_threshold": 50}) != []
    assert said({"dead_threshold": 50}, heartbeat_timeout_ms=10_000, degraded_threshold_ms=20_000) == []
    assert "startup_timeout 700 s" in said({"restart": {"method": "agent"}}, startup_timeout_ms=700_000)[0]


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.sampled_from(JUNK)
        | st.dictionaries(
            st.sampled_from(("method", "url", "exec", "interval", "timeout", "reset_after", "max_delay", "x")),
            st.sampled_from([*JUNK, 5, "agent", "exec", "webhook", "tcp://a:1", ["true"], [1, 2, 3]]),
        ),
    )
)
def test_whatever_the_core_refuses_is_found_and_nothing_else_is(policy: dict[str, Any]) -> None:
    layer = layer_of(policy, ("components", "a"))
    found = [refusal_of(part, one.value) for part, one in layer.items()]
    if not any(found):
        found = [one.says for one in contradictions(layer, Defaults())[1]]
    assert bool(any(found)) == bool(refused(policy)), (found, refused(policy))


def refused(policy: dict[str, Any]) -> str:
    """What the core says of the policy as a whole; what it takes for not set is a wrong type in a file."""
    wrong = [name for name in ("score", "restart", "breaker", "probe") if not isinstance(policy.get(name, {}), dict)]
    if wrong or not isinstance(policy.get("depends_on", []), list):
        return "a wrong type"
    try:
        parse_policy(policy, Defaults())
        json.dumps(policy)
    except (Refused, TypeError) as error:
        return str(error)
    return ""
