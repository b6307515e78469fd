"""Probes by Python functions, the well-behaved and the others."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from healthmon.probes.callable import Call
from healthmon.probes.kinds import probe
from healthmon.probes.spec import ProbeResult, spec_of
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def ask(function: Callable[[], Any], timeout_s: float = 5.0) -> ProbeResult:
    return await probe(spec_of({"callable": True}, Call(function).make), timeout_s)


async def well() -> bool:
    return True


async def ill() -> bool:
    raise LookupError("no rows")


async def test_true_and_nothing_are_well_from_either_kind_of_function() -> None:
    for function in (lambda: True, lambda: None, well, lambda: well()):  # noqa: PLW0108  # a coroutine from a lambda
        result = await ask(function)
        assert (result.outcome, result.detail) == ("ok", "returned true")


async def test_false_and_an_exception_are_failures_with_their_text() -> None:
    def broken() -> bool:
        raise ValueError("no\nrows")

    async def leaves() -> None:
        sys.exit(3)

    details: dict[str, Callable[[], Any]]
    details = {"returned False": lambda: False, "returned 0": lambda: 0, "ValueError: no rows": broken}
    details |= {"LookupError: no rows": ill, "SystemExit: 3": lambda: sys.exit(3)}
    for detail, function in details.items():
        result = await ask(function)
        assert (result.outcome, result.detail) == ("failed", detail)
    assert (await ask(leaves)).detail == "SystemExit: 3"
    assert (await ask(lambda: next(iter(())))).detail == "StopIteration"


async def test_refusal_within_a_function_is_no_proof() -> None:
    def refused() -> bool:
        raise ConnectionRefusedError(111, "Connection refused")

    assert (await ask(refused)).outcome == "failed"


async def test_a_function_that_awaits_what_was_cancelled_fails() -> None:
    async def awaits() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    result = await ask(awaits)
    assert (result.outcome, result.detail) == ("failed", "it cancelled itself")


async def test_a_synchronous_function_that_never_returns_fails_and_is_not_called_twice() -> None:
    end, calls = threading.Event(), []

    def hangs() -> bool:
        calls.append(threading.current_thread())
        return end.wait(20)

    call = Call(hangs)
    spec = spec_of({"callable": True}, call.make)
    first, second = await probe(spec, 0.2), await probe(spec, 0.2)
    assert (first.outcome, first.detail) == ("failed", "did not return within 0.2 s")
    assert (second.outcome, second.detail) == ("failed", "the call of an earlier probe has not returned yet")
    assert len(calls) == 1
    assert calls[0].daemon
    assert call.busy
    end.set()
    await eventually(lambda: not call.busy)
    assert (await probe(spec, 5)).outcome == "ok"


async def test_a_coroutine_that_resists_being_cancelled_does_not_hold_the_probe() -> None:
    end = anyio.Event()

    async def resists() -> None:
        while not end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await end.wait()

    call = Call(resists)
    result = await probe(spec_of({"callable": True}, call.make), 0.2)
    assert (result.outcome, result.ms < 1000) == ("failed", True)
    assert call.busy
    end.set()
    await eventually(lambda: not call.busy)


async def test_without_a_function_the_probe_says_so() -> None:
    result = await probe(spec_of({"callable": True}), 1)
    assert (result.outcome, result.detail) == ("failed", "no function is registered for it in this process")
