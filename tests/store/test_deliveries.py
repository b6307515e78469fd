"""What is kept of deliveries: written by the holder of the lease alone, all of it or nothing."""

from __future__ import annotations

import json

import pytest

from healthmon.core.lease import Lease
from healthmon.errors import Fenced
from healthmon.store.calls import call, open_raw
from healthmon.store.deliveries import GROUP, Deliveries, Settled
from healthmon.store.groups import Group
from healthmon.store.keys import Keys
from healthmon.store.scripts import Scripts

pytestmark = pytest.mark.anyio
MINE, OTHER = Lease("one", "1", 7), Lease("two", "1", 8)


async def test_an_event_is_acknowledged_with_what_its_delivery_left_behind_or_neither_is_stored(
    url: str, prefix: str
) -> None:
    keys, client = Keys(prefix), open_raw(url, name="test")
    reader = open_raw(url, name="test-reader", dedicated=True)
    deliveries, group = Deliveries(client, keys, Scripts()), Group(reader, keys, GROUP, "one")
    assert await group.begin("0-0")
    assert not await group.begin("0-0")
    await call(client, "XADD", keys.events, "1-1", "type", "transition")
    assert [entry.id for entry in await group.read()] == ["1-1"]
    settled = Settled(
        done=["1-1"],
        records={"a@1": json.dumps({"began": 1}), "b@1": "no JSON"},
        dead=[{"sink": "pager", "reason": "down"}],
    )
    await call(client, "SET", keys.leader, str(OTHER))
    with pytest.raises(Fenced, match="another leader"):
        await deliveries.settle(MINE, settled)
    assert (await deliveries.waiting(), await deliveries.incidents(), await deliveries.dead_total()) == (1, {}, 0)
    await deliveries.settle(OTHER, settled)
    assert await deliveries.waiting() == 0
    assert await deliveries.incidents() == {"a@1": {"began": 1}}
    [letter] = await deliveries.dead_letters(5)
    assert letter.fields == {"sink": "pager", "reason": "down"}
    await deliveries.settle(OTHER, Settled(over=["a@1"]))
    assert await deliveries.incidents() == {}
    for one in (reader, client):
        await one.aclose()


async def test_what_one_consumer_read_and_did_not_acknowledge_is_claimed_by_another(url: str, prefix: str) -> None:
    keys, client = Keys(prefix), open_raw(url, name="test")
    readers = [open_raw(url, name=f"test-{name}", dedicated=True) for name in ("one", "two")]
    one, two = (Group(reader, keys, "g", name) for reader, name in zip(readers, ("one", "two"), strict=True))
    await one.begin("0-0")
    for number in range(1, 1201):
        await call(client, "XADD", keys.events, f"{number}-0", "n", number)
    read = [entry.id for _ in range(3) for entry in await one.read()]
    assert len(read) == 1200
    await one.acknowledge(*read[:100])
    assert [entry.id for entry in await two.claim(0)] == read[100:]
    assert {(each.name, each.pending) for each in await two.consumers()} == {("one", 0), ("two", 1100)}
    await one.leave()
    await two.leave()
    assert [each.name for each in await two.consumers()] == ["two"]
    for each in (*readers, client):
        await each.aclose()
