"""uvicorn's WebSocket protocol with bounds where it has none: a peer that reads nothing, and one that never ends.

Of itself it answers pings and closes connections into a buffer of any size and for any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from healthmon.gateway.connection import raw_answer

if TYPE_CHECKING:
    import asyncio

    from websockets.frames import Frame

# So long may what is written to a peer wait for it to read: longer is a dead peer, or one that means no good.
UNREAD_S: Final = 20.0
FRAGMENTS_MAX: Final = 64
_HEAD: Final = raw_answer(
    "431 Request Header Fields Too Large",
    "head_too_large",
    "the library for WebSockets takes 128 headers of 8 KiB each, and an address as long: send less",
)


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection. Give the class to uvicorn as `ws`."""

    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be told of the first byte that the system does not take, so that it is known when none is taken."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """A head that the library does not take is answered: uvicorn would keep the connection, and say nothing."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(_HEAD)
            self.transport.close()

    def pause_writing(self) -> None:
        """The peer does not read. Take nothing from it, that would be answered, and give it up after a while."""
        super().pause_writing()
        self.transport.pause_reading()
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer has read all there was."""
        self._end_wait()
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will be read."""
        self._end_wait()
        super().connection_lost(exc)

    def handle_cont(self, event: Frame) -> None:
        """The size of a message is bounded by the library, the number of its pieces here."""
        super().handle_cont(event)
        if len(self.frames) > FRAGMENTS_MAX:
            self._fail(1008, f"a message may come in {FRAGMENTS_MAX} pieces")

    def send_receive_event_to_app(self) -> None:
        """Text that is no UTF-8 ends the connection without a page in the log."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._fail(1007, "text is UTF-8")
                return
        super().send_receive_event_to_app()

    def _fail(self, code: int, reason: str) -> None:
        self.frames = []
        if not self.close_sent and not self.transport.is_closing():
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def _end_wait(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
