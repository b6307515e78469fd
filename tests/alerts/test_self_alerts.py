"""What a replica tells of itself, without Redis, to a real web service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from healthmon.alerts.plan import Plan, read_plan
from healthmon.alerts.self_alerts import SelfAlerts
from healthmon.monitor import vigil
from healthmon.run.replica import make_replica
from tests.alerts.conftest import Write
from tests.alerts.receiver import Receiver
from tests.alerts.test_dispatch import webhook
from tests.inprocess import replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


def plan_for(text: str) -> Plan:
    plan, errors = read_plan(text.encode(), {})
    assert errors == ()
    return plan


@asynccontextmanager
async def speaking(text: str) -> AsyncIterator[SelfAlerts]:
    async with anyio.create_task_group() as group:
        own = SelfAlerts(plan_for(text), "healthmon", "mon-a", lambda: 1_795_462_127_112)
        group.start_soon(own.run)
        yield own
        group.cancel_scope.cancel()


def statuses(receiver: Receiver) -> list[str]:
    return [one["data"]["status"] for one in receiver.taken]


async def test_what_lasts_and_its_end_are_told_under_one_key(receiver: Receiver) -> None:
    async with speaking(webhook(receiver)) as own:
        own.note("leaderless", 60.0)
        await eventually(lambda: statuses(receiver) == ["firing"])
        own.note("leaderless", 0)
        await eventually(lambda: statuses(receiver) == ["firing", "resolved"])
    assert {one["data"]["dedup_key"] for one in receiver.taken} == {"healthmon/self"}
    assert receiver.taken[0]["data"]["summary"] == "the monitor mon-a is leaderless for 1 m"


async def test_it_is_over_only_when_nothing_lasts_any_more(receiver: Receiver) -> None:
    async with speaking(webhook(receiver)) as own:
        own.note("leaderless", 60.0)
        await eventually(lambda: len(receiver.taken) == 1)
        own.note("cut off from Redis", 60.0)
        await eventually(lambda: len(receiver.taken) == 2)
        own.note("leaderless", 0)
        await eventually(lambda: len(receiver.taken) == 3)
        own.note("cut off from Redis", 0)
        await eventually(lambda: len(receiver.taken) == 4)
    assert statuses(receiver) == ["firing", "firing", "firing", "resolved"]


async def test_a_sink_that_was_down_hears_the_newest_and_nothing_of_what_it_missed_whole(receiver: Receiver) -> None:
    receiver.status = 503
    async with speaking(webhook(receiver)) as own:
        own.note("leaderless", 60.0)
        await eventually(lambda: receiver.refused)
        own.note("cut off from Redis", 60.0)
        receiver.status = 200
        await eventually(lambda: len(receiver.taken) == 1)
    assert "cut off from Redis and leaderless" in receiver.taken[0]["data"]["summary"]


async def test_a_route_for_a_severity_takes_them_and_one_for_ids_does_not_keep_them_from_all(
    receiver: Receiver,
) -> None:
    text = webhook(receiver) + '[sinks.log]\nkind = "log"\n[[routes]]\nsinks = ["log"]\nids = ["x"]\n'
    async with speaking(text) as own:
        own.note("leaderless", 60.0)
        await eventually(lambda: statuses(receiver) == ["firing"])


async def test_a_replica_hands_what_its_vigil_finds_to_its_sinks(
    url: str, receiver: Receiver, alerts_file: Write
) -> None:
    async with replicas(url, "one", alerts_file=alerts_file(webhook(receiver))) as here:
        here.members["one"].vigil.watch({"standing still": True}, 1.0)
        here.members["one"].vigil.watch({"standing still": True}, 62.0)
        await eventually(lambda: statuses(receiver) == ["firing"])
        assert "the monitor one is standing still for 1 m 1 s" in receiver.taken[0]["data"]["summary"]


async def test_a_gateway_says_that_nobody_leads_when_no_monitor_is_left_to_say_it(
    url: str, receiver: Receiver, alerts_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vigil, "TOLD_AFTER_S", 0.2)
    async with replicas(url, "one") as here, anyio.create_task_group() as group:
        settings = here.members["one"].settings.model_copy(
            update={"replica_id": "gate", "alerts_file": Path(alerts_file(webhook(receiver)))}
        )
        gateway = make_replica(settings, observes=True)
        group.start_soon(gateway.run)
        await eventually(gateway.loaded.is_set)
        await here.stop("one")
        await eventually(lambda: statuses(receiver) == ["firing"])
        assert "the monitor gate is leaderless" in receiver.taken[0]["data"]["summary"]
        await here.start("two")
        await eventually(lambda: statuses(receiver) == ["firing", "resolved"])
        group.cancel_scope.cancel()
