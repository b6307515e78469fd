from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis

from healthmon.cli import roll as module
from healthmon.cli.roll import Roll
from healthmon.store.calls import call
from healthmon.store.event_log import EventLog
from healthmon.store.reading import Reader
from healthmon.views.picture import counts_of
from healthmon.views.search import parse_query
from tests.cli.fleet import Fleet


@pytest.fixture
def many(fleet: Fleet) -> Fleet:
    """One dead, 1200 healthy: more than one read takes."""
    fleet.beat("j_prime", interval=10, role="jarvis_prime")
    fleet.passes(200)
    fleet.beat(*(f"api-{n:04}" for n in range(1200)), role="api", interval=300)
    fleet.store()
    return fleet


class Kept:
    """A roll and the commands that it sent, within one connection."""

    def __init__(self, client: Redis, fleet: Fleet) -> None:
        self.reader, self.events = Reader(client, fleet.keys), EventLog(client, fleet.keys)
        self.client, self.keys = client, fleet.keys
        self.roll = Roll(self.reader)

    async def keep(self) -> None:
        await self.roll.keep(counts_of(await self.reader.counts()))

    async def reads(self) -> int:
        """How many records the server has read for it so far."""
        told = str((await call(self.client, "INFO", "commandstats")).decode())
        line = next((line for line in told.splitlines() if line.startswith("cmdstat_hmget:")), "calls=0,")
        return int(line.partition("calls=")[2].partition(",")[0])

    def ids(self, search: str = "", *, problems_only: bool = False) -> list[str]:
        return [row.record["id"] for row in self.roll.ordered(parse_query(search), problems_only=problems_only)]


def within(fleet: Fleet, work: Callable[[Kept], Coroutine[Any, Any, None]]) -> None:
    fleet.run(lambda client: work(Kept(client, fleet)))


async def transition(kept: Kept, component_id: str, before: str, to: str) -> None:
    await call(kept.client, "HSET", kept.keys.component(component_id), "state", to)
    await call(kept.client, "HINCRBY", kept.keys.counts, before, -1)
    await call(kept.client, "HINCRBY", kept.keys.counts, to, 1)
    await call(kept.client, "ZREM", kept.keys.state(before), component_id)
    await call(kept.client, "ZADD", kept.keys.state(to), 5, component_id)


def test_everybody_is_listed_the_worst_first_and_found(many: Fleet) -> None:
    async def work(kept: Kept) -> None:
        await kept.keep()
        ids = kept.ids()
        assert (len(ids), ids[0], ids[1]) == (1201, "j_prime", "api-0000")
        assert kept.ids("role:jarvis_prime") == kept.ids(problems_only=True) == ["j_prime"]
        assert len(kept.ids("role:api")) == 1200
        assert kept.roll.roles() == {"jarvis_prime": {"dead": 1}, "api": {"healthy": 1200}}

    within(many, work)


def test_a_second_of_a_large_fleet_costs_one_small_read(many: Fleet) -> None:
    async def work(kept: Kept) -> None:
        await kept.keep()
        before = await kept.reads()
        await kept.keep()
        assert await kept.reads() - before <= 500

    within(many, work)


def test_an_event_has_its_component_read_again_at_once(many: Fleet) -> None:
    async def work(kept: Kept) -> None:
        await kept.keep()
        await transition(kept, "api-0000", "healthy", "degraded")
        cursor = await kept.events.last()
        await call(kept.client, "XADD", kept.keys.events, "*", "id", "api-0000", "type", "transition")
        kept.roll.touch(await kept.events.after(cursor))
        await kept.keep()
        assert kept.ids(problems_only=True) == ["j_prime", "api-0000"]
        assert kept.roll.roles()["api"] == {"healthy": 1199, "degraded": 1}

    within(many, work)


def test_what_changes_without_an_event_is_seen_after_a_few_turns(many: Fleet) -> None:
    async def work(kept: Kept) -> None:
        await kept.keep()
        await call(kept.client, "HSET", kept.keys.component("api-0700"), "score", "0.4")
        for _ in range(3):
            await kept.keep()
        assert kept.ids("role:api score:<0.5") == ["api-0700"]

    within(many, work)


def test_a_roll_that_differs_from_the_counts_is_read_anew(many: Fleet) -> None:
    async def work(kept: Kept) -> None:
        await kept.keep()
        await call(kept.client, "HSET", kept.keys.component("unheard"), "state", "dead")
        await call(kept.client, "ZADD", kept.keys.state("dead"), 7, "unheard")
        await call(kept.client, "HINCRBY", kept.keys.counts, "dead", 1)
        for _ in range(5):
            await kept.keep()
        assert "unheard" in kept.ids(problems_only=True)

    within(many, work)


def test_one_that_is_forgotten_is_gone(many: Fleet) -> None:
    async def work(kept: Kept) -> None:
        await kept.keep()
        await call(kept.client, "DEL", kept.keys.component("j_prime"))
        for _ in range(3):
            await kept.keep()
        assert "j_prime" not in kept.ids()

    within(many, work)


def test_of_a_fleet_that_is_too_large_the_worst_are_listed(many: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROLL_MAX", 100)

    async def work(kept: Kept) -> None:
        await kept.keep()
        assert (len(kept.ids()), kept.ids()[0]) == (100, "j_prime")
        assert kept.roll.remark(1201) == "the worst 100 are listed"

    within(many, work)
