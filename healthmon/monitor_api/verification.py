"""Who is asked before a component is restarted: what a program plugged in, else whom the replica asks by itself."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from healthmon.monitor.agreements import Agreements
from healthmon.monitor.agreements import Verifier as Asked

Answer = str | bool
Verifier = Callable[[str], Answer | Awaitable[Answer]]


class Verification:
    """Puts a program's verifier in the place of the replica's own, now and at each later start."""

    def __init__(self) -> None:
        self._plugged: Verifier | None = None
        self._agreements: Agreements | None = None
        self._own: Asked | None = None

    def plug(self, verifier: Verifier | None) -> None:
        """Ask this one from here on; None: the replica's own."""
        self._plugged = verifier
        if self._agreements is not None:
            self._agreements.verifier = self._own if verifier is None else self._agrees

    def join(self, agreements: Agreements) -> None:
        """A new replica, which asks here."""
        self._agreements, self._own = agreements, agreements.verifier
        self.plug(self._plugged)

    async def _agrees(self, component_id: str) -> str:
        """Empty, or why not. Raises whatever the verifier raises: the replica takes that for a refusal."""
        if self._plugged is None:
            return ""
        answered = self._plugged(component_id)
        answer: object = await answered if inspect.isawaitable(answered) else answered
        if isinstance(answer, str):
            return answer
        if isinstance(answer, bool):
            return "" if answer else "the ownership verifier refused"
        return f"the ownership verifier returned {type(answer).__name__}; text or a truth value says whether it agrees"
