"""The live stream: one reader of the events for everybody who looks through this process, and a bounded buffer each.

A viewer that does not keep up loses its buffer, not the others theirs: it is told that it missed something, and comes
back with the id of the last event that it has, from which the stream in Redis goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from healthmon import clock
from healthmon.core.event import EventType
from healthmon.errors import HealthmonError
from healthmon.store.event_log import START, EventLog, Gap, place
from healthmon.store.reading import StreamEntry
from healthmon.views.fleet import Fleet
from healthmon.views.happened import event_json
from healthmon.views.lookout import Lookout

logger = logging.getLogger("healthmon.views")
FRESHNESS_S: Final = 2.0
VIEWERS_MAX: Final = 1000
# Of a viewer that reads nothing: 512 events of some 400 bytes, which all viewers share.
BUFFER_MAX: Final = 512
AGAIN_S: Final = 0.5
# An event is told once this process's own table knows of it; a replica that hangs delays nobody for longer.
APPLIED_S: Final = 0.25
LOOK_AGAIN_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the stream as it goes over the wire; `id` "" for what is no event."""

    text: str
    id: str = ""


@dataclass(eq=False)
class Viewer:
    """One reader of the live stream. `lost`: it did not keep up, and nothing more comes."""

    send: MemoryObjectSendStream[Message]
    receive: MemoryObjectReceiveStream[Message]
    lost: anyio.Event = field(default_factory=anyio.Event)


class Following:
    """Reads the events as they are committed, and hands them to the viewers. `at`: the newest that was handed on."""

    def __init__(self, fleet: Fleet, lookout: Lookout, live: EventLog, log: EventLog) -> None:
        self.at = START
        self._fleet = fleet
        self._lookout = lookout
        self._live = live
        self._log = log
        self._viewers: set[Viewer] = set()

    @property
    def viewers(self) -> int:
        """How many follow now."""
        return len(self._viewers)

    # -- for one viewer ------------------------------------------------------------------------------------------------

    @contextmanager
    def viewer(self) -> Iterator[Viewer]:
        """A place among the viewers; from here on it misses nothing that its buffer holds."""
        send, receive = anyio.create_memory_object_stream[Message](BUFFER_MAX)
        viewer = Viewer(send, receive)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            send.close()
            receive.close()

    async def messages(self, viewer: Viewer, since: str = "") -> AsyncGenerator[Message, None]:
        """How fresh this is, everything after an id ("": from now on), and then what happens, until the viewer is lost.

        Raises StoreUnavailable when what came before can't be read.
        """
        at = since or self.at
        yield self.pulse()
        if since:
            async for message in self._before(since, self.at):
                at = message.id or at
                yield message
        async for message in viewer.receive:
            if not message.id or place(message.id) > place(at):
                at = message.id or at
                yield message
        if viewer.lost.is_set():
            yield message_of("missed", {"since": at, "reason": "this viewer did not keep up: go on from there"})

    def pulse(self) -> Message:
        """That the connection lives, how far what it says can be trusted, and the counts."""
        return message_of("freshness", self._fleet.pulse())

    async def _before(self, since: str, upto: str) -> AsyncGenerator[Message, None]:
        gap = await self._log.gap(since)
        if gap is not None:
            yield missed(gap)
        cursor = START if gap is not None and gap.replaced else since
        while place(cursor) < place(upto):
            chunk = await self._log.after(cursor)
            if not chunk:
                return
            for entry in chunk:
                cursor = entry.id
                if place(entry.id) <= place(upto):
                    yield told(entry)

    # -- for all -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read and hand on until cancelled; while Redis is away, the pulse goes on. Viewers are let go at the end."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._beat)
                await self._begin()
                while True:
                    await self._read_on()
        finally:
            for viewer in self._viewers:
                viewer.send.close()

    async def _read_on(self) -> None:
        try:
            entries = await self._live.after(self.at, block=True)
            until_s = clock.monotonic_s() + APPLIED_S
            for entry in entries:
                await self._hand_on(entry, until_s)
        except HealthmonError as away:
            logger.debug("the live stream waits: %s", away)
            await anyio.sleep(AGAIN_S)
            await self._look_for_gap()

    async def _begin(self) -> None:
        while True:
            try:
                self.at = await self._live.last()
            except HealthmonError:
                await anyio.sleep(AGAIN_S)
            else:
                return

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(FRESHNESS_S)
            if self._viewers:
                self._tell(self.pulse())

    async def _hand_on(self, entry: StreamEntry, until_s: float) -> None:
        if entry.fields.get("type") == EventType.LEADER:
            self._lookout.ring()
        await self.applied(entry, until_s)
        if self._viewers:
            self._tell(told(entry))
        self.at = entry.id

    async def applied(self, entry: StreamEntry, until_s: float) -> None:
        """Returns when this process's table knows of an event: whoever looks because of it finds the change."""
        component_id, rev = entry.fields.get("id", ""), entry.fields.get("rev", "")
        if not component_id or not rev.isdecimal():
            return
        while not self._knows(component_id, int(rev), entry.fields):
            if clock.monotonic_s() > until_s:
                return
            await anyio.sleep(LOOK_AGAIN_S)

    def _knows(self, component_id: str, rev: int, fields: dict[str, str]) -> bool:
        component = self._fleet.table.components.get(component_id)
        if component is None:
            return fields.get("type") != EventType.REGISTERED
        if fields.get("type") == EventType.FORGOTTEN:
            return fields.get("born") != str(component.born_ms)
        return component.rev >= rev or str(component.born_ms) > fields.get("born", "")

    async def _look_for_gap(self) -> None:
        """After Redis was away: is it the same stream, and is what comes next still there?"""
        try:
            gap = await self._live.gap(self.at)
        except HealthmonError:
            return
        if gap is not None:
            self._tell(missed(gap))
            self.at = START if gap.replaced else self.at

    def _tell(self, message: Message) -> None:
        for viewer in list(self._viewers):
            try:
                viewer.send.send_nowait(message)
            except anyio.WouldBlock:
                viewer.send.close()
                viewer.lost.set()
                self._viewers.discard(viewer)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._viewers.discard(viewer)


def told(entry: StreamEntry) -> Message:
    """An event as a message."""
    event = event_json(entry)
    return message_of(str(event["type"]), event, entry.id)


def missed(gap: Gap) -> Message:
    """Events that are gone, as a message."""
    said = {"missed_max": gap.missed_max, "first": gap.first or None, "replaced": gap.replaced}
    return message_of("missed", said)


def message_of(kind: str, data: dict[str, Any], entry_id: str = "") -> Message:
    """A message of the stream: the id, the kind, and one line of JSON."""
    head = f"id: {entry_id}\n" if entry_id else ""
    kind = kind.replace("\r", " ").replace("\n", " ")
    return Message(f"{head}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n", entry_id)
