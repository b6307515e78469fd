"""The alarm beside the blocked read rings at the moment that was last set, however late the server answers it."""

from __future__ import annotations

import anyio
import pytest

from healthmon import clock
from healthmon.monitor.wake import Alarm
from healthmon.store.keys import Keys
from healthmon.store.streams import LED, Tail
from tests.proxy import Command, proxy_to
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
# Without an alarm a read ends after a second, and up to 0.1 s later.
SOON_S = 0.7


def unblocks(command: Command) -> bool:
    return command[:2] == [b"CLIENT", b"UNBLOCK"]


async def test_a_moment_that_comes_while_the_answer_to_the_ring_before_is_on_its_way_is_not_slept_through(
    url: str, prefix: str
) -> None:
    async with proxy_to(url) as proxy, anyio.create_task_group() as group:
        tail = Tail(proxy.url, Keys(prefix, 0), "m1")
        await tail.connect()
        alarm, gate = Alarm(tail), proxy.gate("m1-wake")
        gate.delay = unblocks
        group.start_soon(alarm.run)
        began_s = clock.monotonic_s()
        alarm.set(began_s + 0.05)
        await tail.read(LED, block_ms=1000)
        assert clock.monotonic_s() - began_s < SOON_S, "the read was ended, and the answer that says so is late"
        due_s, ended_s = clock.monotonic_s() + 0.02, list[float]()

        async def read() -> None:
            alarm.set(due_s)
            await tail.read(LED, block_ms=1000)
            ended_s.append(clock.monotonic_s())

        group.start_soon(read)
        await eventually(lambda: tail.blocked and clock.monotonic_s() > due_s)
        gate.open()
        await eventually(lambda: ended_s)
        assert 0 <= ended_s[0] - due_s < SOON_S
        group.cancel_scope.cancel()
    await tail.close()
