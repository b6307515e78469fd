"""What the agent did, one JSON object a line, in a file of its own: it tells when Redis cannot be asked."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from healthmon import clock
from healthmon.core.alert import rfc3339
from healthmon.errors import ConfigurationError

logger = logging.getLogger("healthmon.agent")


class Journal:
    """Appends lines; each is there, whole, when the call returns. Without a path it writes nothing.

    Raises ConfigurationError when the file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._fd = -1
        if path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise ConfigurationError(f"the journal {path} cannot be written: {error.strerror}") from None

    def note(self, what: str, **said: object) -> None:
        """One line: `at` (RFC 3339 UTC), `at_ms`, `what`, and what else is said. A full disk is logged, not raised."""
        if self._fd < 0:
            return
        at_ms = round(clock.unix_s() * 1000)
        line = json.dumps({"at": rfc3339(at_ms), "at_ms": at_ms, "what": what, **said}) + "\n"
        try:
            os.write(self._fd, line.encode())
        except OSError as error:
            logger.warning("the journal cannot be written: %s", error.strerror)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
