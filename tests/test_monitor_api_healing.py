"""Self-healing through monitor objects: handlers and probes of this process, owners and verifiers that refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from healthmon import DistributedHealthMonitor, HealthEvent, HealthState, HeartbeatHelper, Refused, RestartPolicy
from healthmon.agent.ownership import OwnershipCoordinator
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
# As short as the machine's hiccups allow; the relations are those of the defaults.
QUICK: dict[str, Any] = {
    "heartbeat_timeout": 0.3,
    "degraded_threshold": 0.45,
    "dead_threshold": 0.6,
    "startup_timeout": 1.0,
    "mass_failure": False,
}
AT_ONCE = RestartPolicy(max_retries=2, base_delay=0.05, jitter=False)
Pair = tuple[DistributedHealthMonitor, DistributedHealthMonitor]


@pytest.fixture
async def pair(url: str) -> AsyncIterator[Pair]:
    """A leading and a following monitor object in one process."""
    leader, follower = (DistributedHealthMonitor(redis_url=url, replica_id=name, **QUICK) for name in ("one", "two"))
    async with leader, follower:
        yield leader, follower


@asynccontextmanager
async def noted(monitor: DistributedHealthMonitor, component_id: str) -> AsyncIterator[list[str]]:
    """The reasons of the component's events, as they come."""
    reasons: list[str] = []

    def note(event: HealthEvent) -> None:
        if event.component_id == component_id:
            reasons.append(event.reason)

    await monitor.subscribe(None, note)
    yield reasons


async def said(reasons: list[str], text: str) -> str:
    """The first reason with this text, as soon as there is one."""

    def look() -> list[str]:
        assert [one for one in reasons if text in one], reasons
        return [one for one in reasons if text in one]

    found: list[str] = await eventually(look, 10)
    return found[0]


async def is_in(monitor: DistributedHealthMonitor, component_id: str, state: HealthState) -> None:
    """Returns when the component is in this state."""

    async def look() -> bool:
        found = await monitor.get_component_health(component_id)
        assert found.state == state, (found.state, found.reason)
        return True

    await eventually(look, 10)


class Service:
    """A component that says nothing until its handler has started it, and then beats."""

    def __init__(self, url: str, name: str) -> None:
        self.helper = HeartbeatHelper(name, heartbeat_interval=0.1, redis_url=url, metrics=False)
        self.calls: list[str] = []

    async def restart(self, component_id: str) -> bool:
        self.calls.append(component_id)
        await self.helper.stop()
        await self.helper.start()
        return True


@pytest.fixture
async def service(url: str) -> AsyncIterator[Callable[[str], Service]]:
    """Makes services, which end with the test."""
    made: list[Service] = []

    def make(name: str) -> Service:
        made.append(Service(url, name))
        return made[-1]

    yield make
    for one in made:
        await one.helper.stop()


async def test_a_handler_restarts_what_died_whichever_object_has_it(
    pair: Pair, service: Callable[[str], Service]
) -> None:
    for number, monitor in enumerate(pair):
        name = f"c{number}"
        body = service(name)
        monitor.set_restart_handler(body.restart, name)
        await monitor.register_component(name, restart_policy=AT_ONCE)
        async with noted(monitor, name) as reasons:
            await monitor.heartbeat(name)
            await said(reasons, "dead after 0.6 s")
            await said(reasons, "restart 1 of 2 by handler")
            await is_in(monitor, name, HealthState.HEALTHY)
        assert (await monitor.get_component_health(name)).restart_attempt == 1
        assert body.calls == [name]


async def test_a_handler_that_says_no_or_raises_is_a_failed_attempt_with_its_text(pair: Pair) -> None:
    leader, _ = pair
    calls: list[str] = []

    async def restart(component_id: str) -> bool:
        calls.append(component_id)
        if len(calls) == 1:
            return False
        raise RuntimeError("no such unit")

    leader.set_restart_handler(restart)
    await leader.register_component("c", restart_policy=AT_ONCE)
    async with noted(leader, "c") as reasons:
        await leader.heartbeat("c")
        await said(reasons, "RuntimeError: no such unit")

        await is_in(leader, "c", HealthState.PERMANENTLY_FAILED)
    assert calls == ["c", "c"]


async def test_an_operator_has_a_healthy_component_restarted_by_a_follower_s_handler(
    pair: Pair, service: Callable[[str], Service]
) -> None:
    _, follower = pair
    body = service("c")
    follower.set_restart_handler(body.restart, "c")
    await follower.register_component("c", restart_policy=AT_ONCE)
    await body.helper.start()
    await is_in(follower, "c", HealthState.HEALTHY)

    async def ordered() -> bool:
        try:
            await follower.restart("c", by="alice", reason="new version")
        except Refused:  # until the leader knows, within a second, who offers the handler
            return False
        return True

    async with noted(follower, "c") as reasons:
        await eventually(ordered)
        await said(reasons, "restart 1 of 2 by handler")
        await said(reasons, "new version")
        await is_in(follower, "c", HealthState.HEALTHY)
    assert body.calls == ["c"]


async def test_a_probe_function_of_this_process_is_called_and_what_it_says_counts(pair: Pair) -> None:
    for number, monitor in enumerate(pair):
        answers = {"well": True}

        async def look(answers: dict[str, bool] = answers) -> bool:
            return answers["well"]

        name = f"p{number}"
        await monitor.register_component(name, probe=look, probe_interval=0.1, probe_timeout=1)
        await is_in(monitor, name, HealthState.HEALTHY)
        answers["well"] = False

        async def is_open(monitor: DistributedHealthMonitor = monitor, name: str = name) -> bool:
            return (await monitor.get_component_health(name)).circuit_breaker_state == "OPEN"

        await eventually(is_open, 10)
        await is_in(monitor, name, HealthState.DEAD)


async def test_an_owner_that_refuses_keeps_its_component_from_being_restarted_until_it_agrees(
    pair: Pair, url: str, service: Callable[[str], Service]
) -> None:
    leader, _ = pair
    body = service("jarvis_body")
    leader.set_restart_handler(body.restart)
    await leader.register_component("jarvis_body", restart_policy=AT_ONCE)
    async with OwnershipCoordinator(url) as coordinator, noted(leader, "jarvis_body") as reasons:
        await coordinator.acquire_ownership("jarvis_body", "run_supervisor", refuse="upgrading its model")
        await leader.heartbeat("jarvis_body")
        why = await said(reasons, "restart 1 waits: its owner run_supervisor@")
        assert why.endswith("refuses: upgrading its model")
        assert body.calls == []
        assert (await leader.get_component_health("jarvis_body")).restart_attempt == 0
        await coordinator.allow_restarts("jarvis_body")
        await eventually(lambda: body.calls == ["jarvis_body"], 10)


async def test_a_verifier_that_is_plugged_in_is_asked_instead(pair: Pair, service: Callable[[str], Service]) -> None:
    leader, _ = pair
    body, asked, answer = service("c"), list[str](), "alice works on it"

    async def verify(component_id: str) -> str:
        asked.append(component_id)
        return answer

    leader.set_ownership_verifier(verify)
    leader.set_restart_handler(body.restart)
    await leader.register_component("c", restart_policy=AT_ONCE)
    async with noted(leader, "c") as reasons:
        await leader.heartbeat("c")
        await said(reasons, "restart 1 waits: alice works on it")
        answer = ""
        await eventually(lambda: body.calls == ["c"], 10)
    assert set(asked) == {"c"}
