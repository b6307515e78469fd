from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from healthmon import clock
from healthmon.views.slices import SLICE_S, in_slices

pytestmark = pytest.mark.anyio


async def test_others_get_their_turn_while_a_long_work_goes_on() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(others)
        began_s, seen = clock.monotonic_s(), 0
        async for number in in_slices(range(200), look_every=1):
            while clock.monotonic_s() - began_s < number * SLICE_S / 10:
                pass
            seen += 1
        group.cancel_scope.cancel()
    assert seen == 200
    assert 5 <= turns <= 200


async def test_a_short_work_is_done_at_once() -> None:
    turned = False

    async def other() -> None:
        nonlocal turned
        turned = True

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        assert [one async for one in in_slices("abc")] == ["a", "b", "c"]
        assert not turned
