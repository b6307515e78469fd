"""What a restart method is, and the table of those that a monitor carries out itself.

The method "agent" is carried out beside the component, by `healthmon run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from healthmon.restarts.attempt import Attempt, Outcome
from healthmon.restarts.exec import Exec
from healthmon.restarts.handler import Handlers
from healthmon.restarts.webhook import Webhook
from healthmon.settings import Settings


class Method(Protocol):
    """One way to restart a component."""

    def serves(self, component_id: str) -> bool:
        """Whether an order for this component may be taken; one that is not taken costs no attempt."""

    async def run(self, attempt: Attempt) -> Outcome:
        """Restart it, within the attempt's time. Raises nothing for what goes wrong outside: that is an Outcome.

        When cancelled it ends what it began, within seconds, and leaves nothing behind.
        """


def methods_of(settings: Settings, handlers: Handlers) -> Mapping[str, Method]:
    """Each method by the name that policies give it."""
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
    return {"exec": Exec(settings.allow_exec), "webhook": Webhook(secret), "handler": handlers}
