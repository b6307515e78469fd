"""Server-sent events as a client reads them that nobody here wrote a parser for in the code under test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx


@dataclass
class Told:
    """One message: its id ("" for none), its kind, its data."""

    id: str
    kind: str
    data: dict[str, Any]


@dataclass
class Stream:
    """The messages of one connection, as they come."""

    lines: AsyncIterator[str]
    told: list[Told] = field(default_factory=list)

    async def next(self, kind: str = "", where: Callable[[Told], bool] = bool, within_s: float = 10.0) -> Told:
        """The next message of this kind that is as wanted; those before it are kept in `told`."""
        with anyio.fail_after(within_s):
            while True:
                one = await self._message()
                self.told.append(one)
                if kind in ("", one.kind) and where(one):
                    return one

    async def _message(self) -> Told:
        said: dict[str, str] = {}
        async for line in self.lines:
            if not line and "data" in said:
                return Told(said.get("id", ""), said.get("event", "message"), json.loads(said["data"]))
            name, _, value = line.partition(": ")
            said[name] = value
        raise EOFError("the stream ended")


@asynccontextmanager
async def listening(http: httpx.AsyncClient, path: str = "/health/events", **headers: str) -> AsyncIterator[Stream]:
    """A connection to the live stream."""
    async with http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer.aiter_lines())
