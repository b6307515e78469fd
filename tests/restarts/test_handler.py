"""Restarts by a Python handler: those that answer, fail, hang, and can't be stopped."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from healthmon.errors import Refused
from healthmon.restarts.attempt import Outcome
from healthmon.restarts.handler import THREADS_MAX, Handlers
from tests.restarts.programs import attempt
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parent.parent.parent


async def outcome_of(handler: Any, timeout_s: float = 5.0) -> Outcome:
    handlers = Handlers()
    handlers.register(handler)
    with anyio.fail_after(20):
        return await handlers.run(attempt(timeout_s=timeout_s))


async def well(component_id: str) -> bool:
    return component_id == "a"


class Restarter:
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, component_id: str) -> bool:
        self.seen.append(component_id)
        return True

    def plainly(self, component_id: str) -> bool:
        self.seen.append(f"{component_id} in {threading.current_thread().name}")
        return True


async def test_a_handler_may_be_async_plain_an_object_or_a_part_of_another_function() -> None:
    restarter = Restarter()

    def handing_on(component_id: str) -> Awaitable[bool]:
        return well(component_id)

    for handler in (well, restarter, restarter.plainly, partial(well), handing_on):
        assert await outcome_of(handler) == Outcome(ok=True, detail="the handler returned True")
    assert restarter.seen == ["a", "a in restart-a"]


@pytest.mark.parametrize("plain", [False, True])
async def test_what_a_handler_returns_or_raises_decides(plain: bool) -> None:
    def made(result: Any) -> Any:
        def run(component_id: str) -> Any:
            if isinstance(result, BaseException):
                raise result
            return result

        async def run_async(component_id: str) -> Any:
            return run(component_id)

        return run if plain else run_async

    cases: list[tuple[Any, bool, str]] = [
        (True, True, "the handler returned True"),
        (False, False, "the handler returned False"),
        (None, False, "the handler returned None; it must return True where the restart worked"),
        (ValueError("no such unit"), False, "the handler raised ValueError: no such unit"),
        (SystemExit(3), False, "the handler raised SystemExit: 3"),
        (TimeoutError(), False, "the handler raised TimeoutError: "),
        (ExceptionGroup("two", [OSError("x")]), False, "the handler raised ExceptionGroup: two (1 sub-exception)"),
        (asyncio.CancelledError(), False, "the handler was cancelled by what it waited for"),
    ]
    for result, ok, detail in cases:
        assert await outcome_of(made(result)) == Outcome(ok, detail)


async def test_the_handler_of_one_component_comes_before_that_of_all() -> None:
    handlers = Handlers()
    assert handlers.announced() == []
    assert not handlers.serves("a")
    handlers.register(lambda _: True, "b")
    handlers.register(lambda _: False, "a")
    assert handlers.announced() == ["a", "b"]
    handlers.register(lambda _: False)
    assert handlers.announced() == ["*"]
    assert handlers.serves("c")
    assert (await handlers.run(attempt("b"))).ok
    assert not (await handlers.run(attempt("a"))).ok
    handlers.register(lambda _: True, "a")
    assert (await handlers.run(attempt("a"))).ok, "a later one takes the place of an earlier one"
    handlers.remove()
    handlers.remove("nobody")
    assert handlers.announced() == ["a", "b"]
    assert (await handlers.run(attempt("c"))).detail == "this process has no restart handler for it any more"


async def test_a_table_of_handlers_that_its_owner_changes_is_followed() -> None:
    table: dict[str, Any] = {}
    handlers = Handlers(table)
    table["a"] = well
    assert handlers.announced() == ["a"]
    assert (await handlers.run(attempt("a"))).ok
    del table["a"]
    assert not handlers.serves("a")


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(Refused, match="'restart' can't be called"):
        Handlers().register("restart")  # type: ignore[arg-type]  # what is refused
    assert Handlers().announced() == []


async def test_an_async_handler_that_never_returns_is_cancelled_at_the_time_out() -> None:
    ended = anyio.Event()

    async def hang(component_id: str) -> bool:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return True

    begun_s = monotonic()
    assert await outcome_of(hang, 0.2) == Outcome(ok=False, detail="the handler did not return within 0.2 s")
    assert ended.is_set()
    assert monotonic() - begun_s < 1


async def test_a_handler_that_answers_its_cancellation_with_success_was_too_late() -> None:
    async def hang(component_id: str) -> bool:
        try:
            await anyio.sleep_forever()
        except BaseException:
            return True
        return False

    assert (await outcome_of(hang, 0.1)).detail == "the handler did not return within 0.1 s"


async def test_a_stuck_thread_is_abandoned_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    release, handlers = threading.Event(), Handlers()
    handlers.register(lambda component_id: component_id == "quick" or release.wait(60))
    try:
        for n in range(THREADS_MAX):
            outcome = await handlers.run(attempt(f"c{n:02}", timeout_s=0.02))
            assert outcome.detail == "the handler did not return within 0.02 s"
        assert handlers.stuck == [f"c{n:02}" for n in range(THREADS_MAX)]
        assert "the restart handler for c00 is stuck: its thread is abandoned" in caplog.text
        refused = await handlers.run(attempt("quick"))
        assert (
            refused.detail
            == "the handler raised RuntimeError: 16 handlers have not returned yet, among them that for c00"
        )
    finally:
        release.set()
    await eventually(lambda: handlers.stuck == [])
    assert (await handlers.run(attempt("quick"))).ok, "a thread that returns late makes room"


async def test_a_plain_handler_does_not_stop_the_loop() -> None:
    release = threading.Event()
    outcomes: list[Outcome] = []

    async def run() -> None:
        outcomes.append(await outcome_of(lambda _: release.wait(10)))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert outcomes == []
        release.set()
    assert outcomes == [Outcome(ok=True, detail="the handler returned True")]


async def test_a_plain_handler_sees_the_context_of_its_process() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    name.set("mine")
    assert (await outcome_of(lambda _: name.get() == "mine")).ok


@pytest.mark.parametrize("plain", [False, True])
async def test_a_cancellation_from_outside_goes_through(plain: bool) -> None:
    release = threading.Event()

    async def hang(component_id: str) -> bool:
        await anyio.sleep_forever()
        return True

    with anyio.move_on_after(0.1) as scope:
        await outcome_of((lambda _: release.wait(10)) if plain else hang, 10)
    release.set()
    assert scope.cancelled_caught


def test_a_stuck_thread_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import anyio, threading\n"
        "from healthmon.restarts.attempt import Attempt\n"
        "from healthmon.restarts.handler import Handlers\n"
        "handlers = Handlers()\n"
        "handlers.register(lambda _: threading.Event().wait())\n"
        "print(anyio.run(handlers.run, Attempt('a', 1, 1, '', '', 0.1)).detail)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )
    assert ended.stdout == "the handler did not return within 0.1 s\n"
