"""A Python function of this process: well when it returns nothing or something true, not when it raises or says no.

A synchronous one runs in a thread of its own, a daemon: one that never returns must not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from healthmon.probes.spec import ProbeFailed, Spec

Function = Callable[[], bool | None] | Callable[[], Awaitable[bool | None]]


@dataclass(eq=False)
class Call:
    """A registered function. It runs at most once at a time: one that has not returned is not called again."""

    function: Function
    _running: Future[Any] | asyncio.Future[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a call of it has not returned yet, though its probe may be over."""
        return self._running is not None and not self._running.done()

    async def make(self) -> object:
        """What the function returns. Raises ProbeFailed with what it raised, and when an earlier call still runs.

        When cancelled, a coroutine is cancelled too and not waited for; a thread is left behind.
        """
        if self.busy:
            raise ProbeFailed("the call of an earlier probe has not returned yet")
        if inspect.iscoroutinefunction(self.function):
            return await _through(self._as_task(self.function()))
        verdict = await _through(self._in_thread())
        return await _through(self._as_task(verdict)) if inspect.isawaitable(verdict) else verdict

    def _as_task(self, called: Awaitable[Any]) -> asyncio.Future[Any]:
        task = asyncio.ensure_future(_awaited(called))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps nobody waits any more
        self._running = task
        return task

    def _in_thread(self) -> asyncio.Future[Any]:
        result: Future[Any] = Future()
        result.set_running_or_notify_cancel()
        thread = threading.Thread(target=_run, args=(self.function, result), name="healthmon-probe", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from None
        self._running = result
        return asyncio.wrap_future(result)


async def probe(spec: Spec) -> str:
    """`returned true`. Raises ProbeFailed with what the function returned or raised."""
    if spec.call is None:
        raise ProbeFailed("no function is registered for it in this process")
    verdict = await spec.call()
    if verdict is not None and not verdict:
        raise ProbeFailed(f"returned {verdict!r}")
    return "returned true"


async def _through(called: asyncio.Future[Any]) -> object:
    try:
        await asyncio.wait({called})
    finally:
        called.cancel()
    if called.cancelled():
        raise ProbeFailed("it cancelled itself")
    return called.result()


async def _awaited(called: Awaitable[Any]) -> object:
    try:
        return await called
    except (Exception, SystemExit) as error:  # an exit of the function is no exit of this process
        raise _failure(error) from None


def _run(function: Function, result: Future[Any]) -> None:
    try:
        verdict = function()
    except BaseException as error:  # as in `_awaited`; what is raised in a thread of ours ends nobody else
        result.set_exception(_failure(error))
    else:
        result.set_result(verdict)


def _failure(error: BaseException) -> ProbeFailed:
    return ProbeFailed(f"{type(error).__name__}: {error}".removesuffix(": "))
