from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from healthmon.core.access import EVERYTHING, NOTHING, Grant, Scope
from healthmon.core.refusal import Refusal
from healthmon.errors import StoreUnavailable
from healthmon.gateway.door import Accepted, Door
from healthmon.gateway.rates import Rates
from healthmon.gateway.shape import Said
from healthmon.gateway.shelf import Shelf
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Stream:
    """Where a door appends: takes what comes, when it is let, or is away."""

    def __init__(self) -> None:
        self.calls: list[list[Said]] = []
        self.away = False
        self.gate = anyio.Event()
        self.gate.set()

    async def append(self, beats: Sequence[Said]) -> list[str]:
        await self.gate.wait()
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise StoreUnavailable("Redis is not reachable")
        self.calls.append(list(beats))
        return [f"{len(self.calls)}-{place}" for place in range(len(beats))]

    @property
    def ids(self) -> list[str]:
        return [str(beat["id"]) for call in self.calls for beat in call]


def door(stream: Stream, *, most: int = 100, keep_s: float = 45.0, token: int = 0, component: int = 0) -> Door:
    return Door(stream.append, Shelf(most, keep_s), Rates(token, component))


async def test_what_arrives_while_an_append_is_under_way_goes_together_in_the_next() -> None:
    stream = Stream()
    stream.gate = anyio.Event()
    it = door(stream)
    found: dict[str, Accepted] = {}

    async def send(component: str) -> None:
        found[component] = await it.accept({"component_id": component}, EVERYTHING, "http")

    async with anyio.create_task_group() as group:
        group.start_soon(it.run)
        for n in range(101):
            group.start_soon(send, f"c{n}")
        await anyio.wait_all_tasks_blocked()
        stream.gate.set()
        await eventually(lambda: len(found) == 101)
        group.cancel_scope.cancel()
    assert [len(call) for call in stream.calls] in ([1, 100], [101])
    last = len(stream.calls)
    assert found["c100"].entry == f"{last}-{len(stream.calls[-1]) - 1}", "each is told its own entry"
    assert it.accepted == {"http": 101}


async def test_of_several_each_is_taken_or_refused_for_itself() -> None:
    stream = Stream()
    it = door(stream)
    beats: list[Any] = [{"id": "a"}, {}, {"component_id": ".bad"}, "text", {"id": "b", "metrics": {"x": float("nan")}}]
    async with anyio.create_task_group() as group:
        group.start_soon(it.run)
        outcomes = await it.accept_many(beats, EVERYTHING, "websocket")
        group.cancel_scope.cancel()
    codes = [one.code if isinstance(one, Refusal) else "" for one in outcomes]
    assert codes == ["", "no_id", "bad_id", "not_a_map", ""]
    assert stream.ids == ["a", "b"]
    last = outcomes[-1]
    assert isinstance(last, Accepted)
    assert "no finite number" in last.dropped[0], "a 0/0 must not kill a living component, but is told"
    assert it.accepted == {"websocket": 2}
    assert it.refused == {"no_id": 1, "bad_id": 1, "not_a_map": 1}


@pytest.mark.parametrize(
    ("grant", "status"),
    [
        (NOTHING, 401),
        (Grant("viewer", frozenset({Scope.READ})), 403),
        (Grant("other", frozenset({Scope.WRITE}), ("b*",)), 403),
    ],
)
async def test_who_may_not_write_to_a_component_is_refused(grant: Grant, status: int) -> None:
    it = door(Stream())
    with pytest.raises(Refusal) as refused:
        await it.accept({"id": "a"}, grant, "http")
    assert refused.value.status == status
    assert sum(it.refused.values()) == 1


async def test_who_sends_too_much_is_told_when_to_come_again() -> None:
    stream = Stream()
    it = door(stream, component=3)
    async with anyio.create_task_group() as group:
        group.start_soon(it.run)
        outcomes = await it.accept_many([{"id": "a"}] * 9, EVERYTHING, "http")
        group.cancel_scope.cancel()
    refused = [one for one in outcomes if isinstance(one, Refusal)]
    assert 3 <= len(refused) <= 6, "the second may have turned meanwhile"
    assert {(one.status, one.retry_after_s) for one in refused} == {(429, 1)}


def test_a_token_may_send_so_many_heartbeats_in_a_second_for_all_its_components() -> None:
    rates, refused = Rates(2, 0), []
    for n in range(7):
        try:
            rates.count("ci", f"c{n}")
        except Refusal as refusal:
            refused.append(refusal.message)
    assert refused
    assert refused[0].startswith("ci sends more than 2 heartbeats a second")


async def test_while_redis_is_away_the_newest_of_each_waits_and_comes_with_it() -> None:
    stream = Stream()
    stream.away = True
    it = door(stream)
    async with anyio.create_task_group() as group:
        group.start_soon(it.run)
        for n in range(3):
            assert (await it.accept({"id": "a", "msg": str(n)}, EVERYTHING, "http")).entry == ""
        assert (await it.accept({"id": "b"}, EVERYTHING, "beat")).entry == ""
        assert (it.away, it.waiting) == (True, 2)
        stream.away = False
        await eventually(lambda: not it.away)
        assert [(beat["id"], beat.get("msg")) for call in stream.calls for beat in call] == [("a", "2"), ("b", None)]
        assert it.waiting == 0
        assert (await it.accept({"id": "a"}, EVERYTHING, "http")).entry
        group.cancel_scope.cancel()


async def test_only_a_full_buffer_refuses_and_known_components_still_have_their_place() -> None:
    stream = Stream()
    stream.away = True
    it = door(stream, most=2)
    async with anyio.create_task_group() as group:
        group.start_soon(it.run)
        await it.accept({"id": "a"}, EVERYTHING, "http")
        await it.accept({"id": "b"}, EVERYTHING, "http")
        with pytest.raises(Refusal) as refused:
            await it.accept({"id": "c"}, EVERYTHING, "http")
        assert (refused.value.status, refused.value.code) == (503, "buffer_full")
        assert refused.value.retry_after_s >= 1
        assert (await it.accept({"id": "a", "msg": "new"}, EVERYTHING, "http")).entry == ""
        group.cancel_scope.cancel()


async def test_what_waited_longer_than_the_time_out_is_dropped() -> None:
    stream = Stream()
    stream.away = True
    it = door(stream, keep_s=0.05)
    async with anyio.create_task_group() as group:
        group.start_soon(it.run)
        await it.accept({"id": "old"}, EVERYTHING, "http")
        await eventually(lambda: not it.away)
        stream.away = False
        await it.accept({"id": "new"}, EVERYTHING, "http")
        group.cancel_scope.cancel()
    assert stream.ids == ["new"], "an old sign of life is none"


async def test_what_was_taken_is_appended_before_the_door_closes() -> None:
    stream = Stream()
    it = door(stream)
    stream.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(it.run)
        group.start_soon(it.accept, {"id": "a"}, EVERYTHING, "file")
        await anyio.wait_all_tasks_blocked()
        stream.gate.set()
        group.cancel_scope.cancel()
    assert stream.ids == ["a"]
