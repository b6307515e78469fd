from __future__ import annotations

import pytest

from healthmon.core.component import Component, HealthState
from healthmon.core.policy import DEFAULT_POLICY, Defaults
from healthmon.core.table import Table
from healthmon.store.codec import Wire
from healthmon.views.sampling import COMPONENTS_MAX, METRICS_MAX, SAMPLES_MAX, Sampler

pytestmark = pytest.mark.anyio


def _table(count: int, state: HealthState = HealthState.HEALTHY) -> Table:
    table = Table(Defaults(), Wire())
    for number in range(count):
        limits = DEFAULT_POLICY.limits(table.defaults)
        table.put(Component(f"c-{number:04}", 1, DEFAULT_POLICY, limits, state=state, since_ms=number, rev=2))
    return table


async def test_the_latest_samples_are_kept_of_metrics_as_they_come_and_go() -> None:
    table = _table(1)
    sampler = Sampler(table, lambda: 0)
    component = table.components["c-0000"]
    for number in range(SAMPLES_MAX + 5):
        component.metrics = {"latency_ms": float(number)} if number % 2 else {"cpu_percent": 5.0}
        await sampler.sample(1000 + number)
    samples = sampler.samples("c-0000")
    assert samples["score"] == [(1000 + number, 1.0) for number in range(5, SAMPLES_MAX + 5)]
    assert samples["latency_ms"][0] == (1005, 5.0)
    assert {value for _, value in samples["cpu_percent"]} == {5.0}
    assert len(samples["latency_ms"]) + len(samples["cpu_percent"]) == SAMPLES_MAX
    assert sampler.samples("nobody") == {}


async def test_of_many_components_those_that_need_attention_are_followed() -> None:
    table = _table(5000)
    sampler = Sampler(table, lambda: 0)
    await sampler.sample(1)
    assert sampler.samples("c-0000")
    assert not sampler.samples("c-4999")
    table.components["c-4999"].state = HealthState.DEAD
    await sampler.sample(2)
    assert len(sampler.samples("c-4999")["score"]) == 1
    assert len(sampler.samples("c-0000")["score"]) == 2
    assert len(sampler._rings) == COMPONENTS_MAX
    for component in table.components.values():
        component.state = HealthState.DEGRADED
    await sampler.sample(3)
    assert len(sampler._rings) == COMPONENTS_MAX
    assert sampler.samples("c-0999")
    assert not sampler.samples("c-4998")


async def test_a_component_that_is_another_one_begins_anew_and_metrics_are_bounded() -> None:
    table = _table(1)
    sampler = Sampler(table, lambda: 0)
    component = table.components["c-0000"]
    component.metrics = {f"m.{number:02}": 1.0 for number in range(60)}
    await sampler.sample(1)
    assert len(sampler.samples("c-0000")) == METRICS_MAX
    component.born_ms = 2
    component.metrics = {}
    await sampler.sample(2)
    assert sampler.samples("c-0000") == {"score": [(2, 1.0)]}
