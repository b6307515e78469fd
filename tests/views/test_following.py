from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from healthmon import clock
from healthmon.core.component import Component, HealthState
from healthmon.core.policy import DEFAULT_POLICY, Defaults
from healthmon.core.table import Table
from healthmon.store.codec import Wire
from healthmon.store.keys import Keys
from healthmon.store.reading import StreamEntry
from healthmon.views.desk import Desk, make_desk
from healthmon.views.following import message_of

pytestmark = pytest.mark.anyio

NOW = 1_795_000_000_000


@pytest.fixture
def desk() -> Desk:
    """A desk over a table of one component, which nobody runs and which never connects."""
    table = Table(Defaults(), Wire())
    limits = DEFAULT_POLICY.limits(table.defaults)
    table.put(Component("a", NOW, DEFAULT_POLICY, limits, state=HealthState.HEALTHY, since_ms=NOW, rev=2))
    url = "redis://127.0.0.1:1/0"
    return make_desk(url, Keys("hm-test"), "a", table=table, now_ms=lambda: NOW + 5, loaded=lambda: True)


def _event(rev: int, **fields: str) -> StreamEntry:
    said = {"type": "transition", "id": "a", "rev": str(rev), "born": str(NOW), **fields}
    return StreamEntry(f"{NOW + rev}-0", said)


async def test_an_event_is_told_when_the_table_knows_of_it(desk: Desk) -> None:
    following, component = desk.following, desk.fleet.table.components["a"]
    with following.viewer() as viewer:
        async with anyio.create_task_group() as group:
            group.start_soon(following._hand_on, _event(3), clock.monotonic_s() + 60)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert viewer.receive.statistics().current_buffer_used == 0
            component.rev = 3
        assert viewer.receive.receive_nowait().id == following.at == f"{NOW + 3}-0"


@pytest.mark.parametrize(
    "entry",
    [
        _event(2),
        _event(9, born=str(NOW - 1)),
        _event(9, id="gone"),
        _event(9, type="forgotten", born=str(NOW - 1)),
        _event(9, id=""),
    ],
)
async def test_what_the_table_knows_or_will_never_know_waits_for_nothing(desk: Desk, entry: StreamEntry) -> None:
    with anyio.fail_after(5):
        await desk.following.applied(entry, clock.monotonic_s() + 60)


async def test_a_replica_that_hangs_delays_an_event_for_a_moment_only(desk: Desk) -> None:
    with anyio.fail_after(5):
        await desk.following.applied(_event(9), clock.monotonic_s() + 0.01)


async def test_nobody_hears_an_event_twice(desk: Desk) -> None:
    following = desk.following
    following.at = "5-0"
    with following.viewer() as viewer:
        for entry_id in ("4-0", "5-0", "6-0", "6-0", "10-0"):
            following._tell(message_of("transition", {}, entry_id))
        viewer.send.close()
        told = [message.id async for message in following.messages(viewer)]
    assert told == ["", "6-0", "10-0"]


async def test_a_silence_that_is_over_is_not_shown_as_one(desk: Desk) -> None:
    component = desk.fleet.table.components["a"]
    component.silenced_until_ms = NOW + 10
    assert desk.fleet.row(component)["silenced_until"] is not None
    component.silenced_until_ms = NOW + 1
    assert desk.fleet.row(component)["silenced_until"] is None


async def test_without_a_word_from_redis_there_is_no_data_yet(desk: Desk) -> None:
    pulse = desk.fleet.pulse()
    assert pulse["freshness"]["word"] == "redis_unreachable"
    assert pulse["freshness"]["remark"] == "Redis unreachable: there is no data yet"
