"""Restart by a Python handler of this process: `async def handler(component_id) -> bool`, or a plain function.

Not promised: an end to a handler that swallows its cancellation, or to a plain function that never returns. Such a
function keeps its thread, which is told and counted; the thread does not keep the process from ending.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import anyio
from anyio.from_thread import BlockingPortal

from healthmon.errors import Refused
from healthmon.restarts.attempt import Attempt, Outcome

logger = logging.getLogger("healthmon.restarts")
Handler = Callable[[str], Awaitable[bool] | bool]
EVERY: Final = "*"
# Threads of plain functions, the stuck ones counted: beyond that, attempts fail until this process is restarted.
THREADS_MAX: Final = 16


class Handlers:
    """The restart handlers of this process: one for all components, or one each, which comes first.

    `handlers`: the table that holds them by component id, `*` for all; its owner may change it at any time.
    """

    def __init__(self, handlers: dict[str, Handler] | None = None) -> None:
        self._handlers: dict[str, Handler] = {} if handlers is None else handlers
        self._threads: dict[threading.Thread, str] = {}

    def register(self, handler: Handler, component_id: str = EVERY) -> None:
        """Have this handler restart the component, or all of them; it takes the place of an earlier one.

        Raises Refused for what cannot be called.
        """
        if not callable(handler):
            raise Refused(f"a restart handler is called with a component's id; {handler!r} can't be called")
        self._handlers[component_id] = handler

    def remove(self, component_id: str = EVERY) -> None:
        """Have no such handler any more; nothing happens where there is none."""
        self._handlers.pop(component_id, None)

    def announced(self) -> list[str]:
        """Whom this process can restart: ids, or ["*"] for everybody."""
        return [EVERY] if EVERY in self._handlers else sorted(self._handlers)

    @property
    def stuck(self) -> list[str]:
        """The components whose plain handlers have not returned yet, those in time included."""
        self._threads = {thread: name for thread, name in self._threads.items() if thread.is_alive()}
        return sorted(self._threads.values())

    def serves(self, component_id: str) -> bool:
        """Whether there is a handler for this component."""
        return component_id in self._handlers or EVERY in self._handlers

    async def run(self, attempt: Attempt) -> Outcome:
        """Call the handler, within the time. What goes wrong is a failed attempt with the reason, never an error."""
        handler = self._handlers.get(attempt.id) or self._handlers.get(EVERY)
        if handler is None:
            return Outcome(ok=False, detail="this process has no restart handler for it any more")
        with anyio.move_on_after(attempt.timeout_s) as limit:
            try:
                outcome = _judged(await self._call(handler, attempt.id))
            except anyio.get_cancelled_exc_class():
                if anyio.current_effective_deadline() == -math.inf:
                    raise
                outcome = Outcome(ok=False, detail="the handler was cancelled by what it waited for")
            except (Exception, SystemExit) as error:  # whatever a stranger's code raises: the attempt failed
                logger.warning("the restart handler for %s failed", attempt.id, exc_info=error)
                outcome = Outcome(ok=False, detail=f"the handler raised {type(error).__name__}: {error}")
        if not limit.cancel_called:
            return outcome
        if attempt.id in self.stuck:
            logger.error("the restart handler for %s is stuck: its thread is abandoned", attempt.id)
        return Outcome(ok=False, detail=f"the handler did not return within {attempt.timeout_s:g} s")

    async def _call(self, handler: Handler, component_id: str) -> object:
        if _is_async(handler):
            return await handler(component_id)  # type: ignore[misc]  # a coroutine function gives what can be awaited
        stuck = self.stuck
        if len(stuck) >= THREADS_MAX:
            raise RuntimeError(f"{len(stuck)} handlers have not returned yet, among them that for {stuck[0]}")
        returned = await self._in_thread(handler, component_id)
        return await returned if inspect.isawaitable(returned) else returned

    async def _in_thread(self, handler: Handler, component_id: str) -> object:
        """What a plain function returns or raises. Its thread is a daemon: it ends with the process, stuck or not."""
        ended = anyio.Event()
        results: list[Any] = []
        raised: list[BaseException] = []
        context = contextvars.copy_context()

        def work() -> None:
            try:
                results.append(context.run(handler, component_id))
            except BaseException as error:  # it goes to whoever waits
                raised.append(error)
            with suppress(RuntimeError):  # nobody waits any more
                portal.start_task_soon(ended.set)

        async with BlockingPortal() as portal:
            thread = threading.Thread(target=work, name=f"restart-{component_id}", daemon=True)
            self._threads[thread] = component_id
            thread.start()
            await ended.wait()
        if raised:
            raise raised[0]
        return results[0]


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def _judged(returned: object) -> Outcome:
    if returned is None:
        return Outcome(ok=False, detail="the handler returned None; it must return True where the restart worked")
    return Outcome(ok=bool(returned), detail=f"the handler returned {returned!r}")
