"""`python -m healthmon.bench.web`: what serves HTTP, a process of its own. The first line that it prints is its port.

`gateway`: the way in for heartbeats as `healthmon gateway` serves it, without the table beside it. `bare`: the least
that could stand there, a handler of starlette's that reads the JSON and answers, and keeps nothing.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from healthmon.bench.child import orders
from healthmon.gateway.address import bind
from healthmon.gateway.connection import Wiring
from healthmon.gateway.http import heartbeat_routes
from healthmon.gateway.server import serve
from healthmon.run.place import read_access
from healthmon.run.serving import door_of, make_app
from healthmon.settings import load_serving_settings, load_settings

HOST: Final = "127.0.0.1"


def main() -> None:
    """Run until the parent's end."""
    given = orders()
    listening = bind(HOST, 0)
    print(listening.getsockname()[1], flush=True)  # noqa: T201  # the parent reads it
    anyio.run(_gateway if given["what"] == "gateway" else _bare, given, listening)


async def _gateway(given: dict[str, Any], listening: socket.socket) -> None:
    settings = load_settings(redis_url=given["url"], prefix=given["prefix"], replica_id="bench")
    serving = load_serving_settings(http_rate=0, http_component_rate=0)
    wiring = Wiring(serving.http_timeout, serving.http_connections)
    async with door_of(settings, serving) as door:
        await serve(make_app(heartbeat_routes(door), read_access(serving), serving), listening, wiring)


async def _bare(_: dict[str, Any], listening: socket.socket) -> None:
    async def take(request: Request) -> JSONResponse:
        said = await request.json()
        return JSONResponse({"taken": len(said)})

    app = Starlette(routes=[Route("/health/heartbeat", take, methods=["POST"])])
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    main()
