"""A record that takes the place of another in the table gets everything that was folded into that one."""

from __future__ import annotations

import pytest

from healthmon.core.component import Component
from healthmon.core.policy import DEFAULT_POLICY, Defaults
from healthmon.core.reporting import fold_report
from healthmon.core.table import Table
from healthmon.monitor.refold import refold
from healthmon.store.calls import call, open_raw
from healthmon.store.codec import Wire
from healthmon.store.keys import Keys
from healthmon.store.streams import FOLLOWED, Tail, in_order

pytestmark = pytest.mark.anyio
FAILURE = ("cmd", "report", "kind", "failure", "detail", "disk full")


async def test_heartbeats_and_reports_that_were_folded_into_the_one_before_are_folded_again_and_none_twice(
    url: str, prefix: str
) -> None:
    keys, defaults = Keys(prefix, 0), Defaults()
    table, tail = Table(defaults, Wire()), Tail(url, keys, "m1")
    client = open_raw(url, name="sender")
    for words in ((keys.heartbeats, "*", "id", "a"), (keys.heartbeats, "*", "id", "b")):
        await call(client, "XADD", *words)
    later = int((await call(client, "TIME"))[0]) * 1000 + 60_000
    for n, one in enumerate(("a", "b", "a")):
        await call(client, "XADD", keys.control, f"{later + n}-0", *FAILURE, "id", one)
    for heartbeats, command in in_order(await tail.read(FOLLOWED)):
        table.fold(heartbeats)
        assert command is None or fold_report(table, command)
    before = table.get("a")
    assert before is not None
    record = Component("a", before.born_ms, DEFAULT_POLICY, DEFAULT_POLICY.limits(defaults), since_ms=before.born_ms)
    for _ in range(2):
        table.put(record)
        await refold(table, tail, [record])
        assert (record.total_heartbeats, record.failures.recorded, record.failures.total) == (1, 2, 2)
    other = table.get("b")
    assert other is not None
    assert (other.total_heartbeats, other.failures.recorded) == (1, 1)
    await tail.close()
    await client.aclose()
