"""What a monitor object says of the components that it registers, and says again when it changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from healthmon import CircuitState, ComponentHealth, DistributedHealthMonitor, NoSuchComponent, Refused, RestartPolicy
from healthmon.store.calls import Client, call, open_raw
from healthmon.store.keys import Keys
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
PACE = {"max_retries": 2, "base_delay": 5.0, "max_delay": 300.0, "exponential_base": 2.0, "jitter": True}


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with open_raw(url, name="test") as client:
        yield client


async def stored(client: Client, component_id: str = "c") -> dict[str, Any]:
    """The component's policy as it is stored."""
    policy: dict[str, Any] = json.loads(await call(client, "HGET", Keys().component(component_id), "policy"))
    return policy


async def restart(component_id: str) -> bool:
    return bool(component_id)


# -- parts of a policy -------------------------------------------------------------------------------------------------


async def test_arguments_become_the_parts_of_a_policy(url: str, client: Client) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        await monitor.register_component(
            "c",
            role="batch",
            restart_policy=RestartPolicy(max_retries=2),
            restart_command=["systemctl", "restart", "c"],
            restart_timeout=30,
            restart={"reset_after": 900},
            probe="tcp://127.0.0.1:7001",
            probe_interval=5,
            depends_on=["db"],
            expected="always",
        )
        assert await stored(client) == {
            "role": "batch",
            "restart": {
                **PACE,
                "method": "exec",
                "command": ["systemctl", "restart", "c"],
                "timeout": 30.0,
                "reset_after": 900.0,
            },
            "probe": {"url": "tcp://127.0.0.1:7001", "interval": 5.0},
            "depends_on": ["db"],
            "expected": "always",
        }


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"restart_method": "agent"}, {"restart": {"method": "agent"}}),
        ({"restart_url": "https://ci/restart"}, {"restart": {"method": "webhook", "url": "https://ci/restart"}}),
        (
            {"probe": ["pg_isready", "-q"], "probe_timeout": 2},
            {"probe": {"exec": ["pg_isready", "-q"], "timeout": 2.0}},
        ),
        ({"probe": {"url": "http://c/health", "interval": 3}}, {"probe": {"url": "http://c/health", "interval": 3.0}}),
        ({"probe": restart}, {"probe": {"callable": True}}),
        ({"breaker": {"success_threshold": 1}}, {"breaker": {"success_threshold": 1}}),
    ],
)
async def test_each_argument_alone(url: str, client: Client, given: dict[str, Any], part: dict[str, Any]) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        await monitor.register_component("c", **given)
        assert await stored(client) == part


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"restart_method": "pray"}, "it is one of agent, exec"),
        ({"restart_command": "systemctl restart c"}, "must be a list of 1 to 64 strings"),
        ({"restart_method": "agent", "restart_command": ["x"]}, 'needs method = "exec"'),
        ({"probe": "gopher://c"}, "no address of a known kind"),
        ({"probe": 7}, "give a URL, an argument list or a function"),
        ({"probe": {"url": "http://c/", "exec": ["x"]}}, "exactly one of url, exec and callable"),
        ({"depends_on": ["a b"]}, "no component id"),
        ({"breaker": {"threshold": 5}}, "it has failure_threshold, recovery_timeout, success_threshold"),
    ],
)
async def test_what_cannot_be_is_refused_with_what_can(url: str, given: dict[str, Any], sentence: str) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        with pytest.raises(Refused, match=sentence):
            await monitor.register_component("c", **given)
        assert await monitor.get_all_health() == {}


async def test_a_probe_function_is_offered_until_another_probe_takes_its_place(url: str) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        await monitor.register_component("c", probe=lambda: True)
        assert list(monitor._registrations.callables) == ["c"]
        await monitor.register_component("c", degraded_threshold=100)
        assert list(monitor._registrations.callables) == ["c"]
        await monitor.register_component("c", probe="tcp://127.0.0.1:1")
        assert monitor._registrations.callables == {}


# -- the circuit breaker's configuration -------------------------------------------------------------------------------


async def test_breaker_settings_of_an_object_hold_for_what_it_registers_and_for_nothing_else(
    url: str, client: Client
) -> None:
    async with (
        DistributedHealthMonitor(redis_url=url, failure_threshold=2) as monitor,
        DistributedHealthMonitor(redis_url=url) as other,
    ):
        await monitor.register_component("c")
        await other.register_component("d")
        assert await stored(client, "c") == {"breaker": {"failure_threshold": 2}}
        assert await stored(client, "d") == {}
        assert dict(monitor.circuit_breaker_config) == {
            "failure_threshold": 2,
            "recovery_timeout": 60.0,
            "success_threshold": 2,
        }


async def test_a_configuration_set_later_is_told_of_what_was_registered_before_and_seen_by_the_next_read(
    url: str, client: Client
) -> None:
    async with DistributedHealthMonitor(redis_url=url) as leader, DistributedHealthMonitor(redis_url=url) as monitor:
        for name in ("a", "b", "c"):
            await monitor.register_component(name, restart_policy=RestartPolicy(max_retries=2))
        await leader.register_component("d")
        config = {"failure_threshold": 3, "recovery_timeout": 30.0, "success_threshold": 1}
        monitor.circuit_breaker_config = config
        assert monitor.circuit_breaker_config == config
        await monitor.get_all_health()
        for name in ("a", "b", "c"):
            assert await stored(client, name) == {"breaker": config, "restart": PACE}
        assert await stored(client, "d") == {}
        await monitor.register_component("e", breaker={"success_threshold": 4})
        assert await stored(client, "e") == {"breaker": {**config, "success_threshold": 4}}


async def test_an_empty_configuration_goes_back_to_the_settings_of_this_object(url: str, client: Client) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        await monitor.register_component("c")
        monitor.circuit_breaker_config = {"failure_threshold": 9}
        monitor.circuit_breaker_config = {}
        await monitor.get_all_health()
        assert (await stored(client))["breaker"] == {
            "failure_threshold": 5,
            "recovery_timeout": 60.0,
            "success_threshold": 2,
        }


async def test_a_configuration_set_while_stopped_is_told_at_the_next_start(url: str, client: Client) -> None:
    monitor = DistributedHealthMonitor(redis_url=url)
    monitor.circuit_breaker_config = {"failure_threshold": 3}
    await monitor.start()
    await monitor.register_component("c")
    assert (await stored(client))["breaker"] == {"failure_threshold": 3}
    await monitor.stop()
    monitor.circuit_breaker_config = {"failure_threshold": 4}
    await monitor.start()
    await monitor.get_all_health()
    assert (await stored(client))["breaker"] == {"failure_threshold": 4}
    await monitor.stop()


async def test_a_configuration_set_while_redis_is_away_is_told_when_it_is_back(
    fresh_server: Callable[..., FreshServer],
) -> None:
    server = fresh_server(keep=True)
    async with DistributedHealthMonitor(redis_url=await server.start()) as monitor:
        await monitor.register_component("c")
        await server.stop()
        monitor.circuit_breaker_config = {"failure_threshold": 3}
        await server.start()
        async with open_raw(server.url, name="test") as client:

            async def told() -> bool:
                return "breaker" in await stored(client)

            await eventually(told, 10)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"threshold": 5}, "it has failure_threshold, recovery_timeout, success_threshold"),
        ({"failure_threshold": 0}, "at least 1"),
        ({"success_threshold": 1.5}, "whole number"),
        ({"recovery_timeout": -1}, "between 1 ms and 10 years"),
        ({"recovery_timeout": "soon"}, "must be a number"),
        ([5, 60, 2], "must be a dict of failure_threshold"),
    ],
)
async def test_a_wrong_configuration_is_refused_and_changes_nothing(url: str, config: Any, sentence: str) -> None:
    monitor = DistributedHealthMonitor(redis_url=url, failure_threshold=7)
    with pytest.raises(Refused, match=sentence):
        monitor.circuit_breaker_config = config
    assert monitor.circuit_breaker_config["failure_threshold"] == 7


def test_a_configuration_is_changed_by_setting_it_and_not_in_place(url: str) -> None:
    monitor = DistributedHealthMonitor(redis_url=url)
    with pytest.raises(TypeError):
        monitor.circuit_breaker_config["failure_threshold"] = 10  # type: ignore[index]  # what is shown here to fail


async def test_a_component_that_another_forgot_is_not_made_known_again(url: str) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor, DistributedHealthMonitor(redis_url=url) as other:
        await monitor.register_component("c")
        await other.forget_component("c")
        monitor.circuit_breaker_config = {"failure_threshold": 3}
        with pytest.raises(NoSuchComponent):
            await monitor.get_component_health("c")


async def test_one_that_was_forgotten_here_and_registered_by_another_is_the_other_s(url: str, client: Client) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor, DistributedHealthMonitor(redis_url=url) as other:
        await monitor.register_component("c")
        await monitor.forget_component("c")
        await other.register_component("c")
        monitor.circuit_breaker_config = {"failure_threshold": 3}
        await monitor.get_all_health()
        assert await stored(client) == {}


# -- restart handlers --------------------------------------------------------------------------------------------------


async def test_a_handler_for_all_is_the_method_of_what_has_no_other_whenever_it_was_registered(
    url: str, client: Client
) -> None:
    async with DistributedHealthMonitor(redis_url=url) as monitor:
        await monitor.register_component("before", restart_policy=RestartPolicy(max_retries=2))
        await monitor.register_component("other", restart_method="agent")
        monitor.set_restart_handler(restart)
        await monitor.register_component("after")
        await monitor.get_all_health()
        assert await stored(client, "before") == {"restart": {**PACE, "method": "handler"}}
        assert await stored(client, "after") == {"restart": {"method": "handler"}}
        assert await stored(client, "other") == {"restart": {"method": "agent"}}


async def test_a_handler_for_one_component_is_the_method_of_that_one(url: str, client: Client) -> None:
    monitor = DistributedHealthMonitor(redis_url=url)
    monitor.set_restart_handler(restart, "c")
    async with monitor:
        await monitor.register_component("c")
        await monitor.register_component("d")
        assert await stored(client, "c") == {"restart": {"method": "handler"}}
        assert await stored(client, "d") == {}
    monitor.set_restart_handler(None, "c")
    assert monitor._registrations.handlers == {}


def test_what_is_no_function_or_no_id_is_refused(url: str) -> None:
    monitor = DistributedHealthMonitor(redis_url=url)
    with pytest.raises(Refused, match="give an async function"):
        monitor.set_restart_handler("systemctl restart")  # type: ignore[arg-type]  # what untyped code may pass
    with pytest.raises(Refused, match="is no id"):
        monitor.set_restart_handler(restart, "a b")


# -- failures and orders -----------------------------------------------------------------------------------------------


@pytest.fixture
async def pair(url: str) -> AsyncIterator[tuple[DistributedHealthMonitor, DistributedHealthMonitor]]:
    """A leading and a following monitor object in one process."""
    leader, follower = (DistributedHealthMonitor(redis_url=url, replica_id=name) for name in ("one", "two"))
    async with leader, follower:
        yield leader, follower


async def test_failures_in_a_row_open_the_breaker_and_a_reset_closes_it_seen_by_each_writer(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    for number, monitor in enumerate(pair):
        name = f"c{number}"
        await monitor.register_component(name)
        for _ in range(4):
            await monitor.record_failure(name, "no answer from its queue")
        assert (await monitor.get_component_health(name)).circuit_breaker_state == "CLOSED"
        await monitor.record_failure(name, "no answer from its queue")
        health = await monitor.get_component_health(name)
        assert (health.circuit_breaker_state, health.state) == (CircuitState.OPEN, "unhealthy")
        await monitor.reset_circuit_breaker(name, by="alice", reason="the queue is back")
        assert (await monitor.get_component_health(name)).circuit_breaker_state is CircuitState.CLOSED


async def test_a_failure_of_an_unknown_component_makes_it_known(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    for number, monitor in enumerate(pair):
        await monitor.record_failure(f"new{number}")
        assert (await monitor.get_component_health(f"new{number}")).total_heartbeats == 0


async def test_who_holds_a_component_and_why_is_told_until_it_is_resumed(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    leader, follower = pair
    await follower.register_component("c")
    await follower.hold("c", by="alice", reason="upgrade")
    assert (await follower.get_component_health("c")).held == "by alice: upgrade"
    with pytest.raises(Refused, match="held already"):
        await leader.hold("c")
    await leader.resume("c")
    assert (await leader.get_component_health("c")).held == ""


async def test_who_silenced_and_who_looks_after_a_component_is_told(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    leader, follower = pair
    await follower.heartbeat("c", status="degraded")
    now_s = (await follower.get_component_health("c")).last_heartbeat or 0
    await follower.silence("c", 2_000_000, by="alice", reason="upgrade")
    await follower.acknowledge("c", by="bob")

    async def heard_by_the_other() -> ComponentHealth | None:
        heard = await leader.get_component_health("c")
        return heard if heard.acknowledged_by else None

    health = await eventually(heard_by_the_other)
    assert health is not None
    assert (health.acknowledged_by, health.to_dict()["acknowledged_by"]) == ("bob", "bob")
    assert 2_000_000 <= (health.silenced_until or 0) - now_s < 2_000_060
    assert health.to_dict()["silenced_until"] == health.silenced_until
    await leader.silence("c", 0, reason="done")
    await leader.acknowledge("c", end=True)

    async def both_are_over() -> bool:
        over = await follower.get_component_health("c")
        return (over.silenced_until, over.acknowledged_by) == (None, "")

    await eventually(both_are_over)
    with pytest.raises(Refused, match="reason is missing"):
        await leader.silence("c", 60, reason="")
    with pytest.raises(Refused, match="30 days"):
        await leader.silence("c", 1e9, reason="x")


async def test_an_order_that_cannot_be_obeyed_is_refused_with_its_reason(
    pair: tuple[DistributedHealthMonitor, DistributedHealthMonitor],
) -> None:
    leader, _ = pair
    await leader.register_component("c")
    with pytest.raises(Refused, match="no restart method"):
        await leader.restart("c")
    with pytest.raises(Refused, match="is unknown"):
        await leader.revive("c")
    with pytest.raises(Refused, match="no mass failure"):
        await leader.resume()
    for order in (leader.hold, leader.restart, leader.revive, leader.reset_circuit_breaker):
        with pytest.raises(Refused, match="no component nobody"):
            await order("nobody")
        with pytest.raises(Refused, match="is no id"):
            await order("a b")
