"""The floor: a blocking socket and hiredis, nothing else. What costs more than this costs it in Python."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from healthmon.errors import ConfigurationError, StoreUnavailable
from healthmon.store.plain import ReplyError, ReplyReader, pack

READ_BYTES: Final = 262_144
ANSWER_S: Final = 20.0


class Raw:
    """One blocking connection. Raises ConfigurationError for a URL beyond redis:// and unix://, StoreUnavailable."""

    def __init__(self, url: str, *, timeout_s: float = ANSWER_S) -> None:
        self._socket = _connected(url, timeout_s)
        self._reader = ReplyReader()
        parts = urlsplit(url)
        if parts.password:
            user = (unquote(parts.username),) if parts.username else ()
            self.call("AUTH", *user, unquote(parts.password))
        database = parts.path.strip("/")
        if parts.scheme == "redis" and database not in ("", "0"):
            self.call("SELECT", database)

    def send(self, packed: bytes) -> None:
        """Send packed commands."""
        self._socket.sendall(packed)

    def read(self) -> Any:  # noqa: ANN401  # a reply may be anything
        """The next reply. Raises StoreUnavailable when none comes in time, or the reply is an error."""
        reply = self._reader.gets()
        while reply is False:
            try:
                data = self._socket.recv(READ_BYTES)
            except OSError as error:
                raise StoreUnavailable(f"Redis did not answer ({error}): see whether it runs") from error
            if not data:
                raise StoreUnavailable("Redis closed the connection: see its log")
            self._reader.feed(data)
            reply = self._reader.gets()
        if isinstance(reply, ReplyError):
            raise StoreUnavailable(f"Redis refused a command: {reply}")
        return reply

    def call(self, *command: str | bytes | int) -> Any:  # noqa: ANN401  # a reply may be anything
        """One command, one reply."""
        self.send(packed(*command))
        return self.read()

    def call_all(self, commands: Sequence[bytes], chunk: int = 500) -> list[Any]:
        """Packed commands, pipelined by chunks; their replies."""
        replies: list[Any] = []
        for start in range(0, len(commands), chunk):
            part = commands[start : start + chunk]
            self.send(b"".join(part))
            replies += [self.read() for _ in part]
        return replies

    def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = self.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def packed(*command: str | bytes | int) -> bytes:
    """A command as it goes over the wire."""
    data: bytes = pack(command)  # type: ignore[arg-type]  # its types speak of a tuple of one
    return data


def _connected(url: str, timeout_s: float) -> socket.socket:
    parts = urlsplit(url)
    try:
        if parts.scheme == "unix":
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(timeout_s)
            made.connect(parts.path)
        elif parts.scheme == "redis":
            made = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout_s)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            raise ConfigurationError("the floor is measured over redis:// or unix://: give such a URL")
    except OSError as error:
        raise StoreUnavailable(f"Redis is not reachable ({error}): start it, or leave --url out") from error
    return made
