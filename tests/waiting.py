"""The one place in the tests that sleeps, and only between two looks at what is waited for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar, overload

import anyio

T = TypeVar("T")
LOOK_S = 0.005


@overload
async def eventually(check: Callable[[], Awaitable[T]], within_s: float = ...) -> T: ...


@overload
async def eventually(check: Callable[[], T], within_s: float = ...) -> T: ...


async def eventually(check: Callable[[], Any], within_s: float = 5.0) -> Any:
    """What `check` returns (or its awaitable does) as soon as that is true; it is looked at every 5 ms.

    An AssertionError of `check` counts as not yet. After `within_s` seconds the test fails with the last of it.
    """
    deadline_s = monotonic() + within_s
    while True:
        try:
            found = check()
            seen = await found if inspect.isawaitable(found) else found
            if seen:
                return seen
            last: object = f"it is {seen!r}"
        except AssertionError as error:
            last = error
        assert monotonic() < deadline_s, f"not within {within_s} s: {last}"
        await anyio.sleep(LOOK_S)
