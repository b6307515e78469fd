"""Work over a whole fleet in slices, so that a replica that leads in the same process goes on leading."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

import anyio.lowlevel

from healthmon import clock

T = TypeVar("T")
# How long others may have to wait for one slice.
SLICE_S: Final = 0.002
# The clock is looked at every so many: 50 records take some 50 us to look at, and 1 ms to write out.
LOOK_EVERY: Final = 50


async def in_slices(things: Iterable[T], *, look_every: int = LOOK_EVERY) -> AsyncIterator[T]:
    """All of these, with a pause for others whenever 2 ms have been used up.

    `look_every`: after how many the clock is looked at, where one takes long.
    """
    began_s = clock.monotonic_s()
    for number, thing in enumerate(things, 1):
        yield thing
        if not number % look_every and clock.monotonic_s() - began_s > SLICE_S:
            await anyio.lowlevel.checkpoint()
            began_s = clock.monotonic_s()
