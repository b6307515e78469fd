"""One client's side of a WebSocket."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

LATE_S = 10


async def ask(socket: ClientConnection, said: object) -> Any:
    """Send one message, and get the one answer."""
    await socket.send(said if isinstance(said, str | bytes) else json.dumps(said))
    with anyio.fail_after(LATE_S):
        return json.loads(await socket.recv())


async def drain(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """The code and reason with which the server closes it, whatever comes before."""
    with anyio.fail_after(LATE_S), pytest.raises(ConnectionClosed) as error:
        await drain(socket)
    assert error.value.rcvd is not None, "the server was gone without a word"
    return error.value.rcvd.code, error.value.rcvd.reason
