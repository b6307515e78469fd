"""HTTP in the process of a replica: the rooms' routes as one app, and the server that serves it.

Nothing of this is imported by who serves no HTTP: it needs the extra `gateway`.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import anyio

from healthmon.core.access import Access, Token, read_tokens, token_for_all
from healthmon.errors import ConfigurationError
from healthmon.store.heartbeats import Appender

try:
    from starlette.applications import Starlette
    from starlette.middleware.cors import CORSMiddleware

    from healthmon.gateway.answers import HANDLERS
    from healthmon.gateway.connection import Wiring
    from healthmon.gateway.door import Door
    from healthmon.gateway.guard import App, Guard, Limits, is_loopback
    from healthmon.gateway.http import heartbeat_routes
    from healthmon.gateway.rates import Rates
    from healthmon.gateway.server import bind, serve, tls_of
    from healthmon.gateway.shelf import Shelf
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] not in ("h11", "starlette", "uvicorn", "watchfiles", "websockets"):
        raise
    raise ConfigurationError(
        f"serving HTTP needs the package {missing.name}: pip install 'healthmon[gateway]'"
    ) from None

if TYPE_CHECKING:
    import socket

    from starlette.routing import BaseRoute

    from healthmon.monitor.replica import Replica
    from healthmon.settings import ServingSettings, Settings

APPEND_S: Final = 2.0
logger = logging.getLogger("healthmon.gateway")


@dataclass(frozen=True)
class Place:
    """A bound socket, who may use it, and how it is reached. Made before anything else starts."""

    settings: ServingSettings
    access: Access
    listening: socket.socket
    wiring: Wiring
    url: str


def make_app(routes: Sequence[BaseRoute], access: Access, settings: ServingSettings) -> App:
    """The routes behind the guard: every request has its `grant`, every error is JSON, every response is dressed."""
    inner = Starlette(routes=routes, exception_handlers=dict(HANDLERS))
    limits = Limits(settings.http_body_max, settings.http_timeout)
    app: App = Guard(cast("App", inner), access, limits, settings.http_cors)
    if settings.http_cors:
        headers = ["Authorization", "Content-Type", "Last-Event-ID"]
        shared = CORSMiddleware(
            cast("Any", app), allow_origins=settings.http_cors, allow_methods=["GET", "POST"], allow_headers=headers
        )
        app = cast("App", shared)
    return app


def make_door(settings: Settings, serving: ServingSettings, appender: Appender) -> Door:
    """The door for heartbeats, over this connection."""
    return Door(
        appender.append,
        Shelf(serving.http_buffer, settings.heartbeat_timeout),
        Rates(serving.http_rate, serving.http_component_rate),
    )


def routes_of(door: Door, replica: Replica) -> list[BaseRoute]:  # noqa: ARG001  # for what reads its table
    """What is served: a line for each room."""
    return [
        *heartbeat_routes(door),
    ]


def open_place(serving: ServingSettings) -> Place:
    """Read the tokens and bind the port. Raises ConfigurationError, also for who would serve strangers without a token.

    The port 0 takes a free one; `url` says which.
    """
    access = read_access(serving)
    host = serving.http_host
    if access.open and not is_loopback(host):
        raise ConfigurationError(
            f"HEALTH_HTTP_HOST is {host}, which others reach, and there is no token: set HEALTH_TOKEN or "
            "HEALTH_TOKENS_FILE to what `healthmon token` prints, or serve on 127.0.0.1"
        )
    tls = serving.http_tls_cert is not None
    wiring = wiring_of(serving)
    listening = bind(host, serving.http_port)
    name = f"[{host}]" if ":" in host else host
    return Place(
        serving, access, listening, wiring, f"{'https' if tls else 'http'}://{name}:{listening.getsockname()[1]}"
    )


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


@asynccontextmanager
async def door_of(settings: Settings, serving: ServingSettings) -> AsyncIterator[Door]:
    """A door that is open inside. It outlives whoever stands in it: what was taken is appended before it closes."""
    appender = Appender(settings.redis_url, settings.prefix, name=f"{settings.replica_id}-door", timeout_s=APPEND_S)
    door = make_door(settings, serving, appender)
    keeping = anyio.CancelScope(shield=True)

    async def keep() -> None:
        with keeping:
            await door.run()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(keep)
            try:
                yield door
            finally:
                keeping.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await appender.close()


def wiring_of(serving: ServingSettings) -> Wiring:
    """How connections are treated. Raises ConfigurationError for a certificate that can't be used."""
    tls = None
    if serving.http_tls_cert is not None and serving.http_tls_key is not None:
        tls = tls_of(serving.http_tls_cert.expanduser(), serving.http_tls_key.expanduser())
    return Wiring(serving.http_timeout, serving.http_connections, tls)


async def serve_place(place: Place, replica: Replica) -> None:
    """Serve until cancelled: first the server ends, then the door, then the connection."""
    async with door_of(replica.settings, place.settings) as door:
        app = make_app(routes_of(door, replica), place.access, place.settings)
        logger.info("serving %s", place.url)
        await serve(app, place.listening, place.wiring)
