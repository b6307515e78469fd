"""HTTP in the process of a replica: the rooms' routes as one app, and the server that serves it.

Nothing of this is imported by who serves no HTTP: it needs the extra `gateway`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import anyio

from healthmon.errors import ConfigurationError
from healthmon.store.heartbeats import Appender

try:
    from starlette.applications import Starlette
    from starlette.middleware.cors import CORSMiddleware

    from healthmon.gateway.answers import HANDLERS
    from healthmon.gateway.connection import Wiring
    from healthmon.gateway.door import Door
    from healthmon.gateway.files import Files
    from healthmon.gateway.guard import App, Guard, Limits
    from healthmon.gateway.http import heartbeat_routes
    from healthmon.gateway.rates import Rates
    from healthmon.gateway.room import allow_connections
    from healthmon.gateway.server import serve
    from healthmon.gateway.shelf import Shelf
    from healthmon.gateway.websocket import Sockets, sockets_of
    from healthmon.run.described import HEARTBEATS
    from healthmon.run.measured import collector_of
    from healthmon.run.viewing import desk_of
    from healthmon.views.api import api_routes
    from healthmon.views.exposition import METRICS, metrics_routes
    from healthmon.views.page import page_routes
except ModuleNotFoundError as missing:
    package = (missing.name or "").partition(".")[0]
    if package not in ("h11", "starlette", "uvicorn", "watchfiles", "websockets"):
        raise
    raise ConfigurationError(f"serving HTTP needs the package {package}: pip install 'healthmon[gateway]'") from None

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from healthmon.core.access import Access
    from healthmon.monitor.replica import Replica
    from healthmon.run.place import Place
    from healthmon.settings import ServingSettings, Settings
    from healthmon.views.collector import HealthCollector
    from healthmon.views.desk import Desk

APPEND_S: Final = 2.0
logger = logging.getLogger("healthmon.gateway")


def make_app(routes: Sequence[BaseRoute], access: Access, settings: ServingSettings) -> App:
    """The routes behind the guard: every request has its `grant`, every error is JSON, every response is dressed."""
    inner = Starlette(routes=routes, exception_handlers=dict(HANDLERS))
    # A redirect is made of the Host header, and behind a proxy it would name http: a token might go there in the clear.
    inner.router.redirect_slashes = False
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


def routes_of(door: Door, sockets: Sockets, desk: Desk, collector: HealthCollector) -> list[BaseRoute]:
    """What is served: a line for each room."""
    return [
        *heartbeat_routes(door),
        *sockets.routes(),
        *api_routes(desk, (*HEARTBEATS, METRICS)),
        *metrics_routes(collector),
        *page_routes(),
    ]


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


async def serve_place(place: Place, replica: Replica) -> None:
    """Serve until cancelled: first the server ends, then the door, then the connection."""
    desk = desk_of(replica)
    async with door_of(replica.settings, place.settings) as door, anyio.create_task_group() as group:
        wiring = Wiring(place.settings.http_timeout, allow_connections(place.settings.http_connections), place.tls)
        sockets = Sockets(door, place.access, most=sockets_of(wiring.connections_max))
        files = Files(door, place.settings.heartbeat_dirs, replica.settings.heartbeat_timeout)
        group.start_soon(files.run)
        group.start_soon(desk.run)
        collector = collector_of(replica, place.settings, door.accepted, door.refused, files.states)
        app = make_app(routes_of(door, sockets, desk, collector), place.access, place.settings)
        logger.info("serving %s", place.url)
        await serve(app, place.listening, wiring, sockets.close)
