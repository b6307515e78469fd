"""One connection of uvicorn's, with what uvicorn leaves open: a time for each head, and a number of connections."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from healthmon.core.refusal import refusal


@dataclass(frozen=True, slots=True)
class Wiring:
    """How connections are treated. `head_s`: seconds that a request's head may take."""

    head_s: float
    connections_max: int
    tls: ssl.SSLContext | None = None


class Connection(H11Protocol):
    """Ends when a head does not arrive in time; says that there is no room where too many are open already."""

    def __init__(self, wiring: Wiring, *args: Any, **named: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(*args, **named)
        self._wiring = wiring
        self._head_timer: asyncio.TimerHandle | None = None
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn types it
        """A client came."""
        super().connection_made(transport)
        if len(self.connections) > self._wiring.connections_max:
            self._end_with(_FULL)
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request. Between requests any byte starts the time for the next head."""
        super().data_received(data)
        if self._upgraded:
            return
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()
        else:
            self._stop_timer()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on another protocol has the connection."""
        self._upgraded = True
        self._stop_timer()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # the signature is uvicorn's
        """What was sent is no HTTP."""
        self._end_with(_BAD)

    def on_response_complete(self) -> None:
        """An answer before the body had come: what is still sent is read for a while, so that the answer is, too."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self._wiring.head_s, self._end_with, b"")

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self._wiring.head_s, self._end_with, _SLOW)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_with(self, answer: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


def raw_answer(status: str, code: str, message: str, headers: str = "") -> bytes:
    """A whole response with an error, after which the connection is closed."""
    body = json.dumps(refusal(code, message))
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{headers}"
    return f"{head}connection: close\r\n\r\n{body}".encode()


_BAD: Final = raw_answer("400 Bad Request", "bad_request", "this is no HTTP request that can be read: send HTTP/1.1")
_SLOW: Final = raw_answer("408 Request Timeout", "too_slow", "the request's head did not arrive in time: send it again")
_FULL: Final = raw_answer(
    "503 Service Unavailable",
    "too_many_connections",
    "too many connections are open: close some, or raise HEALTH_HTTP_CONNECTIONS",
    "retry-after: 5\r\n",
)
