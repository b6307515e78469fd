"""Being seen: the sharded subscription by which others know that this process lives, and that it holds a table."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from redis.asyncio.client import PubSub

from healthmon.errors import StoreUnavailable
from healthmon.store.client import open_client, store_errors
from healthmon.store.keys import Keys

logger = logging.getLogger("healthmon.store")
LISTEN_S = 30.0
AGAIN_S = 0.1


class Alive:
    """Subscribed to `alive:<replica|incarnation>` and the hint channel, and, once it holds a table, to `hot`.

    One subscription at a time: a stray second one would hide a death. What is heard is a hint; streams are the truth.
    """

    def __init__(self, url: str, keys: Keys, replica: str, incarnation: str, on_hint: Callable[[], None]) -> None:
        self._client = open_client(url, name=f"{replica}-alive")
        self._channels = [keys.alive(replica, incarnation), keys.hint]
        self._hot = keys.hot
        self._on_hint = on_hint
        self._pubsub: PubSub | None = None
        self._listening: anyio.CancelScope | None = None
        self._counted = False
        self.subscribed = anyio.Event()

    async def run(self) -> None:
        """Stay subscribed until cancelled, with a new connection whenever the old one breaks or `reopen` asks.

        At once, for others take this process for dead when the grace is over; in pauses where it can't be had.
        """
        try:
            while True:
                self._pubsub, self._counted = self._client.pubsub(), False
                try:
                    with store_errors(), anyio.CancelScope() as self._listening:
                        await self._listen(self._pubsub)
                except StoreUnavailable as error:
                    logger.debug("alive connection lost: %s", error)
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._pubsub.aclose()
                if not self._counted:
                    await anyio.sleep(AGAIN_S)
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()

    async def become_hot(self) -> None:
        """Say that this replica holds a table: where data was lost, it is such a one that founds anew."""
        if self._hot not in self._channels:
            self._channels.append(self._hot)
            if self._pubsub is not None:
                with store_errors():
                    await self._pubsub.ssubscribe(self._hot)

    def reopen(self) -> None:
        """The server doesn't count this subscription any more (a slot moved): make a new one, now."""
        if self._listening is not None:
            self._listening.cancel()

    async def _listen(self, pubsub: PubSub) -> None:
        await pubsub.ssubscribe(*self._channels)
        while True:
            message = await pubsub.get_message(timeout=LISTEN_S)
            if message is None:
                continue
            if message["type"] == "ssubscribe":
                self._counted = True
                self.subscribed.set()
            elif message["type"] == "smessage":
                self._on_hint()
            elif message["type"] == "sunsubscribe":
                return
