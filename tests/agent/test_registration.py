from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from healthmon.agent import registration
from healthmon.agent.registration import Registration
from healthmon.agent.supervise_plan import Plan
from healthmon.store.calls import open_raw
from healthmon.store.codec import text_map
from healthmon.store.keys import Keys
from tests.agent.reading import ask
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
KEYS = Keys()
RECORD = KEYS.component("web-1")


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "LOOK_EVERY_S", 0.02)


def registered(url: str) -> list[dict[str, object]]:
    entries = [text_map(fields) for _, fields in ask(url, "XRANGE", KEYS.control, "-", "+")]
    assert all((entry["cmd"], entry["id"]) == ("register", "web-1") for entry in entries)
    return [json.loads(entry["policy"]) for entry in entries]


@asynccontextmanager
async def keeping(url: str, **restart: object) -> AsyncIterator[Registration]:
    plan = Plan("web-1", ("true",), url, "healthmon", 10.0, policy={"restart": restart} if restart else {})
    client = open_raw(url, name="test", dedicated=True)
    kept = Registration(plan, client, KEYS)
    async with anyio.create_task_group() as group:
        group.start_soon(kept.keep)
        await kept.asked.wait()
        yield kept
        group.cancel_scope.cancel()
    await client.aclose()


async def looked(url: str) -> None:
    """Returns when the record was asked for twice more."""

    def asked() -> int:
        stats = ask(url, "INFO", "commandstats").decode()
        return int(
            next(line for line in stats.splitlines() if "cmdstat_hmget:" in line).split("calls=")[1].split(",")[0]
        )

    before = asked()
    await eventually(lambda: asked() >= before + 2)


async def test_it_is_asked_for_once_while_nobody_leads(url: str) -> None:
    async with keeping(url, max_retries=3):
        await looked(url)
        assert registered(url) == [{"restart": {"max_retries": 3, "method": "agent"}}]


async def test_a_policy_that_stands_already_is_not_asked_for_again(url: str) -> None:
    ask(url, "HSET", RECORD, "policy", '{"restart":{"max_retries":3,"method":"agent"}}')
    async with keeping(url, max_retries=3):
        await looked(url)
        assert registered(url) == []


async def test_what_a_fleet_file_set_of_its_restarts_is_kept(url: str) -> None:
    ask(url, "HSET", RECORD, "policy", '{"restart":{"max_retries":9,"base_delay":1.5,"method":"agent"}}')
    async with keeping(url, max_retries=3):
        assert registered(url) == [{"restart": {"base_delay": 1.5, "max_retries": 3, "method": "agent"}}]


async def test_another_method_gives_way_to_the_agent(url: str) -> None:
    ask(url, "HSET", RECORD, "policy", '{"restart":{"command":["x"],"method":"exec"}}')
    async with keeping(url):
        assert registered(url) == [{"restart": {"method": "agent"}}]


async def test_it_registers_again_where_the_record_was_lost(url: str) -> None:
    async with keeping(url):
        ask(url, "HSET", RECORD, "policy", '{"restart":{"method":"agent"}}')
        await looked(url)
        assert len(registered(url)) == 1
        ask(url, "DEL", RECORD)
        await eventually(lambda: len(registered(url)) == 2)


async def test_it_registers_again_in_another_data_set(url: str) -> None:
    ask(url, "SET", KEYS.generation, "one")
    async with keeping(url):
        await looked(url)
        ask(url, "SET", KEYS.generation, "two")
        await eventually(lambda: len(registered(url)) == 2)
        await looked(url)
        assert len(registered(url)) == 2
