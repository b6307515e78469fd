"""What a caller over HTTP, WebSocket or a file is told when it is turned away."""

from __future__ import annotations

from typing import Any

from healthmon.errors import Refused


class Refusal(Refused):
    """A request that is turned away: its HTTP status, a counted word, one sentence that names the fix.

    `retry_after_s`: when asking again may help, 0 for never.
    """

    def __init__(self, status: int, code: str, message: str, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


def refusal(code: str, message: str) -> dict[str, Any]:
    """The JSON of every error: `{"error": {"code": ..., "message": ...}}`."""
    return {"error": {"code": code, "message": message}}
