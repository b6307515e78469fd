"""A door between replicas and the server that understands commands: it holds back what one connection asks, or loses a
reply.

Connections are told apart by the name that they set (CLIENT SETNAME), as `m1-commit` for `healthmon-m1-commit`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import hiredis
from anyio.abc import ByteStream, SocketAttribute

Command = list[bytes]
BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


@dataclass
class Gate:
    """What happens to the commands of connections of one name. `hold`, `lose` and `delay` say which command it begins
    with.

    `hold`: that command and all after it wait until `open`. `lose`: that command is done, its reply is lost and the
    connection closed; once. `delay`: that command is done, its reply and all after it wait until `open`. `replies`:
    what the server answered to held commands.
    """

    hold: Callable[[Command], bool] | None = None
    lose: Callable[[Command], bool] | None = None
    delay: Callable[[Command], bool] | None = None
    held: list[Command] = field(default_factory=list)
    lost: list[bytes] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)
    opened: anyio.Event = field(default_factory=anyio.Event)

    def freeze(self) -> None:
        """Let nothing through from here on, until `open`."""
        self.hold, self.opened, self.held = _everything, anyio.Event(), []

    def open(self) -> None:
        """Let through what waits, and all that comes."""
        self.hold = self.delay = None
        self.opened.set()


@dataclass
class Proxy:
    """Serves within `serving`; its URL is for the replicas."""

    target: str
    url: str = ""
    gates: defaultdict[str, Gate] = field(default_factory=lambda: defaultdict(Gate))

    def gate(self, name: str) -> Gate:
        """The gate of connections with this name, also of those to come."""
        return self.gates[name]

    async def serve(self, near: ByteStream) -> None:
        """One connection, both ways, until either side ends it."""
        host, port = self.target.partition("://")[2].partition("/")[0].split(":")
        async with near, await anyio.connect_tcp(host, int(port)) as far:
            passage = _Passage(self, near, far)
            async with anyio.create_task_group() as group:
                group.start_soon(passage.replies)
                await passage.commands()
                group.cancel_scope.cancel()


@dataclass
class _Passage:
    proxy: Proxy
    near: ByteStream
    far: ByteStream
    gate: Gate = field(default_factory=Gate)
    losing: bool = False
    delaying: bool = False
    watching: bool = False

    async def commands(self) -> None:
        reader = hiredis.Reader()
        with suppress(*BROKEN):
            while True:
                reader.feed(await self.near.receive())
                while (command := reader.gets()) is not False:
                    await self._pass(command)

    async def _pass(self, command: Command) -> None:
        if command[:2] == [b"CLIENT", b"SETNAME"]:
            self.gate = self.proxy.gate(command[2].decode().removeprefix("healthmon-"))
        gate = self.gate
        if gate.hold is not None and gate.hold(command):
            gate.hold = _everything
            gate.held.append(command)
            await gate.opened.wait()
            self.watching = True
        if gate.lose is not None and gate.lose(command):
            gate.lose, self.losing = None, True
        if gate.delay is not None and gate.delay(command):
            self.delaying = True
        await self.far.send(hiredis.pack_command(tuple(command)))  # type: ignore[arg-type]  # its stub allows one word

    async def replies(self) -> None:
        with suppress(*BROKEN):
            while True:
                chunk = await self.far.receive()
                if self.watching:
                    self.gate.replies.append(chunk)
                    self.watching = False
                if self.losing:
                    self.gate.lost.append(chunk)
                    break
                if self.delaying:
                    await self.gate.opened.wait()
                    self.delaying = False
                with suppress(*BROKEN):
                    await self.near.send(chunk)
        await self.near.aclose()


def _everything(command: Command) -> bool:
    return True


@asynccontextmanager
async def proxy_to(target: str) -> AsyncIterator[Proxy]:
    """A proxy before the server of this URL, for as long as the block lasts."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # taken for Django's
    proxy = Proxy(target, f"redis://127.0.0.1:{port}/0")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, proxy.serve)
        try:
            yield proxy
        finally:
            group.cancel_scope.cancel()
