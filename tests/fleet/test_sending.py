"""Many commands at once to real replicas."""

from __future__ import annotations

from typing import Any

import pytest

from healthmon.fleet.difference import Command
from healthmon.fleet.sending import WINDOW, Result, send_all
from healthmon.fleet.stored import stored_components
from healthmon.store.calls import call
from healthmon.store.keys import REJECTED_MAX
from tests.inprocess import Replicas, replicas

pytestmark = pytest.mark.anyio
CALM: dict[str, Any] = {"heartbeat_timeout": 45.0, "degraded_threshold": 90.0, "dead_threshold": 180.0}


def registers(count: int, policy: str = '{"interval":5.0}') -> list[Command]:
    return [Command("register", f"c{n}", policy) for n in range(count)]


async def unanswered(made: Replicas, commands: list[Command], wait_s: float) -> list[Result]:
    return [one.result for one in await send_all(made.client, made.keys, commands, wait_s)]


async def test_more_commands_than_may_wait_at_a_time_are_all_answered(url: str) -> None:
    async with replicas(url, "mon-a", **CALM) as made:
        sent = await send_all(made.client, made.keys, registers(WINDOW + 200), 10.0, by="ann", reason="drill")
        assert {one.result for one in sent} == {Result.DONE}
        stored = await stored_components(made.client, made.keys)
        assert len(stored) == WINDOW + 200
        assert stored["c0"].declared
        assert stored["c0"].policy == {"interval": 5.0}
        entries = await made.entries(made.keys.control)
        assert {(entry["by"], entry["reason"], entry["replace"]) for entry in entries} == {("ann", "drill", "1")}


async def test_every_refusal_is_told_with_its_reason_also_where_more_come_than_are_kept(url: str) -> None:
    async with replicas(url, "mon-a", **CALM) as made:
        bad = registers(1100, '{"interval":"x"}')
        sent = await send_all(made.client, made.keys, [*bad, *registers(3)], 10.0)
        assert [one.result for one in sent] == [Result.REFUSED] * 1100 + [Result.DONE] * 3
        assert {one.reason for one in sent[:1100]} == {"policy interval is 'x'; it must be a number"}


def test_no_more_commands_wait_than_refusals_are_kept_for() -> None:
    assert WINDOW <= REJECTED_MAX // 2


async def test_the_wait_begins_anew_with_every_answer(url: str) -> None:
    """A leader that answers one command every fifth of a second, which is all that `wait_s` has to bridge."""
    async with replicas(url, "mon-a", **CALM) as made:
        await made.stop("mon-a")

        async def answer_slowly() -> None:
            at = b"0-0"
            for _ in range(6):
                ((_, [(at, _)]),) = await call(
                    made.client, "XREAD", "COUNT", 1, "BLOCK", 5000, "STREAMS", made.keys.control, at
                )
                await call(made.client, "XREAD", "BLOCK", 200, "STREAMS", made.keys.blind, "$")  # nothing comes there
                await call(made.client, "XADD", made.keys.events, "*", "type", "registered", "cause", at)

        made.group.start_soon(answer_slowly)
        assert await unanswered(made, registers(6), 1.0) == [Result.DONE] * 6


async def test_commands_survive_a_change_of_the_leader(url: str) -> None:
    async with replicas(url, "mon-a", "mon-b", **CALM) as made:
        leader = await made.leader()

        async def stop_after_the_first() -> None:
            await made.client.xread({made.keys.control: "0-0"}, block=5000)
            await made.stop(leader.settings.replica_id)

        made.group.start_soon(stop_after_the_first)
        sent = await send_all(made.client, made.keys, registers(400), 10.0)
        assert {one.result for one in sent} == {Result.DONE}
        causes = [event["cause"] for event in await made.events(type="registered")]
        assert len(causes) == len(set(causes)) == 400


async def test_without_a_leader_the_wait_ends_and_no_more_is_sent(url: str) -> None:
    async with replicas(url, "mon-a", **CALM) as made:
        await made.stop("mon-a")
        results = await unanswered(made, registers(WINDOW + 7), 0.2)
        assert results == [Result.WAITING] * WINDOW + [Result.NOT_SENT] * 7
        assert await call(made.client, "XLEN", made.keys.control) == WINDOW
