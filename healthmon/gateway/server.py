"""The HTTP server in the process's own task group: it binds, serves, and ends when it is cancelled."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import uvicorn

from healthmon.errors import ConfigurationError
from healthmon.gateway.connection import Connection, Wiring

if TYPE_CHECKING:
    from healthmon.gateway.guard import App

IDLE_S: Final = 75  # between two requests of one connection [browsers and proxies keep theirs for 60 s]
LEAVE_S: Final = 2  # that open requests have to end
HEAD_BYTES_MAX: Final = 32_768
BACKLOG: Final = 2048


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises ConfigurationError with what to change."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise ConfigurationError(
            f"{host} is no address of this machine ({error.strerror}): correct HEALTH_HTTP_HOST"
        ) from None
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"port {port} of {host} can't be served ({error.strerror}): end what uses it, or give another "
            "HEALTH_HTTP_PORT"
        ) from None
    listening.setblocking(False)
    return listening


def tls_of(cert: Path, key: Path) -> ssl.SSLContext:
    """HTTPS with this certificate, TLS 1.2 at least. Raises ConfigurationError when the files are of no use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:
        plain = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else ""
        reason = plain or str(error)
        raise ConfigurationError(
            f"the certificate {cert} with the key {key} can't be used ({reason}): correct HEALTH_HTTP_TLS_CERT and "
            "HEALTH_HTTP_TLS_KEY"
        ) from None
    return context


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


def _no_password() -> str:
    """A key that asks for a password is an error here, never a question on the terminal."""
    return ""
