"""Packing reports, and keeping them while they can't be sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgpack
import pytest

from healthmon.errors import StoreUnavailable
from healthmon.probes.reports import Outbox, Report, packs, sending
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(outbox.run)
        yield
        group.cancel_scope.cancel()


async def test_packs_hold_as_much_as_an_entry_may_and_all_that_was_reported() -> None:
    reports = [Report(f"component-{n:0100}", n, "failed", n, "ä" * 200) for n in range(1000)]
    made = list(packs(reports))
    assert [report for _, part in made for report in part] == reports
    assert [Report(*one) for pack, _ in made for one in msgpack.unpackb(pack)] == reports
    assert all(len(pack) <= 16_384 - 256 for pack, _ in made)
    assert len(made) < 1000 * len(msgpack.packb(reports[-1])) / 16_000 + 2
    assert list(packs([])) == []


async def test_an_entry_is_what_the_contract_says(url: str, prefix: str) -> None:
    keys = Keys(prefix, 0)
    async with open_raw(url, name="test") as client:
        ((pack, _),) = packs([Report("a", 3, "ok", 12, "PONG")])
        await sending(client, keys)(pack)
        ((_, fields),) = await call(client, "XRANGE", keys.control, "-", "+")
        await call(client, "DEL", keys.control)
    assert fields[:5] == [b"cmd", b"report", b"kind", b"probe", b"p"]
    assert msgpack.unpackb(fields[5]) == [["a", 3, "ok", 12, "PONG"]]


async def test_while_nothing_can_be_sent_the_newest_of_each_waits_and_the_old_goes() -> None:
    away, sent, tried = True, list[list[object]](), 0

    async def send(pack: bytes) -> None:
        nonlocal tried
        tried += 1
        if away:
            raise StoreUnavailable("away")
        sent.extend(msgpack.unpackb(pack))

    outbox = Outbox(send)
    async with running(outbox):
        outbox.add(Report("a", 1, "failed", 1, "first"), keep_s=60, urgent=True)
        outbox.add(Report("a", 1, "ok", 1, "second"), keep_s=60)
        outbox.add(Report("b", 1, "ok", 1, "old"), keep_s=0)
        outbox._waiting[-1] = (outbox._waiting[-1][0], 0.0)
        await eventually(lambda: tried >= 2)
        assert [report.detail for report, _ in outbox._waiting] == ["second"]
        away = False
        await eventually(lambda: sent, 8)
    assert sent == [["a", 1, "ok", 1, "second"]]


async def test_results_of_one_component_are_all_sent_while_redis_is_there() -> None:
    sent = list[list[object]]()

    async def send(pack: bytes) -> None:
        sent.extend(msgpack.unpackb(pack))

    outbox = Outbox(send)
    async with running(outbox):
        for number in range(3):
            outbox.add(Report("a", number, "failed", 1, ""), keep_s=0.1)
        await eventually(lambda: len(sent) == 3)
