"""Restart by a webhook: one POST that asks another program to do it, signed as `healthmon.posting` says.

The body is JSON: component_id, attempt, reason, rev, incarnation. 2xx is a success. `rev` names the restart: a receiver
that has seen it already need not act again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from healthmon.posting import Poster
from healthmon.restarts.attempt import Attempt, Outcome


@dataclass(slots=True)
class Webhook:
    """Posts to the policy's url, signed when there is a secret."""

    secret: str = field(default="", repr=False)
    _poster: Poster = field(init=False)

    def __post_init__(self) -> None:
        self._poster = Poster(self.secret)

    def serves(self, component_id: str) -> bool:
        """It serves everybody."""
        return bool(component_id)

    async def run(self, attempt: Attempt) -> Outcome:
        """Post once, within the time. What goes wrong is a failed attempt with the reason, never an error."""
        if not attempt.url:
            return Outcome(ok=False, detail="the policy names no url")
        answer = await self._poster.post(
            attempt.url, _body(attempt), {"Content-Type": "application/json"}, attempt.timeout_s
        )
        return Outcome(ok=answer.ok, detail=answer.detail)


def _body(attempt: Attempt) -> bytes:
    said = {
        "component_id": attempt.id,
        "attempt": attempt.number,
        "reason": attempt.reason,
        "rev": attempt.rev,
        "incarnation": attempt.incarnation,
    }
    return json.dumps(said).encode()
