from __future__ import annotations

from datetime import UTC
from typing import Any

from healthmon.core.circuit import Breaker
from healthmon.core.component import Component, HealthState
from healthmon.core.failures import Failures, Probes
from healthmon.core.policy import Defaults, Policy
from healthmon.views.checks import (
    breaker_json,
    breaker_of,
    breaker_sentence,
    flapping_sentence,
    probe_json,
    probe_of,
    probe_sentence,
)

NOW = 1_795_462_265_000  # 2026-11-23T19:31:05Z
DEFAULTS = Defaults()


def component(probe: dict[str, Any] | None = None) -> Component:
    policy = Policy(probe=probe or {})
    return Component("db", NOW - 3_600_000, policy, policy.limits(DEFAULTS), state=HealthState.UNHEALTHY)


def breaker(one: Component) -> str:
    return breaker_sentence(breaker_of(one), NOW, UTC)


def test_a_closed_breaker_is_told_only_when_it_counts() -> None:
    one = component()
    assert breaker(one) == ""
    one.failures = Failures(recorded=2, total=2, source="recorded", detail="query failed", at_ms=NOW)
    assert breaker(one) == "closed; 2 of 5 failures in a row, the last: query failed"


def test_an_open_breaker_says_what_opened_it_and_when_it_is_tried_again() -> None:
    one = component()
    one.failures = Failures(total=5, recorded=5, source="recorded", detail="query failed", at_ms=NOW)
    one.breaker = Breaker("open", 1, by="recorded", at_ms=NOW - 12_000, until_ms=NOW + 48_000, failures_base=5)
    assert breaker(one) == (
        "open since 19:30:53 (12 s ago) by recorded failures, the last: query failed; "
        "one try at 19:31:53 (in 48 s), or at its next ok heartbeat"
    )
    one = component({"url": "tcp://db:5432"})
    one.breaker = Breaker("open", 3, by="probe", reopened=2, at_ms=NOW - 12_000, until_ms=NOW + 48_000, failures_base=5)
    assert "by failed probes" in breaker(one)
    assert "reopened 2 times; one try at 19:31:53 (in 48 s)" in breaker(one)
    assert "heartbeat" not in breaker(one)


def test_a_half_open_breaker_says_what_closes_it() -> None:
    one = component()
    one.breaker = Breaker("half_open", 2, by="words", at_ms=NOW - 1000)
    assert breaker(one) == (
        "half open since 19:31:04 (1 s ago), it had been opened by heartbeats that said failing; "
        "2 successes in a row close it, one failure opens it for longer"
    )
    assert breaker_json(breaker_of(one))["retry_at"] is None


def test_the_last_probe_is_told_with_what_it_found() -> None:
    one = component({"url": "redis://:secret@db:6379/0"})
    found = probe_of(one)
    assert found is not None
    assert probe_sentence(found, NOW, UTC) == "redis://:***@db:6379/0 every 15 s; none yet"
    one.probes = Probes(at_ms=NOW - 4000, outcome="refused", detail="connection refused", failed=3)
    found = probe_of(one)
    assert found is not None
    assert probe_sentence(found, NOW, UTC).endswith(
        "the last 19:31:01 (4 s ago): refused: connection refused (3 in a row)"
    )
    assert probe_json(found)["failed"] == 3
    one.probes = Probes(at_ms=NOW - 4000, ok_ms=NOW - 4000, outcome="ok", detail="")
    assert (found := probe_of(one)) is not None
    assert probe_sentence(found, NOW, UTC).endswith("(4 s ago): ok")


def test_every_kind_of_target_has_words_and_no_probe_has_none() -> None:
    targets = [probe_of(component(probe)) for probe in ({"exec": ["pg_isready", "-q"]}, {"callable": True})]
    assert [one.target for one in targets if one] == ["pg_isready -q", "a Python callable"]
    assert probe_of(component()) is None


def test_flapping_says_since_when_and_when_it_is_over() -> None:
    one = component()
    assert flapping_sentence(one, NOW, UTC) == ""
    one.flapping, one.turns = NOW - 60_000, (NOW - 90_000, NOW - 80_000, NOW - 60_000)
    assert flapping_sentence(one, NOW, UTC) == (
        "since 19:30:05 (1 m ago), 3 times no longer healthy in 10 m; over when it is 1 time at most"
    )
