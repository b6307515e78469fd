"""Alerts by a webhook: one POST a message, the body a CloudEvent, signed as `healthmon.posting` says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from healthmon.alerts.undelivered import Undelivered
from healthmon.core.messages import Message
from healthmon.posting import Answer, Poster, origin_of

# The answers that speak of this message, not of the place: it would be refused for ever.
HOPELESS: Final = (400, 413, 415, 422)


@dataclass
class Webhook:
    """Posts to one URL. 2xx is taken; 400, 413, 415 and 422 refuse the message for good; all else is tried again."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    timeout_s: float
    groups: bool = False
    refresh_s: float = 0.0

    def __post_init__(self) -> None:
        self._poster = Poster(self.secret, origin_of)

    async def send(self, messages: Sequence[Message]) -> None:
        """One call a message. Raises Undelivered."""
        for message in messages:
            body = json.dumps(message.alert, ensure_ascii=False).encode("utf-8", "replace")
            headers = {"Content-Type": "application/cloudevents+json"}
            check(await self._poster.post(self.url, body, headers, self.timeout_s))


def check(answer: Answer) -> None:
    """Raises Undelivered for an answer that is none of success."""
    if not answer.ok:
        raise Undelivered(answer.detail, hopeless=answer.status in HOPELESS)
