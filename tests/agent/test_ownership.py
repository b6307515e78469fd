"""Who owns a component: two programs, one that dies, one that is cut off, one that refuses restarts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from healthmon.agent.ownership import Ownership, OwnershipCoordinator, get_unified_coordinator
from healthmon.core.roles import ComponentType, EntryPoint
from healthmon.errors import ConfigurationError, HealthmonError, Refused, StoreUnavailable
from healthmon.store.calls import Client, call, open_raw
from healthmon.store.keys import Keys
from healthmon.store.ownership import OwnerVerifier
from tests.proxy import proxy_to
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
BODY, SUPERVISOR, SYSTEM = ComponentType.JARVIS_BODY, EntryPoint.RUN_SUPERVISOR, EntryPoint.START_SYSTEM
KEY = Keys().owner("jarvis_body")
# A program that owns its component and then either lives on (until it is killed) or simply ends.
PROGRAM = """
import asyncio, sys
from healthmon.agent.ownership import OwnershipCoordinator

async def main():
    coordinator = OwnershipCoordinator(sys.argv[1], lease_ttl=1.0)
    await coordinator.start()
    print(bool(await coordinator.acquire_ownership("jarvis_body", "start_system")), flush=True)
    await asyncio.sleep(float(sys.argv[2]))

asyncio.run(main())
"""


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with open_raw(url, name="test") as client:
        yield client


@asynccontextmanager
async def program(url: str, lives_s: float) -> AsyncIterator[anyio.abc.Process]:
    """The program above, once it owns the component."""
    async with await anyio.open_process([sys.executable, "-c", PROGRAM, url, str(lives_s)], stderr=None) as process:
        assert process.stdout is not None
        assert await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 100) == b"True"
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def test_one_program_owns_a_component_and_the_other_learns_who_does(url: str) -> None:
    async with OwnershipCoordinator(url) as one, OwnershipCoordinator(url) as two:
        mine = await one.acquire_ownership(component=BODY, entry_point=SUPERVISOR)
        assert mine
        assert (mine.component_id, mine.entry_point, mine.refusal) == ("jarvis_body", "run_supervisor", "")
        theirs = await two.acquire_ownership(BODY, SYSTEM)
        assert not theirs
        assert (theirs.owner, theirs.epoch, theirs.entry_point) == (mine.owner, mine.epoch, "run_supervisor")
        assert 14 < theirs.left_s <= 15
        assert (bool(await one.verify(BODY)), bool(await two.verify(BODY))) == (True, False)
        assert (one.owns(BODY), two.owns(BODY)) == (True, False)


async def test_what_is_released_or_ended_is_the_next_one_s_at_once_under_a_higher_epoch(url: str) -> None:
    async with OwnershipCoordinator(url) as two:
        async with OwnershipCoordinator(url) as one:
            first = await one.acquire_ownership(BODY, SUPERVISOR)
            assert await one.release(BODY)
            assert not await one.release(BODY)
            assert await two.verify(BODY) == Ownership("jarvis_body")
            second = await two.acquire_ownership(BODY, SYSTEM)
            assert await two.release(BODY)
            await one.acquire_ownership(BODY, SUPERVISOR)
        third = await two.acquire_ownership(BODY, SYSTEM)
        assert third
        assert first.epoch < second.epoch < third.epoch


async def test_a_lease_is_renewed_for_as_long_as_its_owner_lives(url: str, client: Client) -> None:
    async with OwnershipCoordinator(url, lease_ttl=0.5) as one:
        mine = await one.acquire_ownership(BODY, SUPERVISOR, refuse="it restarts itself")
        renewed, left_ms = 0, 500

        async def renewals() -> bool:
            nonlocal renewed, left_ms
            before_ms, left_ms = left_ms, int(await call(client, "PTTL", KEY))
            renewed += left_ms > before_ms
            return renewed >= 6

        await eventually(renewals)
        still = await one.verify(BODY)
        assert (bool(still), still.owner, still.epoch, still.refusal) == (True, mine.owner, mine.epoch, mine.refusal)


async def test_a_killed_owner_loses_its_component_when_its_lease_runs_out(url: str) -> None:
    async with program(url, 60) as process, OwnershipCoordinator(url) as coordinator:
        theirs = await coordinator.acquire_ownership(BODY, SUPERVISOR)
        assert theirs.entry_point == "start_system"
        process.kill()
        begun_s = monotonic()
        mine = await coordinator.acquire_ownership(BODY, SUPERVISOR, wait=5)
        assert mine
        assert mine.epoch > theirs.epoch
        assert monotonic() - begun_s < 2


async def test_a_program_that_ends_without_stop_gives_up_what_it_owned(url: str, client: Client) -> None:
    async with program(url, 0.05) as process:
        assert await process.wait() == 0
        assert not await call(client, "EXISTS", KEY)


async def test_an_owner_that_was_cut_off_is_told_what_it_lost_and_takes_nothing_back(url: str) -> None:
    lost: list[Ownership] = []
    async with (
        proxy_to(url) as door,
        OwnershipCoordinator(door.url, lease_ttl=0.6, on_lost=lost.append) as one,
        OwnershipCoordinator(url) as two,
    ):
        await one.acquire_ownership(BODY, SUPERVISOR)
        door.gate("owner").freeze()
        mine = await two.acquire_ownership(BODY, SYSTEM, wait=5)
        assert mine
        assert not one.owns(BODY)
        door.gate("owner").open()
        await eventually(lambda: lost)
        assert (lost[0].owner, lost[0].mine) == (mine.owner, False)
        assert await two.verify(BODY)
        assert not await one.release(BODY)


async def test_a_lease_that_nobody_took_while_redis_was_away_is_taken_again(
    fresh_server: Callable[..., FreshServer],
) -> None:
    server = fresh_server()
    async with OwnershipCoordinator(await server.start(), lease_ttl=0.6) as one:
        first = await one.acquire_ownership(BODY, SUPERVISOR)
        await server.stop()
        await eventually(lambda: not one.owns(BODY))
        with pytest.raises(StoreUnavailable):
            await one.verify(BODY)
        await server.start()
        await eventually(lambda: one.owns(BODY))
        assert (await one.verify(BODY)).epoch > first.epoch


async def test_one_whose_answer_was_lost_asks_again_and_owns_it(url: str) -> None:
    async with proxy_to(url) as door, OwnershipCoordinator(door.url) as one:
        await one.acquire_ownership("other", SUPERVISOR)
        door.gate("owner").lose = lambda command: command[0] == b"EVALSHA"
        with pytest.raises(StoreUnavailable):
            await one.acquire_ownership(BODY, SUPERVISOR)
        stored = await one.verify(BODY)
        mine = await one.acquire_ownership(BODY, SUPERVISOR)
        assert mine
        assert (stored.owner, stored.epoch) == (mine.owner, mine.epoch)


async def test_the_owner_says_whether_its_component_may_be_restarted(url: str, client: Client) -> None:
    verifier = OwnerVerifier(client, Keys())
    async with OwnershipCoordinator(url) as one:
        mine = await one.acquire_ownership(BODY, SUPERVISOR)
        assert await verifier.agrees("jarvis_body") == ""
        await one.refuse_restarts(BODY, "upgrading its model")
        assert await verifier.agrees("jarvis_body") == f"its owner {mine.owner} refuses: upgrading its model"
        assert not (await one.allow_restarts(BODY)).refusal
        assert await verifier.agrees("jarvis_body") == ""
        with pytest.raises(Refused, match="needs a reason"):
            await one.refuse_restarts(BODY, "")
        with pytest.raises(Refused, match="not owned here"):
            await one.refuse_restarts("another", "mine")


async def test_two_entry_points_of_one_program_do_not_share_a_component(url: str) -> None:
    async with OwnershipCoordinator(url) as one:
        mine = await one.acquire_ownership(BODY, SUPERVISOR)
        again = await one.acquire_ownership(BODY, SYSTEM)
        assert not again
        assert again.owner == mine.owner
        assert one.owns(BODY)


@pytest.mark.parametrize("bad", ["", ".hidden", "a b", "a|b", 7])
async def test_a_bad_id_is_refused_before_anything_is_sent(url: str, bad: str) -> None:
    async with OwnershipCoordinator(url) as one:
        with pytest.raises(Refused, match="is no component"):
            await one.acquire_ownership(bad, SUPERVISOR)
        with pytest.raises(Refused, match="is no entry point"):
            await one.acquire_ownership(BODY, bad)


async def test_an_entry_point_with_the_sign_that_parts_it_from_the_process_is_refused(url: str) -> None:
    async with OwnershipCoordinator(url) as one:
        with pytest.raises(Refused, match="no @"):
            await one.acquire_ownership(BODY, "me@home")


async def test_nonsense_is_refused_at_construction_and_calls_before_start_say_so(url: str) -> None:
    for lease_ttl in (0.4, 3601, float("nan")):
        with pytest.raises(ConfigurationError, match="lease_ttl"):
            OwnershipCoordinator(url, lease_ttl=lease_ttl)
    with pytest.raises(HealthmonError, match="not started"):
        await OwnershipCoordinator(url).acquire_ownership(BODY, SUPERVISOR)


async def test_a_stop_waits_a_second_for_redis_at_most_and_leaves_no_task(
    fresh_server: Callable[..., FreshServer],
) -> None:
    server = fresh_server()
    one = OwnershipCoordinator(await server.start())
    await one.start()
    await one.acquire_ownership(BODY, SUPERVISOR)
    server.freeze()
    begun_s = monotonic()
    await one.stop()
    assert monotonic() - begun_s < 2
    server.thaw()
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("healthmon")] == []


async def test_a_loop_has_one_coordinator(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", url)
    one = await get_unified_coordinator(lease_ttl=5.0)
    try:
        assert await get_unified_coordinator() is one
        with pytest.raises(ConfigurationError, match="without any"):
            await get_unified_coordinator(lease_ttl=6.0)
    finally:
        await one.stop()
    with pytest.raises(HealthmonError, match="not started"):
        await one.verify(BODY)
