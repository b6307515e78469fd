"""A place to serve HTTP at: refused or bound before anything else starts. Needs no package of the extra `gateway`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from healthmon.core.access import Access, Token, is_loopback, read_tokens, token_for_all
from healthmon.errors import ConfigurationError
from healthmon.gateway.address import bind, tls_of

if TYPE_CHECKING:
    import socket
    import ssl

    from healthmon.settings import ServingSettings


@dataclass(frozen=True)
class Place:
    """A bound socket, who may use it, and how it is reached. Made before anything else starts."""

    settings: ServingSettings
    access: Access
    listening: socket.socket
    tls: ssl.SSLContext | None
    url: str


def open_place(serving: ServingSettings, listening: socket.socket | None = None) -> Place:
    """Read the tokens and bind the port. Raises ConfigurationError, also for who would serve strangers without a token.

    The port 0 takes a free one; `url` says which. `listening`: a socket that is bound already.
    """
    access = read_access(serving)
    host = serving.http_host
    if access.open and not is_loopback(host):
        raise ConfigurationError(
            f"HEALTH_HTTP_HOST is {host}, which others reach, and there is no token: set HEALTH_TOKEN or "
            "HEALTH_TOKENS_FILE to what `healthmon token` prints, or serve on 127.0.0.1"
        )
    tls = None
    if serving.http_tls_cert is not None and serving.http_tls_key is not None:
        tls = tls_of(serving.http_tls_cert.expanduser(), serving.http_tls_key.expanduser())
    listening = listening or bind(host, serving.http_port)
    name = f"[{host}]" if ":" in host else host
    return Place(serving, access, listening, tls, f"{'https' if tls else 'http'}://{name}:{listening.getsockname()[1]}")


def read_access(serving: ServingSettings) -> Access:
    """The tokens of HEALTH_TOKEN and HEALTH_TOKENS_FILE. Raises ConfigurationError."""
    tokens: list[Token] = []
    if serving.token is not None:
        tokens.append(token_for_all(serving.token.get_secret_value()))
    if serving.tokens_file is not None:
        place = f"the tokens file {serving.tokens_file}"
        try:
            content = tomllib.loads(serving.tokens_file.expanduser().read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{place} can't be read ({error.strerror}): correct HEALTH_TOKENS_FILE") from None
        except ValueError as error:
            raise ConfigurationError(f"{place} is no TOML ({error}): correct it there") from None
        found = read_tokens(content, place)
        if not found:
            raise ConfigurationError(f"{place} holds no token: `healthmon token` prints the lines to add")
        tokens += found
    return Access(tokens)
