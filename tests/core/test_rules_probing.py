"""The rules of breakers and probes, and a life by probes alone, told as what a leader decides over time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.shard import Shard
from tests.core.supervised import PATIENT, PROBE, STAGES, shard_of


def test_one_failed_probe_is_degraded_an_open_breaker_unhealthy_and_a_half_open_one_on_trial() -> None:
    shard = shard_of(probe=PROBE)
    shard.say(interval=1000)
    shard.probe("failed", detail="connection timed out")
    assert (shard.state(), shard["a"].reason) == ("degraded", "probe failed: connection timed out")
    for _ in range(4):
        shard.probe("failed", detail="connection timed out")
    assert (shard.state(), shard["a"].reason) == ("unhealthy", "circuit breaker open: connection timed out")
    for _ in range(59):
        shard.say(after_s=1, interval=1000)
    shard.say(after_s=1, interval=1000)
    assert (shard.state(), shard["a"].reason) == ("degraded", "circuit breaker half open: on trial")
    shard.probe()
    shard.probe()
    assert shard.path()[1:] == [(0, "degraded"), (0, "unhealthy"), (60, "degraded"), (60, "healthy")]


def test_failed_probes_are_counted_in_the_reason_and_one_good_one_clears_them() -> None:
    shard = shard_of(probe=PROBE, breaker=PATIENT)
    for _ in range(3):
        shard.probe("failed", detail="503")
    shard["a"].state = shard["a"].state.HEALTHY
    shard.probe("failed", detail="503")
    assert shard["a"].reason == "probe failed (4 in a row): 503"
    shard.probe()
    assert shard.state() == "healthy"


def test_probes_and_breakers_never_make_dead() -> None:
    shard = shard_of(probe=PROBE)
    for _ in range(100):
        shard.probe("refused")
        shard.say(after_s=0.9)
    assert {state for _, state in shard.path()} == {"degraded", "unhealthy"}


# -- a life by probes alone --------------------------------------------------------------------------------------------


def living_by_probes(**policy: Any) -> Shard:
    shard = shard_of(probe=PROBE, **STAGES, **policy)
    for _ in range(4):
        shard.watch(0.5)
        shard.probe()
    assert shard.path() == [(0.5, "healthy")]
    return shard


def test_good_probes_are_proofs_of_life_and_the_last_one_begins_the_silence() -> None:
    shard = living_by_probes(breaker=PATIENT)
    shard.watch(4)
    assert shard.path()[1:] == [(3, "degraded"), (4, "unhealthy")]
    shard.probe("failed")
    assert shard.path()[3:] == [(6, "dead")]
    assert shard["a"].reason == "no good probe for 4.0 s (dead after 4 s)"


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_it_is_dead_only_after_one_last_failed_probe_at_the_deadline(outcome: str) -> None:
    shard = living_by_probes()
    for _ in range(7):
        shard.watch(0.5)
        shard.probe(outcome)
    shard.watch(0.49)
    shard.probe(outcome)
    assert (shard["a"].breaker.state, shard.state()) == ("open", "unhealthy")
    shard.watch(0.01)
    shard.watch(0.2)
    assert shard.state() == "unhealthy", "the deadline has passed, and the last probe is under way"
    shard.probe(outcome)
    assert shard.path()[-1] == (6.2, "dead")


def test_a_good_last_probe_saves_it() -> None:
    shard = living_by_probes(breaker=PATIENT)
    shard.watch(4.2)
    shard.probe()
    assert shard.path()[-1] == (6.2, "healthy")
    shard.watch(1)
    assert shard.path()[-1] == (7.2, "degraded")


def test_when_nobody_can_probe_silence_alone_must_do() -> None:
    shard = living_by_probes(breaker=PATIENT)
    shard.watch(20)
    assert shard.path()[1:] == [(3, "degraded"), (4, "unhealthy"), (11.8, "dead")]


def test_one_never_probed_is_silent_from_the_end_of_the_time_given_to_start() -> None:
    shard = shard_of(probe=PROBE, **STAGES)
    shard.watch(20)
    assert shard.path() == [(6, "degraded"), (7, "unhealthy"), (14.8, "dead")]
    assert shard["a"].reason.startswith("never heard from")
