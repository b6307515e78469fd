"""Alerts from events to a real web service, by replicas over a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from healthmon.errors import HealthmonError
from healthmon.store.calls import call
from healthmon.store.codec import text_map
from tests.alerts.conftest import Write
from tests.alerts.receiver import Receiver
from tests.beats import beating
from tests.inprocess import Replicas, replicas
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
# Nothing falls silent by itself.
CALM: dict[str, Any] = {"heartbeat_timeout": 30, "degraded_threshold": 60, "dead_threshold": 90}


def webhook(receiver: Receiver, more: str = "") -> str:
    return f'[sinks.pager]\nkind = "webhook"\nurl = "{receiver.url}"\ntimeout = 1\n{more}'


async def test_a_component_that_fails_and_recovers_is_told_as_firing_and_resolved_with_how_long_it_was(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    async with replicas(url, "one", alerts_file=alerts_file(webhook(receiver)), **CALM) as here:
        await here.send("id", "api", "status", "failing")
        await eventually(lambda: receiver.told("api") == ["unhealthy"])
        await here.send("id", "api")
        await eventually(lambda: receiver.told("api") == ["unhealthy", "resolved"])
        firing, resolved = receiver.taken
        assert resolved["data"]["incident"] == firing["data"]["incident"]
        assert resolved["data"]["lasted_s"] > 0
        assert "it lasted" in resolved["data"]["summary"]

        await eventually(lambda: nothing_waits(here))
        assert await incidents(here) == {}


async def test_a_sink_that_is_down_loses_nothing_and_neither_blocks_nor_repeats_another(
    url: str, receivers: Callable[[], Receiver], alerts_file: Write
) -> None:
    up, down = receivers(), receivers()
    down.status = 503
    text = webhook(up) + webhook(down).replace("pager", "chat")
    async with replicas(url, "one", alerts_file=alerts_file(text), **CALM) as here:
        for name in ("a", "b", "c"):
            await here.send("id", name, "status", "failing")
        await eventually(lambda: len(up.taken) == 3)
        await eventually(lambda: down.refused > 1)
        down.status = 200
        await eventually(lambda: len(down.taken) == 3)
        assert sorted(up.ids()) == sorted(down.ids())
        assert len(set(up.ids())) == len(up.taken) == 3


async def test_what_a_sink_refuses_for_good_is_a_dead_letter_and_the_next_one_goes_on(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    receiver.refuses = '"bad"'
    async with replicas(url, "one", alerts_file=alerts_file(webhook(receiver)), **CALM) as here:
        await here.send("id", "bad", "status", "failing")
        await here.send("id", "good", "status", "failing")
        await eventually(lambda: receiver.told("good") == ["unhealthy"])
        [letter] = await here.entries(here.keys.alerts_dead)
        assert (letter["sink"], letter["component_id"], receiver.refused) == ("pager", "bad", 1)
        assert "answered 400" in letter["reason"]
        assert json.loads(letter["json"])["id"] == letter["id"]


async def test_what_is_tried_for_too_long_is_a_dead_letter(url: str, receiver: Receiver, alerts_file: Write) -> None:
    receiver.status = 503
    async with replicas(url, "one", alerts_file=alerts_file(f"retry_for = 1\n{webhook(receiver)}"), **CALM) as here:
        await here.send("id", "a", "status", "failing")
        letters = await eventually(lambda: here.entries(here.keys.alerts_dead), 15)
        assert "answered 503" in letters[0]["reason"]
        assert receiver.refused >= 3


async def test_a_storm_of_fifty_is_told_in_twenty_messages_and_one(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    async with replicas(url, "one", alerts_file=alerts_file(f"window = 1.5\n{webhook(receiver)}"), **CALM) as here:
        for number in range(50):
            await here.send("id", f"c{number}", "status", "failing")
        await eventually(lambda: len(receiver.taken) == 21, 10)
        *single, storm = receiver.taken
        assert storm["type"] == "io.healthmon.storm"
        assert storm["data"]["count"] == 30
        told = {one["data"]["component_id"] for one in single}
        in_storm = {one.split("/")[1] for one in storm["data"]["ids"]}
        assert told | in_storm == {f"c{number}" for number in range(50)}
        await eventually(lambda: nothing_waits(here))
        assert len(receiver.taken) == 21


async def test_what_a_told_dependency_explains_is_held_and_told_when_it_lasts_longer(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    async with replicas(
        url,
        "one",
        alerts_file=alerts_file(f"window = 0.5\n{webhook(receiver)}"),
        **CALM,
    ) as here:
        await here.ask("cmd", "register", "id", "db", "policy", "{}")
        await here.ask("cmd", "register", "id", "api", "policy", '{"depends_on":["db"]}')
        for name in ("db", "api"):
            await here.send("id", name)
        await eventually(lambda: states_are(here, db="healthy", api="healthy"))
        await here.send("id", "db", "status", "failing")
        await eventually(lambda: receiver.told("db") == ["unhealthy"])
        await here.send("id", "api", "status", "failing")
        await eventually(lambda: states_are(here, api="unhealthy"))
        await eventually(lambda: nothing_waits(here))
        [held] = [one for one in (await incidents(here)).values() if one["alert"]["subject"] == "api"]
        assert held["sinks"]["pager"]["held"].startswith("inhibited by db@")
        assert receiver.told("api") == []
        await here.send("id", "db")
        await eventually(lambda: receiver.told("db") == ["unhealthy", "resolved"])
        await eventually(lambda: receiver.told("api") == ["unhealthy"])


async def test_of_a_mass_failure_one_message_is_told_and_what_is_only_silent_is_held_until_it_is_over(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    file = alerts_file(f"window = 0.5\n{webhook(receiver)}")
    stay, fall = [f"stays-{number}" for number in range(6)], [f"falls-{number}" for number in range(8)]
    async with (
        replicas(url, "one", alerts_file=file, mass_failure=True) as here,
        beating(url, here.keys.heartbeats, *stay, *fall) as beats,
    ):
        await eventually(lambda: states_are(here, **dict.fromkeys((*stay, *fall), "healthy")))
        beats.silent.update(fall)
        await eventually(lambda: shard_said(receiver) == ["firing"])
        await eventually(lambda: states_are(here, **dict.fromkeys(fall, "unhealthy")))
        await eventually(lambda: nothing_waits(here))
        at_once = {one: receiver.told(one) for one in fall}
        assert "unhealthy" not in [word for said in at_once.values() for word in said]
        await here.ask("cmd", "resume", "by", "ann")
        await eventually(lambda: shard_said(receiver) == ["firing", "resolved"])
        await eventually(lambda: all("dead" in receiver.told(one) for one in fall), 10)


def shard_said(receiver: Receiver) -> list[str]:
    """What was said of the mass failure."""
    return [one["data"]["status"] for one in receiver.taken if one["type"].endswith(".mass_failure")]


async def test_routes_send_each_alert_where_it_belongs(
    url: str, receivers: Callable[[], Receiver], alerts_file: Write
) -> None:
    first, second = receivers(), receivers()
    routes = '[[routes]]\nsinks = ["pager"]\nids = ["web-*"]\n[[routes]]\nsinks = ["chat"]\nroles = ["db"]\n'
    text = webhook(first) + webhook(second).replace("pager", "chat") + routes
    async with replicas(url, "one", alerts_file=alerts_file(text), **CALM) as here:
        await here.send("id", "other", "status", "failing")
        await here.send("id", "web-1", "status", "failing")
        await here.send("id", "pg", "role", "db", "status", "failing")
        await eventually(lambda: first.told("web-1") and second.told("pg"))
        await eventually(lambda: nothing_waits(here))
        assert (len(first.taken), len(second.taken)) == (1, 1)


async def test_what_one_leader_did_not_deliver_the_next_one_does(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    receiver.status = 503
    async with replicas(url, "one", alerts_file=alerts_file(webhook(receiver)), **CALM) as here:
        await here.send("id", "a", "status", "failing")
        await eventually(lambda: receiver.refused)
        await here.start("two")
        await here.stop("one")
        receiver.status = 200
        await eventually(lambda: receiver.told("a") == ["unhealthy"], 15)
        await eventually(lambda: nothing_waits(here))
        await here.start("three")
        await here.stop("two")
        await here.leader()
        await here.send("id", "a")
        await eventually(lambda: receiver.told("a") == ["unhealthy", "resolved"])


async def test_what_lasts_is_told_again_where_that_is_asked_for(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    text = f"remind_every = 0.3\n{webhook(receiver)}"
    async with replicas(url, "one", alerts_file=alerts_file(text), **CALM) as here:
        await here.send("id", "a", "status", "failing")
        await eventually(lambda: len(receiver.taken) >= 3)
        first, second, third = receiver.ids()[:3]
        assert second.startswith(f"{first}/reminder/")
        assert third.startswith(f"{first}/reminder/")
        assert second != third


async def test_an_alertmanager_is_told_again_what_lasts_and_no_more_when_it_is_over(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    text = f'[sinks.am]\nkind = "alertmanager"\nurl = "{receiver.url}"\nrefresh = 0.2\n'
    async with replicas(url, "one", alerts_file=alerts_file(text), **CALM) as here:
        await here.send("id", "a", "status", "failing")
        await eventually(lambda: len(receiver.bodies) >= 3)
        said = [json.loads(body)[0] for body in receiver.bodies]
        assert len({json.dumps([one["labels"], one["startsAt"]]) for one in said}) == 1
        assert said[0]["endsAt"] < said[-1]["endsAt"]
        await here.send("id", "a")
        await eventually(lambda: nothing_waits(here))
        count = len(receiver.bodies)
        assert json.loads(receiver.bodies[-1])[0]["endsAt"] < said[0]["endsAt"]
        await here.send("id", "b", "status", "failing")
        await eventually(lambda: len(receiver.bodies) >= count + 2)
        later = [one["labels"]["component"] for body in receiver.bodies[count:] for one in json.loads(body)]
        assert set(later) == {"b"}


async def test_a_message_that_was_under_way_when_redis_went_comes_once_more_at_most(
    fresh_server: Callable[..., FreshServer], receiver: Receiver, alerts_file: Write
) -> None:
    server = fresh_server(keep=True)
    await server.start()
    async with replicas(server.url, "one", alerts_file=alerts_file(webhook(receiver)), **CALM) as here:
        await here.send("id", "a", "status", "failing")
        await eventually(lambda: receiver.told("a") == ["unhealthy"])
        await server.stop()
        await server.start()
        await here.leader(within_s=15)
        await eventually(lambda: sent_again(here, "a"), 10)
        await eventually(lambda: "resolved" in receiver.told("a"), 15)
        assert len(set(receiver.ids())) == len(set(receiver.told("a")))


async def nothing_waits(here: Replicas) -> bool:
    """Whether every event that was read is acknowledged."""
    try:
        pending = await call(here.client, "XPENDING", here.keys.events, "alerts")
    except HealthmonError:  # the leader has not made the group yet
        return False
    last = await call(here.client, "XINFO", "GROUPS", here.keys.events)
    said = dict(zip(last[0][::2], last[0][1::2], strict=True))
    return bool(pending[0] == 0 and said[b"lag"] == 0)


async def states_are(here: Replicas, **wanted: str) -> bool:
    states = await here.states()
    return all(states.get(name) == state for name, state in wanted.items())


async def incidents(here: Replicas) -> dict[str, dict[str, Any]]:
    stored = text_map(await call(here.client, "HGETALL", here.keys.alerts_firing))
    return {key: json.loads(text) for key, text in stored.items()}


async def sent_again(here: Replicas, name: str) -> bool:
    """Whether a heartbeat was taken; a test's own connection breaks with the server, too."""
    try:
        await here.send("id", name)
    except HealthmonError:
        return False
    return True
