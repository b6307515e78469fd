"""A client for the commands that every round waits for: redis-py's connection without what it wraps around them.

redis-py starts a task to send, takes two locks, and measures for its instruments; of an event loop's wake-up that is
half. The connection, its parser, its errors and its end when it is cancelled are redis-py's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio import Connection, Redis


class DirectConnection(Connection):
    """A TCP connection that hands a command to the socket without waiting for it: the answer is waited for anyway.

    What does not fit into the socket is kept until it does, one command at most.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ANN401  # the signature is redis-py's
        """Send what is packed. A lost connection is found by whoever reads the answer."""
        if not self.is_connected:
            await self.connect_check_health(check_health=check_health)
        if self._writer is not None:
            self._writer.writelines([command] if isinstance(command, bytes) else command)


class DirectClient(Redis):
    """A client of one connection, one command at a time, with raw replies; without retries, pipelines or pub/sub."""

    async def execute_command(self, *args: Any, **_: Any) -> Any:  # noqa: ANN401  # the signature is redis-py's
        """One command, one reply. Raises redis-py's errors; whoever is cancelled costs the connection."""
        async with self._single_conn_lock:
            if self.connection is None:
                self.connection = await self.connection_pool.get_connection()
            await self.connection.send_packed_command(hiredis.pack_command(args), check_health=False)
            return await self.connection.read_response()

    async def execute_all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Several commands in one write, their replies in order. An error reply is raised once all are read."""
        async with self._single_conn_lock:
            if self.connection is None:
                self.connection = await self.connection_pool.get_connection()
            packed = b"".join([hiredis.pack_command(command) for command in commands])
            await self.connection.send_packed_command(packed, check_health=False)
            replies: list[Any] = []
            refused: exceptions.ResponseError | None = None
            for _ in commands:
                try:
                    replies.append(await self.connection.read_response())
                except exceptions.ResponseError as error:
                    refused = refused or error
        if refused is not None:
            raise refused
        return replies
