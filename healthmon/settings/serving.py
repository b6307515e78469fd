"""The settings of what is served over HTTP: where, to whom, and how much of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from healthmon.settings.bounds import number, seconds
from healthmon.settings.fields import Contradiction, SharedSettings

PORT: Final = 8787
_ANY: Final = (0, "0 is no limit already")
_ONE: Final = (1, "nothing could come in")


def _paths(given: object) -> object:
    return tuple(part for part in given.split(os.pathsep) if part) if isinstance(given, str) else given


def _origins(given: object) -> object:
    listed = given.replace(",", " ").split() if isinstance(given, str) else given
    for origin in listed if isinstance(listed, list | tuple) else ():
        scheme, separator, rest = str(origin).partition("://")
        if not separator or scheme not in ("http", "https") or not rest or "/" in rest or "*" in rest:
            raise ValueError(
                f"has {origin!r}, which is no origin; give https://HOST or http://HOST:PORT, no path, no *"
            )
    return listed


class ServingSettings(SharedSettings):
    """What `gateway`, `monitor --http` and `up` serve. Frozen. Durations are seconds."""

    http_host: str = Field(default="127.0.0.1", description="Address to serve HTTP on; any but loopback needs a token")
    http_port: int = number(
        PORT,
        "Port to serve HTTP on; 0 takes a free one",
        (0, "0 takes a free one"),
        (65535, "there are no more"),
        decides=False,
    )
    heartbeat_dirs: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_paths)] = Field(
        default=(), description=f"Folders whose files <id>.json are heartbeats, with {os.pathsep} between them"
    )
    token: SecretStr | None = Field(default=None, repr=False, description="A token that may do everything")
    tokens_file: Path | None = Field(
        default=None, description="Path of a TOML file of tokens as `healthmon token` prints them: hashes, scopes, ids"
    )
    http_tls_cert: Path | None = Field(default=None, description="Path of the certificate, with its chain, for HTTPS")
    http_tls_key: Path | None = Field(default=None, description="Path of the certificate's private key")
    http_cors: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = Field(
        default=(), description="Origins whose pages may call the API, with a comma between them; none by default"
    )
    http_rate: int = number(
        10_000,
        "Heartbeats that are taken in a second of one token; 0 is no limit",
        _ANY,
        (10_000_000, "it would be no limit; 0 says so"),
        decides=False,
    )
    http_component_rate: int = number(
        100,
        "Heartbeats that are taken in a second of one component; 0 is no limit",
        _ANY,
        (10_000_000, "it would be no limit; 0 says so"),
        decides=False,
    )
    http_body_max: int = number(
        1_048_576,
        "Bytes of a request's body at most",
        (1024, "a heartbeat with metrics would not fit"),
        (67_108_864, "a thousand heartbeats take less"),
        decides=False,
    )
    http_timeout: float = seconds(
        10.0,
        "that a request's head, and then its body, may take to arrive",
        (0.1, "slow networks would be shut out"),
        (300.0, "who sends nothing would hold a connection"),
        decides=False,
    )
    http_connections: int = number(
        25_000,
        "Connections at once [20 000 WebSockets and those who look]",
        _ONE,
        (1_000_000, "a process has no more to spare"),
        decides=False,
    )
    http_buffer: int = number(
        100_000,
        "Components whose newest heartbeat is kept while Redis is away [some 100 MB at most]",
        _ONE,
        (10_000_000, "it would be no limit"),
        decides=False,
    )

    @model_validator(mode="after")
    def _refuse_half_a_certificate(self) -> Self:
        if (self.http_tls_cert is None) != (self.http_tls_key is None):
            given = "http_tls_cert" if self.http_tls_cert else "http_tls_key"
            other = "http_tls_key" if self.http_tls_cert else "http_tls_cert"
            sentence = f"{{{given}}} needs {{{other}}}, because HTTPS takes both; give the other one"
            raise Contradiction([sentence], {given: str(getattr(self, given)), other: "not set"})
        return self
