"""`GET /health/events` and `GET /health/log`: what happens, as a stream that can be resumed, and what happened."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from healthmon.core.event import EventType
from healthmon.core.refusal import Refusal
from healthmon.errors import HealthmonError
from healthmon.store.event_log import EventLog
from healthmon.store.reading import StreamEntry
from healthmon.views import schemas
from healthmon.views.endpoint import STREAM_ID_PATTERN, Answer, Asked, Endpoint, Parameter, answered, bad_parameter
from healthmon.views.fleet import Fleet
from healthmon.views.following import VIEWERS_MAX, Following, Viewer
from healthmon.views.happened import event_json

EVENTS_MAX: Final = 500
# So many entries are looked through for one page of a filtered log; the page says where to go on.
LOOKED_MAX: Final = 20_000
# A viewer that was lost is given so long to take its last message.
LAST_WORD_S: Final = 10.0
_STREAM_ID: Final = re.compile(STREAM_ID_PATTERN)
_TYPES: Final = tuple(sorted({kind.value for kind in EventType}))


class EventStream(Response):
    """Server-sent events to one viewer, until it goes, or is too slow to be served."""

    media_type = "text/event-stream"

    def __init__(self, following: Following, since: str) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._following = following
        self._since = since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # as ASGI calls it
        """Serve it: ends when the client disconnects, or after its last message."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with self._following.viewer() as viewer:
            async with anyio.create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                group.start_soon(_until_given_up, viewer, group.cancel_scope)
                await self._send(viewer, send)
                group.cancel_scope.cancel()

    async def _send(self, viewer: Viewer, send: Send) -> None:
        body = partial(_body, send)
        await body("retry: 1000\n\n")
        try:
            async with aclosing(self._following.messages(viewer, self._since)) as messages:
                async for message in messages:
                    await body(message.text)
        except HealthmonError as error:
            await body(f": {error}\n\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _until_given_up(viewer: Viewer, scope: anyio.CancelScope) -> None:
    await viewer.lost.wait()
    await anyio.sleep(LAST_WORD_S)
    scope.cancel()


@dataclass(frozen=True)
class EventViews:
    """The handlers over one live stream and the log behind it."""

    fleet: Fleet
    following: Following
    log: EventLog

    async def stream(self, asked: Asked) -> Response:
        """The live stream, from an id on where one is given."""
        if self.following.viewers >= VIEWERS_MAX:
            raise Refusal(503, "too_many_viewers", f"{VIEWERS_MAX} viewers follow already: ask another replica", 10)
        return EventStream(self.following, stream_id(asked["Last-Event-ID"] or asked["since"]))

    async def past(self, asked: Asked) -> Response:
        """One page of the log, the newest first."""
        before = stream_id(asked["before"])
        self.fleet.ask_redis()
        entries = self.log.backwards(f"({before}" if before else "+")
        page = await _page(
            entries, asked["type"].split(",") if asked["type"] else (), asked["component"], asked["limit"]
        )
        return answered(page)

    def endpoints(self) -> Sequence[Endpoint]:
        """What these handlers answer."""
        since = Parameter(
            "since",
            "A stream id: all after it comes first. Without one: from now on.",
            pattern=STREAM_ID_PATTERN,
        )
        resumed = Parameter(
            "Last-Event-ID", "As `since`, and before it; browsers send it by themselves.", place="header"
        )
        return (
            Endpoint(
                "GET",
                "/health/events",
                "events",
                "Every committed event as it happens (`event`: its type, `id`: its stream id, `data`: as in "
                "/health/log), and every 2 s an event `freshness` with the counts. `missed` says that events were "
                "trimmed before they were read, or, as the last one, that this viewer did not keep up: connect again.",
                self.stream,
                parameters=(since, resumed),
                answers={
                    200: Answer("The stream, which does not end.", media="text/event-stream"),
                    503: Answer("Too many follow already.", schemas.ERROR),
                },
                tag="events",
            ),
            Endpoint(
                "GET",
                "/health/log",
                "log",
                "Events, the newest first. `next` is where to go on, null at the end.",
                self.past,
                parameters=(
                    Parameter("type", "Only these types, with commas between.", choices=_TYPES, several=True),
                    Parameter("component", "Only of this component."),
                    Parameter("limit", "How many.", "whole", otherwise=100, least=1, most=EVENTS_MAX),
                    Parameter("before", "Only older ones than this stream id.", pattern=STREAM_ID_PATTERN),
                ),
                answers={200: Answer("One page.", schemas.LOG), 503: Answer("Redis is away.", schemas.ERROR)},
                tag="events",
            ),
        )


def stream_id(text: str) -> str:
    """A whole stream id, "" for none. Raises Refusal for anything else."""
    if not text:
        return ""
    if not _STREAM_ID.fullmatch(text):
        raise bad_parameter(f"{text[:64]!r} is no stream id, such as 1795462262114-0")
    return text if "-" in text else f"{text}-0"


async def _page(
    entries: AsyncGenerator[StreamEntry, None], types: Sequence[str], component_id: str, limit: int
) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    looked, last = 0, ""
    async with aclosing(entries) as every:
        async for entry in every:
            looked, last = looked + 1, entry.id
            fields = entry.fields
            if (not types or fields.get("type") in types) and component_id in ("", fields.get("id")):
                found.append(event_json(entry))
            if len(found) == limit or looked == LOOKED_MAX:
                return {"events": found, "next": last}
    return {"events": found, "next": None}
