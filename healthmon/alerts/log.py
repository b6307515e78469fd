"""Alerts as lines of the program's log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from healthmon.core.messages import Message

logger = logging.getLogger("healthmon.alerts")
_LEVELS = {"critical": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


class Log:
    """Never fails. The level is the severity's, INFO for what resolves."""

    groups = False
    refresh_s = 0.0

    async def send(self, messages: Sequence[Message]) -> None:
        """One line a message."""
        for message in messages:
            data = message.data
            level = _LEVELS[data["severity"]] if data["status"] == "firing" else logging.INFO
            logger.log(level, "%s: %s [%s]", data["status"], data["summary"], message.alert["id"])
