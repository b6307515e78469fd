"""Word to a component that something it depends on is down, or back: so that it can pause, and go on.

The monitor keeps in the component's record which of its dependencies are down; that field is looked at once a second.
Not the events: a fleet in which everybody reads everything would be the next outage.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from healthmon.errors import HealthmonError
from healthmon.store.client import open_sync, store_errors
from healthmon.store.keys import Keys

logger = logging.getLogger("healthmon.agent")
LOOK_EVERY_S: Final = 1.0
TIMEOUT_S: Final = 2.0
FIELD: Final = "dependencies_down"


@dataclass(frozen=True, slots=True)
class DependencyChange:
    """Which dependencies are down now, in the policy's order, and which of them came or went since the last time."""

    down: tuple[str, ...]
    gone: tuple[str, ...]
    back: tuple[str, ...]

    @property
    def all_up(self) -> bool:
        """Whether nothing that the component depends on is down: go on."""
        return not self.down


Told = Callable[[DependencyChange], Awaitable[None] | None]


class DependencyWatch:
    """Looks in a thread of its own, from `start` to `stop`; while Redis is away what was last known stands.

    With a loop the callback is called in it, and may be async; without one it is called in the thread, and may not.
    What it raises is logged.
    """

    def __init__(self, url: str, prefix: str, component_id: str, callback: Told) -> None:
        self._connection = open_sync(url, name=f"{component_id}-dependencies", timeout_s=TIMEOUT_S)
        self._key = Keys(prefix).component(component_id)
        self._callback = callback
        self._down: tuple[str, ...] = ()
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    def start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Begin to look. A daemon thread: it keeps no process alive."""
        self._loop = loop
        threading.Thread(target=self._run, name="healthmon-dependencies", daemon=True).start()

    def stop(self) -> None:
        """No callback is begun any more; the thread ends within a second. It is not waited for."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._look()
            except HealthmonError as error:
                logger.debug("dependencies are not known: %s", error)
                self._connection.disconnect()
            self._stopped.wait(LOOK_EVERY_S)
        self._connection.disconnect()

    def _look(self) -> None:
        with store_errors():
            self._connection.send_command("HMGET", self._key, FIELD)
            (told,) = self._connection.read_response()
        text = told.decode() if isinstance(told, bytes) else str(told or "")
        down, before = tuple(text.split()), self._down
        if down != before and not self._stopped.is_set():
            self._down = down
            gone = tuple(one for one in down if one not in before)
            back = tuple(one for one in before if one not in down)
            self._tell(DependencyChange(down, gone, back))

    def _tell(self, change: DependencyChange) -> None:
        if self._loop is None:
            self._call(change)
            return
        try:
            self._loop.call_soon_threadsafe(self._call, change)
        except RuntimeError:  # the loop is closed: nobody is there to be told
            self._stopped.set()

    def _call(self, change: DependencyChange) -> None:
        try:
            answer = self._callback(change)
        except Exception:
            logger.exception("the dependency callback failed")
            return
        if not inspect.iscoroutine(answer):
            return
        if self._loop is None:
            answer.close()
            logger.error("the dependency callback is async, but the helper was started without a loop: give a function")
            return
        task = self._loop.create_task(_logged(answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _logged(answer: Awaitable[None]) -> None:
    try:
        await answer
    except Exception:
        logger.exception("the dependency callback failed")
