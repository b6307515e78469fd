"""Alerts by Apprise: e-mail, chat and some hundred other services, each named by one URL. Needs the extra `alerts`."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread

from healthmon.alerts.undelivered import Undelivered
from healthmon.core.messages import Message

_TYPES = {"critical": "failure", "error": "failure", "warning": "warning", "info": "info"}


@dataclass
class Apprise:
    """Notifies one Apprise URL. What failed is told by Apprise's own log; here it is only that it did."""

    url: str = field(repr=False)
    timeout_s: float
    groups: bool = False
    refresh_s: float = 0.0
    _service: Any = None

    async def send(self, messages: Sequence[Message]) -> None:
        """One notification a message. Raises Undelivered."""
        if self._service is None:
            # Importing takes a second, and its plug-ins are read from disk: not in the loop that has rounds to keep.
            self._service = await anyio.to_thread.run_sync(_service, self.url)
        for message in messages:
            with anyio.move_on_after(self.timeout_s):
                if await self._service.async_notify(**_said(message)):
                    continue
                raise Undelivered("the service did not take it: Apprise's log says why")
            raise Undelivered(f"the service did not answer within {self.timeout_s:g} s")


def is_there() -> bool:
    """Whether the package is installed; it is not imported for that."""
    return importlib.util.find_spec("apprise") is not None


def _service(url: str) -> Any:  # noqa: ANN401  # the package has no types of its own
    import apprise  # noqa: PLC0415  # an extra, and slow to import

    service = apprise.Apprise()
    if not service.add(url):
        raise Undelivered("Apprise knows no such service: see its documentation for the form of URLs", hopeless=True)
    return service


def _said(message: Message) -> dict[str, str]:
    data = message.data
    resolved = data["status"] == "resolved"
    return {
        "title": f"{'Resolved' if resolved else data['severity'].capitalize()}: {data['summary']}",
        "body": f"{data.get('reason') or data['summary']}\n{message.alert['id']}",
        "notify_type": "success" if resolved else _TYPES[data["severity"]],
    }
