"""How long each restart attempt waits: the specification's schedule, and the same for every replica."""

from __future__ import annotations

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.attempts import JITTER, delay_ms, jitter_seed
from healthmon.core.policy import Defaults, RestartLimits, parse_policy
from healthmon.core.restart import RestartPolicy


def limits_of(**given: object) -> RestartLimits:
    return parse_policy({"restart": {"method": "agent", **given}}, Defaults()).limits(Defaults()).restart


def waits_s(limits: RestartLimits, attempts: int) -> list[float]:
    return [delay_ms(limits, attempt) / 1000 for attempt in range(1, attempts + 1)]


def test_the_delays_are_the_specifications_5_10_20_40_80_seconds() -> None:
    assert waits_s(limits_of(jitter=False), 5) == [5, 10, 20, 40, 80]
    assert waits_s(limits_of(**RestartPolicy(jitter=False).to_policy()), 5) == [5, 10, 20, 40, 80]


def test_no_delay_is_above_the_longest_one() -> None:
    assert waits_s(limits_of(jitter=False), 9)[5:] == [160, 300, 300, 300]
    assert delay_ms(limits_of(jitter=False, exponential_base=100, max_retries=10**6), 10**6) == 300_000


@pytest.mark.parametrize(
    ("base", "most", "factor"), [(5, 300, 2), (10, 60, 1.5), (1, 1, 2), (0.5, 1000, 3), (7, 7_000, 1)]
)
def test_without_jitter_they_are_those_of_tenacity(base: float, most: float, factor: float) -> None:
    limits = limits_of(base_delay=base, max_delay=most, exponential_base=factor, jitter=False)
    wait = tenacity.wait_exponential(multiplier=base, exp_base=factor, max=most)
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    for attempt in range(1, 30):
        state.attempt_number = attempt
        assert delay_ms(limits, attempt) == round(wait(state) * 1000)


@given(
    st.text(min_size=1, max_size=8),
    st.integers(0, 2**43),
    st.integers(1, 10**6),
    st.integers(1, 400),
    st.sampled_from([1, 1.5, 2, 100]),
)
def test_jitter_is_within_16_percent_and_the_same_wherever_it_is_computed(
    name: str, born_ms: int, rev: int, attempt: int, factor: float
) -> None:
    exact = delay_ms(limits_of(jitter=False, exponential_base=factor), attempt)
    seed = jitter_seed(name, born_ms, rev, attempt)
    wait_ms = delay_ms(limits_of(exponential_base=factor), attempt, seed)
    assert abs(wait_ms - exact) <= JITTER * exact + 1
    assert wait_ms == delay_ms(limits_of(exponential_base=factor), attempt, str(seed))


def test_jitter_spreads_those_who_die_together_over_the_whole_range() -> None:
    limits = limits_of()
    waits = [delay_ms(limits, 1, jitter_seed(f"worker-{n}", 1, 4, 1)) for n in range(400)]
    assert min(waits) < 4_260
    assert max(waits) > 5_740
    assert abs(sum(waits) / len(waits) - 5_000) < 60
    assert len(set(waits)) > 300


def test_the_first_attempts_of_two_incidents_wait_differently() -> None:
    limits = limits_of()
    assert len({delay_ms(limits, 1, jitter_seed("a", 1, rev, 1)) for rev in range(1, 40)}) > 30


def test_jitter_is_of_no_process_and_no_version() -> None:
    assert delay_ms(limits_of(), 1, jitter_seed("j_prime", 1_795_460_000_000, 118, 1)) == 5_761
