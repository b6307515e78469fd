"""A real replica, its views, and a real server on a port of its own."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from healthmon.core.access import EVERYTHING, Grant
from healthmon.monitor.replica import Replica
from healthmon.run.viewing import desk_of
from healthmon.views.api import api_routes
from healthmon.views.desk import Desk
from tests.inprocess import Replicas, replicas
from tests.waiting import eventually

# Slow enough that nobody falls silent within a test.
CALM: dict[str, Any] = {"heartbeat_timeout": 60.0, "degraded_threshold": 90.0, "dead_threshold": 120.0}


@dataclass
class Granting:
    """The app with whatever grant a test gives."""

    app: ASGIApp
    grant: Grant = EVERYTHING

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "grant": self.grant}, receive, send)


@dataclass
class Served:
    """What a test asks: `http` goes to the server, which shows `replica`; `fleet` are the replicas and the store."""

    http: httpx.AsyncClient
    desk: Desk
    app: Granting
    fleet: Replicas
    replica: Replica

    async def get(self, path: str, status: int = 200, **parameters: Any) -> Any:
        """The JSON of an answer, which must have this status."""
        answer = await self.http.get(path, params=parameters or None)
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        return answer.json()

    async def post(self, path: str, status: int = 200, **body: Any) -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        return answer.json()

    async def knows(self, component_id: str, **fields: Any) -> dict[str, Any]:
        """The row of a component, as soon as it is listed with these values."""

        async def listed() -> dict[str, Any]:
            page = await self.get("/health/components", per_page=500)
            row: dict[str, Any] = next((one for one in page["components"] if one["id"] == component_id), {})
            assert {name: row.get(name) for name in fields} == fields, row
            return row

        return await eventually(listed)


class Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it."""

    def install_signal_handlers(self) -> None: ...


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """The app on a port, a free one unless given; its address."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else head and body wait 40 ms for each other
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, ws="none")
    server = Server(config)
    async with anyio.create_task_group() as group:
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        group.start_soon(server.main_loop)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await server.shutdown([listener])


@asynccontextmanager
async def served(
    url: str, *names: str, show: str = "", routes: Sequence[BaseRoute] = (), **settings: Any
) -> AsyncIterator[Served]:
    """Replicas of these names, of which one (`show`, the first unless given) is shown by a real server."""
    async with replicas(url, *(names or ("a",)), **settings) as fleet:
        replica = fleet.members[show or next(iter(fleet.members))]
        desk = desk_of(replica)
        app = Granting(Starlette(routes=[*api_routes(desk), *routes]))
        async with anyio.create_task_group() as group:
            group.start_soon(desk.run)
            async with serving(app) as address, httpx.AsyncClient(base_url=address, timeout=10) as http:
                await eventually(lambda: desk.lookout.facts.reachable)
                yield Served(http, desk, app, fleet, replica)
            group.cancel_scope.cancel()
