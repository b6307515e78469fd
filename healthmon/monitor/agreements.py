"""Whether the owners of components agree to a restart: asked outside the round, the answers looked up in it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import anyio

from healthmon import clock
from healthmon.core.component import Component
from healthmon.errors import HealthmonError

logger = logging.getLogger("healthmon.monitor")
ASKED_MAX: Final = 1000
# An answer is good for so long; an owner that refuses is asked again.
GOOD_S: Final = 2.0
ANSWER_S: Final = 5.0
WAITING: Final = "its owner has not been asked yet"

# Given a component's id: "" when its owner agrees, or has none; else why not.
Verifier = Callable[[str], Awaitable[str]]


class Agreements:
    """Answers of owners, by component. Whoever is looked up is asked; a verifier that fails or hangs refuses.

    `answered` is set with each answer; who looks them all up clears it.
    """

    def __init__(self, verifier: Verifier | None = None) -> None:
        self.verifier = verifier
        self.answered = False
        self._answers: dict[str, tuple[float, str]] = {}
        self._asked: dict[str, None] = {}
        self._wanted = anyio.Event()

    def of(self, component: Component) -> str:
        """Why the owner refuses, "" when it agrees; without an answer yet it is asked, and the attempt waits."""
        if self.verifier is None:
            return ""
        at_s, answer = self._answers.get(component.id, (-1e9, WAITING))
        if clock.monotonic_s() - at_s <= GOOD_S:
            return answer
        if len(self._asked) < ASKED_MAX:
            self._asked[component.id] = None
            self._wanted.set()
        return answer or WAITING

    def keep_only(self, due: Iterable[Component]) -> None:
        """Forget the answers of all others."""
        if self._answers:
            ids = {component.id for component in due}
            self._answers = {one: answer for one, answer in self._answers.items() if one in ids}

    async def run(self, ring: Callable[[], None]) -> None:
        """Ask, one after the other; `ring` is called after each answer. Until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            while self._asked:
                component_id = next(iter(self._asked))
                answer = await self._ask(component_id)
                self._answers[component_id] = (clock.monotonic_s(), answer)
                self._asked.pop(component_id, None)
                self.answered = True
                ring()

    async def _ask(self, component_id: str) -> str:
        try:
            with anyio.fail_after(ANSWER_S):
                return await self.verifier(component_id) if self.verifier else ""
        except TimeoutError:
            return f"its owner was asked and gave no answer within {ANSWER_S:g} s"
        except HealthmonError as error:
            return f"its owner could not be asked: {error}"
        except Exception as error:
            logger.exception("the ownership verifier failed")
            return f"the ownership verifier failed: {error}"
