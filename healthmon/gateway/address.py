"""Where HTTP is served: the port, and the certificate. Needs no package of the extra `gateway`."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final

from healthmon.errors import ConfigurationError

BACKLOG: Final = 2048


class PortTaken(ConfigurationError):
    """The address is right, but the port there can't be had."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises ConfigurationError, PortTaken."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(
            f"{host} is no address of this machine ({error.strerror}): correct HEALTH_HTTP_HOST"
        ) from None
    family, _, protocol, _, place = found[0]
    # With its protocol by name: asyncio sends small answers at once (TCP_NODELAY) only where it sees that it is TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise PortTaken(
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


def _no_password() -> str:
    """A key that asks for a password is an error here, never a question on the terminal."""
    return ""
