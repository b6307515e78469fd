"""Plain calls: the command as given, the reply as the server sent it, errors in our own words."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from healthmon.store.client import open_client, open_direct, store_errors

Client = Redis  # what the other rooms hold and hand back to the store: they import no redis themselves


def open_raw(url: str, *, name: str, timeout_s: float = 5.0, dedicated: bool = False) -> Redis:
    """A client whose replies are left as they come: no dictionaries, no numbers made of text, nothing per entry.

    `dedicated`: one connection, kept over all commands, without pipelines and pub/sub.
    """
    if dedicated:
        return open_direct(url, name=name, timeout_s=timeout_s)
    client = open_client(url, name=name, timeout_s=timeout_s)
    client.response_callbacks.clear()
    return client


async def call(client: Redis, *command: str | bytes | int) -> Any:  # noqa: ANN401  # a reply may be anything
    """One command, one reply. Raises StoreUnavailable, NotPermitted."""
    with store_errors():
        return await client.execute_command(*command)


def first_id(entries: Any) -> bytes:  # noqa: ANN401  # the reply of XRANGE or XREVRANGE
    """The id of a reply's first entry, empty when there is none."""
    return bytes(entries[0][0]) if entries else b""
