"""Whole replicas: a component that falls silent is restarted by each method, and lives."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from healthmon.run.replica import make_replica
from healthmon.settings import load_settings
from tests.inprocess import QUICK, Replicas, replicas
from tests.restarts.programs import python
from tests.restarts.receiver import Receiver
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
BEAT = (
    "import sys, redis\n"
    "from redis.backoff import NoBackoff\n"
    "from redis.retry import Retry\n"
    "url, stream, name = sys.argv[1:]\n"
    "redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)).xadd(stream, {'id': name, 'incarnation': 'new'})\n"
)


async def declare(fleet: Replicas, name: str, **restart: Any) -> None:
    """A component that beat once, in its first incarnation, and falls silent."""
    policy = {"restart": {"base_delay": 0.05, "timeout": 5, "reset_after": 600, **restart}}
    await fleet.ask("cmd", "register", "id", name, "policy", json.dumps(policy))
    await fleet.send("id", name, "incarnation", "old")


async def came_back(fleet: Replicas, name: str, by: str) -> None:
    """Its restart was claimed, taken and carried out once, and it was heard from in its new incarnation."""

    async def lives() -> bool:
        record = await fleet.record(name)
        if record.get("state") == "initializing":
            await fleet.send("id", name, "incarnation", "new")  # it beats on
        assert (record.get("state"), record.get("incarnation")) == ("healthy", "new"), record.get("reason")
        return True

    async def told() -> bool:
        entries = await fleet.entries(fleet.keys.control)
        reports = [one for one in entries if one.get("id") == name and one["cmd"] == "report"]
        assert [(one.get("taken"), one.get("ok")) for one in reports] == [(by, None), (None, "1")], reports
        return True

    await eventually(lives, 20)
    await eventually(told)
    states = [event["to"] for event in await fleet.events(id=name, type="transition")]
    assert [state for state in states if state in ("dead", "restarting")] == ["dead", "restarting"], states


async def test_a_silent_component_is_restarted_by_its_command(url: str, prefix: str) -> None:
    async with replicas(url, "m1", "m2", allow_exec=True) as fleet:
        leader = (await fleet.leader()).settings.replica_id
        await declare(fleet, "a", method="exec", command=list(python(BEAT, url, fleet.keys.heartbeats, "a")))
        await came_back(fleet, "a", leader)


async def test_a_silent_component_is_restarted_by_its_webhook(
    url: str, prefix: str, receivers: Callable[[], Receiver]
) -> None:
    receiver = receivers()
    async with replicas(url, "m1") as fleet:
        await declare(fleet, "a", method="webhook", url=f"{receiver.url}/restart")
        await eventually(lambda: receiver.calls, 20)
        await fleet.send("id", "a", "incarnation", "new")
        await came_back(fleet, "a", "m1")
    assert len(receiver.calls) == 1


async def test_a_handler_of_a_follower_is_called_by_the_follower(url: str, prefix: str) -> None:
    called: list[str] = []

    async with replicas(url, "m1") as fleet:

        async def restart(component_id: str) -> bool:
            called.append(component_id)
            await fleet.send("id", component_id, "incarnation", "new")
            return True

        settings = load_settings(redis_url=url, prefix=prefix, replica_id="m2", **QUICK)
        follower = make_replica(settings, handlers={"a": restart})
        fleet.group.start_soon(follower.run)
        await eventually(follower.loaded.is_set, 10)
        await declare(fleet, "a", method="handler")
        await eventually(partial(bool, called), 20)
        await came_back(fleet, "a", "m2")
        assert (await fleet.leader()).settings.replica_id == "m1"
        fleet.group.cancel_scope.cancel()
    assert called == ["a"]


async def test_a_command_that_fails_every_time_ends_permanently_failed_with_its_last_words(
    url: str, prefix: str, tmp_path: Path
) -> None:
    source = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit('port 8080 is in use')"
    async with replicas(url, "m1", allow_exec=True) as fleet:
        command = list(python(source, tmp_path / "calls"))
        await declare(fleet, "a", method="exec", command=command, max_retries=3)

        async def gave_up() -> bool:
            return (await fleet.record("a")).get("state") == "permanently_failed"

        await eventually(gave_up, 20)
        events = await fleet.events(id="a")
    assert (tmp_path / "calls").read_text() == "xxx"
    assert any("exit code 1: port 8080 is in use" in event["reason"] for event in events)
