"""Heartbeats by WebSocket: one connection for one component or for thousands, an answer to each heartbeat.

A connection that is idle costs one task and no timer of its own. Of a peer that sends faster than its heartbeats are
appended nothing more is read until there is room, so that it waits and nobody else does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, assert_never

import anyio
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from healthmon import clock
from healthmon.core.access import Access, Grant, Scope
from healthmon.core.refusal import Refusal
from healthmon.gateway.answers import answer
from healthmon.gateway.guard import BEARER_PROTOCOL
from healthmon.gateway.http import LIST_MAX
from healthmon.gateway.messages import Auth, Heartbeats, Ping, answer_to, read_message, written

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from healthmon.gateway.door import Door, Outcome

PATH: Final = "/health/ws"
# What a browser offers besides `bearer.<token>`, and gets back: the token is never sent back.
SUBPROTOCOL: Final = "healthmon"
SOCKETS_MAX: Final = 20_000
# Sockets that have yet to say who they are: so many, for so long.
STRANGERS_MAX: Final = 1000
AUTH_S: Final = 10.0
MESSAGES_PER_S_MAX: Final = 1000
# Who is told so often in a row what is wrong, and goes on, is not listening.
REFUSED_MAX: Final = 100
# Of the 123 bytes that a close frame carries.
REASON_MAX: Final = 100
# At a stop, what was sent before is answered within so long.
LAST_S: Final = 1.0
FULL: Final = Refusal(503, "too_many_sockets", "this gateway has no room for another socket: try again later", 10)
STOPPING: Final = Refusal(503, "stopping", "this gateway stops: connect to another, or try again later", 1)
UNKNOWN: Final = Refusal(401, "unauthorized", "this token is not known here: `healthmon token` makes one")
NO_WRITE: Final = Refusal(403, "forbidden", "this token is not for sending heartbeats: its scope must have `write`")


def sockets_of(connections_max: int) -> int:
    """How many of a server's connections may be WebSockets: the others are left to those who look."""
    return min(SOCKETS_MAX, max(1, connections_max * 4 // 5))


class Sockets:
    """The WebSocket endpoint of one server."""

    def __init__(self, door: Door, access: Access, *, most: int) -> None:
        self.door = door
        self.access = access
        self.strangers = 0
        self._most = most
        self._open: set[_Socket] = set()
        self._stopping = False

    def __len__(self) -> int:
        """How many sockets are open."""
        return len(self._open)

    def routes(self) -> list[BaseRoute]:
        """The routes for the app."""
        return [WebSocketRoute(PATH, self._serve)]

    async def close(self) -> None:
        """Answer what was sent, then close every socket with 1001, and take no more. Ends within about 2 s."""
        self._stopping = True
        with anyio.move_on_after(2 * LAST_S):
            async with anyio.create_task_group() as group:
                for socket in list(self._open):
                    group.start_soon(socket.leave)

    async def _serve(self, websocket: WebSocket) -> None:
        offered = websocket.scope.get("subprotocols", [])
        introduced = "authorization" in websocket.headers or any(one.startswith(BEARER_PROTOCOL) for one in offered)
        grant: Grant = websocket.scope["grant"]
        denial = self._denial(introduced, grant)
        if denial is not None:
            await websocket.send_denial_response(answer(self.door.refuse(denial)))
            return
        socket = _Socket(self, websocket, grant)
        self._open.add(socket)
        try:
            await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
            await socket.serve()
        finally:
            self._open.discard(socket)

    def _denial(self, introduced: bool, grant: Grant) -> Refusal | None:
        if self._stopping:
            return STOPPING
        if len(self._open) >= self._most:
            return FULL
        if grant.scopes:
            return None if grant.holds(Scope.WRITE) else NO_WRITE
        if introduced or self.access.open:
            return UNKNOWN
        return FULL if self.strangers >= STRANGERS_MAX else None


class _End(Exception):
    """The socket is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason[:REASON_MAX]


class _Socket:
    """One open socket. One task reads; another answers, for as long as there is something to answer."""

    __slots__ = (
        "_answering",
        "_beats",
        "_grant",
        "_messages",
        "_queue",
        "_refused",
        "_room",
        "_second",
        "_server",
        "_web",
    )

    def __init__(self, server: Sockets, websocket: WebSocket, grant: Grant) -> None:
        self._server = server
        self._web = websocket
        self._grant = grant
        # What is to be answered: heartbeats, or an answer that is ready and keeps its place behind those before it.
        self._queue: deque[Heartbeats | dict[str, Any]] = deque()
        self._beats = 0
        self._answering = False
        self._room: anyio.Event | None = None
        self._refused = 0
        self._second = 0
        self._messages = 0

    async def serve(self) -> None:
        """Until the peer goes, or has to. What it sent before is taken in either way."""
        end: _End | None = None
        async with anyio.create_task_group() as group:
            try:
                if await self._introduced(group):
                    while await self._read(group):
                        pass
            except _End as why:
                end = why
        if end is not None:
            await self._close(end)

    async def leave(self) -> None:
        """The server stops: answer what was sent, and close."""
        with anyio.move_on_after(LAST_S):
            while self._answering:
                await self._until_answered()
        await self._close(_End(1001, "this gateway stops: connect again"))

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _introduced(self, group: TaskGroup) -> bool:
        """Whether it is known who speaks; at the latest after AUTH_S."""
        if self._grant.scopes:
            return True
        self._server.strangers += 1
        try:
            with anyio.move_on_after(AUTH_S):
                while not self._grant.scopes:
                    if not await self._read(group):
                        return False
                return True
        finally:
            self._server.strangers -= 1
        raise _End(1008, f'no token within {AUTH_S:.0f} s: send {{"type": "auth", "token": "..."}} first')

    async def _read(self, group: TaskGroup) -> bool:
        """Take the next message in; whether there was one. Raises _End."""
        message = await self._web.receive()
        if message["type"] != "websocket.receive":
            return False
        text = message.get("text")
        if text is None:
            raise _End(1003, "messages are JSON text, not binary")
        self._count_message()
        self._put(self._taken(text))
        if not self._answering:
            self._answering = True
            group.start_soon(self._answer)
        while self._beats >= LIST_MAX or len(self._queue) >= LIST_MAX:
            await self._until_answered()
        return True

    def _taken(self, text: str) -> Heartbeats | dict[str, Any]:
        """What a message puts into the queue."""
        try:
            said = read_message(text)
        except Refusal as why:
            return Heartbeats((why,))
        match said:
            case Heartbeats():
                return said
            case Ping():
                return {"type": "pong"}
            case Auth():
                return self._authenticate(said.token)
            case _:
                assert_never(said)

    def _authenticate(self, token: str) -> dict[str, Any]:
        grant = self._grant if self._server.access.open else self._server.access.grant_of(token)
        if not grant.holds(Scope.WRITE):
            why = self._server.door.refuse(NO_WRITE if grant.scopes else UNKNOWN)
            raise _End(1008, why.message)
        self._grant = grant
        return {"type": "authenticated", "name": grant.name}

    def _count_message(self) -> None:
        second = int(clock.monotonic_s())
        if second != self._second:
            self._second, self._messages = second, 0
        self._messages += 1
        if self._messages > MESSAGES_PER_S_MAX:
            raise _End(1008, f"more than {MESSAGES_PER_S_MAX} messages a second: send lists")

    def _put(self, item: Heartbeats | dict[str, Any]) -> None:
        self._queue.append(item)
        if isinstance(item, Heartbeats):
            self._beats += len(item.beats)

    # -- answering -----------------------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        """Answer all there is, together what came together."""
        while self._queue:
            items = list(self._queue)
            self._queue.clear()
            self._beats = 0
            outcomes = await self._outcomes(items)
            if self._room is not None:
                self._room.set()
                self._room = None
            for item in items:
                if isinstance(item, Heartbeats):
                    told = [next(outcomes) for _ in item.beats]
                    await self._send(written([*map(answer_to, item.beats, told)], listed=item.listed))
                    await self._note(told)
                else:
                    await self._send(written([item], listed=False))
        self._answering = False
        if self._room is not None:
            self._room.set()
            self._room = None

    async def _outcomes(self, items: list[Heartbeats | dict[str, Any]]) -> Iterator[Outcome]:
        """What became of each heartbeat, in order; what was refused before stays so."""
        beats = [beat for item in items if isinstance(item, Heartbeats) for beat in item.beats]
        taken = [beat for beat in beats if not isinstance(beat, Refusal)]
        said = iter(await self._server.door.accept_many(taken, self._grant, "websocket") if taken else ())
        return iter([self._server.door.refuse(beat) if isinstance(beat, Refusal) else next(said) for beat in beats])

    async def _send(self, text: str) -> None:
        """To a peer that is gone nothing is said; what it sent is taken in all the same."""
        if self._web.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect):
                await self._web.send_text(text)

    async def _note(self, told: list[Outcome]) -> None:
        """Close the socket of a peer that is refused again and again, but not for want of room here."""
        if any(not isinstance(outcome, Refusal) for outcome in told):
            self._refused = 0
            return
        last = [outcome for outcome in told if isinstance(outcome, Refusal)][-1]
        self._refused += last.status != 503
        if self._refused >= REFUSED_MAX:
            await self._close(_End(1008, f"{REFUSED_MAX} messages in a row were refused, the last as {last.code}"))

    async def _until_answered(self) -> None:
        self._room = self._room or anyio.Event()
        await self._room.wait()

    async def _close(self, end: _End) -> None:
        connected = WebSocketState.CONNECTED
        if self._web.application_state is connected and self._web.client_state is connected:
            with suppress(WebSocketDisconnect):
                await self._web.close(end.code, end.reason)
