"""The HTTP server in the process's own task group: it binds, serves, and ends when it is cancelled."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import uvicorn

from healthmon.gateway.address import BACKLOG
from healthmon.gateway.connection import Connection, Wiring

if TYPE_CHECKING:
    from healthmon.gateway.guard import App

IDLE_S: Final = 75  # between two requests of one connection [browsers and proxies keep theirs for 60 s]
LEAVE_S: Final = 2  # that open requests have to end
HEAD_BYTES_MAX: Final = 32_768


async def serve(app: App, listening: socket.socket, wiring: Wiring) -> None:
    """Serve until cancelled; then open requests have 2 s to end. The socket is closed by then."""
    tls = wiring.tls
    config = uvicorn.Config(
        cast("Any", app),
        http=cast("Any", partial(Connection, wiring)),  # a class, as far as uvicorn calls it
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        log_level="critical",  # bad requests are counted, and defects are logged, where they are answered
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=LEAVE_S,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        backlog=BACKLOG,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = _Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(_serve, server, listening)
        try:
            await anyio.sleep_forever()
        finally:
            server.should_exit = True


async def _serve(server: _Server, listening: socket.socket) -> None:
    with anyio.CancelScope(shield=True):  # it ends by being told to, so that answers are still given
        await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn's, without its hands on the process's signals, which have one owner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
