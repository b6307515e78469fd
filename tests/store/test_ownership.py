"""The leases of owners, verb by verb against a real server, and what they mean to a restart."""

from __future__ import annotations

import pytest

from healthmon.errors import HealthmonError, StoreUnavailable
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from healthmon.store.ownership import HeldBy, Owned, OwnerLease, Owners, OwnerVerifier, Wanted
from tests.store.shard import Shard
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
ONE, TWO = Wanted("run_supervisor@one", 60_000), Wanted("start_system@two", 60_000)


async def own(shard: Shard, wanted: Wanted = ONE) -> OwnerLease:
    answer = await Owners(shard.keys).own(shard.client, "c", wanted)
    assert isinstance(answer, Owned)
    return answer.lease


async def now_us(shard: Shard) -> int:
    seconds, micros = await call(shard.client, "TIME")
    return int(seconds) * 1_000_000 + int(micros)


async def test_the_first_owns_with_the_server_s_time_as_epoch_and_the_second_is_told_by_whom(shard: Shard) -> None:
    before_us = await now_us(shard)
    lease = await own(shard)
    assert before_us <= lease.epoch <= await now_us(shard)
    assert await call(shard.client, "GET", shard.keys.owner("c")) == f"run_supervisor@one|{lease.epoch}".encode()
    answer = await Owners(shard.keys).own(shard.client, "c", TWO)
    assert isinstance(answer, HeldBy)
    assert answer.lease == lease
    assert 59_000 < answer.left_ms <= 60_000


async def test_only_the_holder_of_exactly_this_lease_prolongs_it_and_keeps_its_epoch(shard: Shard) -> None:
    lease = await own(shard, Wanted("one", 1000))
    assert await own(shard, Wanted("one", 60_000, held=lease)) == lease
    assert await call(shard.client, "PTTL", shard.keys.owner("c")) > 59_000
    forged = Wanted("two", 60_000, held=OwnerLease("one", lease.epoch - 1))
    assert isinstance(await Owners(shard.keys).own(shard.client, "c", forged), HeldBy)


async def test_a_lease_that_ran_out_is_anybody_s_and_its_former_holder_takes_nothing_back(shard: Shard) -> None:
    lost = await own(shard, Wanted("one", 1))

    async def gone() -> bool:
        return not await call(shard.client, "EXISTS", shard.keys.owner("c"))

    await eventually(gone)
    taken = await own(shard, TWO)
    owners = Owners(shard.keys)
    assert isinstance(await owners.own(shard.client, "c", Wanted("one", 60_000, held=lost)), HeldBy)
    assert not await owners.disown(shard.client, "c", lost)
    found = await owners.owner(shard.client, "c")
    assert found is not None
    assert found.lease == taken


async def test_epochs_rise_also_above_what_the_new_owner_has_seen(shard: Shard) -> None:
    ahead = await now_us(shard) + 3_600_000_000
    lease = await own(shard, Wanted("one", 60_000, floor=ahead))
    assert lease.epoch == ahead + 1
    assert await Owners(shard.keys).disown(shard.client, "c", lease)
    assert await Owners(shard.keys).owner(shard.client, "c") is None


async def test_one_whose_answer_was_lost_owns_what_it_owns(shard: Shard) -> None:
    assert await own(shard) == await own(shard)


async def test_a_refusal_stands_in_the_lease_one_line_long_and_can_be_taken_back(shard: Shard) -> None:
    lease = await own(shard, Wanted("one", 60_000, refusal="I restart|it\nmyself" + "!" * 200))
    assert lease.refusal.startswith("I restart|it�myself!")
    assert len(lease.refusal) == 120
    agreed = await own(shard, Wanted("one", 60_000, held=lease))
    assert agreed == OwnerLease("one", lease.epoch)


@pytest.mark.parametrize(
    ("stored", "lease"),
    [("one|5", OwnerLease("one", 5)), ("one", OwnerLease("one", 0)), ("a|b|c|d", OwnerLease("a", 0, "c|d"))],
)
def test_what_anybody_wrote_by_hand_is_read(stored: str, lease: OwnerLease) -> None:
    assert OwnerLease.read(stored) == lease


async def test_nobody_and_a_silent_owner_agree_to_a_restart_and_a_refusing_one_does_not(shard: Shard) -> None:
    verifier = OwnerVerifier(shard.client, shard.keys)
    assert await verifier.agrees("c") == ""
    lease = await own(shard)
    assert await verifier.agrees("c") == ""
    await own(shard, Wanted(ONE.name, 60_000, held=lease, refusal="upgrading its model"))
    assert await verifier.agrees("c") == "its owner run_supervisor@one refuses: upgrading its model"
    assert await verifier.agrees("another") == ""


async def test_when_nobody_can_be_asked_nobody_has_agreed(shard: Shard) -> None:
    async with open_raw("redis://127.0.0.1:1/0", name="away") as away:
        with pytest.raises(StoreUnavailable):
            await OwnerVerifier(away, Keys()).agrees("c")
    await call(shard.client, "HSET", shard.keys.owner("c"), "a", "b")
    with pytest.raises(HealthmonError, match="WRONGTYPE"):
        await OwnerVerifier(shard.client, shard.keys).agrees("c")
