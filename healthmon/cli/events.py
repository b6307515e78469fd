"""`healthmon events`: what happened, from any moment or id on, and what happens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
import tenacity
import typer

from healthmon.cli.options import Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say_all, say_line, tell, terminal
from healthmon.cli.session import Session, Where, run, session
from healthmon.core.event import EventType
from healthmon.errors import ConfigurationError, NoSuchComponent, StoreUnavailable, UnfitServer
from healthmon.store.event_log import START, Gap, place
from healthmon.views.happenings import happening_of
from healthmon.views.picture import json_of, time_of
from healthmon.views.terminal import Cell
from healthmon.views.words import moment, plural, read_duration_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from healthmon.store.reading import StreamEntry
    from healthmon.views.terminal import Terminal

_LATEST: Final = 20
_STREAM_ID: Final = re.compile(r"\d{10,}(-\d+)?")
_WHO_WIDTH: Final = 16
_AGAIN_S_MAX: Final = 2.0


@dataclass(frozen=True)
class Wanted:
    """Which events are shown. Empty parts hold for all."""

    id: str
    types: frozenset[str]

    def __call__(self, entry: StreamEntry) -> bool:
        fields = entry.fields
        return (not self.id or fields.get("id") == self.id) and (not self.types or fields.get("type") in self.types)


@dataclass(frozen=True)
class Span:
    """From when on, how many of the latest at most (None: all), and whether to go on with what happens."""

    since: str
    limit: int | None
    follow: bool


def events(
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what happens, until Ctrl-C.")] = False,
    since: Annotated[
        str,
        typer.Option(
            metavar="ID|DURATION",
            help="All after this stream id, or of the last 90s, 15m, 2h, 1d. Without it, the latest.",
            show_default=False,
        ),
    ] = "",
    component_id: Annotated[
        str, typer.Option("--id", metavar="ID", help="Only of this component.", show_default=False)
    ] = "",
    event_type: Annotated[
        str, typer.Option("--type", metavar="TYPE[,TYPE]", help="Only of these types.", show_default=False)
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help=f"How many of the latest at most; {_LATEST} unless --since is given, then all."
        ),
    ] = None,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Show what happened, oldest first; with -f, also what happens. Nothing is lost between two calls with --since."""
    wanted = Wanted(component_id, _types(event_type))
    latest = _LATEST if limit is None and not since else limit
    run(_events, wanted, Span(since, latest, follow), output, Where(redis_url, prefix))


async def _events(wanted: Wanted, span: Span, form: Form, where: Where) -> None:
    async with session(where) as here:
        if wanted.id and not await here.reader.record(wanted.id) and not await here.reader.history(wanted.id, 1):
            await _refuse_unknown(here, wanted)
        # Without --since, the latest are shown and following goes on behind the newest of all at that moment.
        last = await here.events.last()
        cursor = await _cursor(here, span.since)
        old = _after(here, cursor, last) if span.limit is None else _latest(here, wanted, span.limit, (cursor, last))
        shown = [entry async for entry in old if wanted(entry)] if form is Form.JSON and not span.follow else None
        if shown is not None:
            say_all(form, [json_of_event(entry) for entry in shown], "stream_id")
            return
        printer = _Printer(form, terminal(), (await here.reader.now_ms()))
        async for entry in old:
            if wanted(entry):
                printer.say(entry)
        if span.follow:
            await _follow(here, wanted, last, printer)
        elif not printer.said:
            tell("no such events" if span.since or wanted.id or wanted.types else "no events yet")


@dataclass
class _Printer:
    """Prints events one by one. `now_ms`: which day is today."""

    form: Form
    screen: Terminal
    now_ms: int
    said: int = 0

    def say(self, entry: StreamEntry) -> None:
        self.said += 1
        if is_for_people(self.form):
            self.now_ms = max(self.now_ms, entry.ms)
            print("\n".join(_lines(self.screen, entry, self.now_ms)), flush=True)
        else:
            say_line(Form.NAME if self.form is Form.NAME else Form.JSONL, json_of_event(entry), "stream_id")


def json_of_event(entry: StreamEntry) -> dict[str, Any]:
    """An event for a program: its stream id, by which to go on, and its fields under their own names."""
    return {"stream_id": entry.id, **json_of(entry.fields)}


def _lines(screen: Terminal, entry: StreamEntry, now_ms: int) -> list[str]:
    happening = happening_of(entry.fields)
    at = moment(time_of(entry.fields, "at") or entry.ms, now_ms, exact=True)
    mark = screen.mark(happening.state)
    head = [Cell(at), Cell(f"{mark.text:<{1 if screen.unicode else 2}}", mark.tone, mark.weight)]
    return screen.hanging([*head, Cell(f"{happening.who:<{_WHO_WIDTH}}")], happening.sentence)


# -- from where ------------------------------------------------------------------------------------------------------


def _types(given: str) -> frozenset[str]:
    types = frozenset(each for each in given.split(",") if each)
    for unknown in sorted(types - {each.value for each in EventType}):
        raise ConfigurationError(f"there is no event type {unknown!r}: {', '.join(each.value for each in EventType)}")
    return types


async def _cursor(here: Session, since: str) -> str:
    """The id after which to begin. Raises ConfigurationError for neither an id nor a duration."""
    if not since:
        return START
    if _STREAM_ID.fullmatch(since) or since == START:
        cursor = since if "-" in since else f"{since}-0"
    elif (before_ms := read_duration_ms(since)) is not None:
        begin_ms = await here.reader.now_ms() - before_ms
        cursor = f"{max(0, begin_ms - 1)}-{(1 << 63) - 1}"
    else:
        raise ConfigurationError(f"--since takes a stream id or a duration such as 90s, 15m, 2h or 1d, not {since!r}")
    gap = await here.events.gap(cursor)
    if gap and _STREAM_ID.fullmatch(since):
        _tell_gap(gap)
        return START if gap.replaced else cursor
    return cursor


async def _latest(here: Session, wanted: Wanted, limit: int, within: tuple[str, str]) -> AsyncIterator[StreamEntry]:
    """The latest events behind the first id of `within`, up to its second."""
    found: list[StreamEntry] = []
    if limit:
        async for entry in here.events.backwards(within[1]):
            if place(entry.id) <= place(within[0]):
                break
            if wanted(entry):
                found.append(entry)
            if len(found) == limit:
                break
    for entry in reversed(found):
        yield entry


async def _after(here: Session, cursor: str, last: str) -> AsyncIterator[StreamEntry]:
    """Everything after the cursor up to where the stream ended when the command began."""
    while place(cursor) < place(last):
        chunk = await here.events.after(cursor)
        if not chunk:
            return
        for entry in chunk:
            if place(entry.id) <= place(last):
                yield entry
        cursor = chunk[-1].id


def _tell_gap(gap: Gap) -> None:
    if gap.replaced:
        tell("the events end before that id: the data was lost or is another; going on from its beginning")
    else:
        tell(f"events after that id were trimmed: at most {plural(gap.missed_max, 'event')} missed")


async def _refuse_unknown(here: Session, wanted: Wanted) -> None:
    """A component that is gone may still have events; only one without any is a mistake."""
    async for entry in here.events.backwards():
        if entry.fields.get("id") == wanted.id:
            return
    await here.known(wanted.id)
    raise NoSuchComponent(f"no component {wanted.id}")


# -- what happens ----------------------------------------------------------------------------------------------------


async def _follow(here: Session, wanted: Wanted, cursor: str, printer: _Printer) -> None:
    """Every event from now on, for ever. Redis may go and come back: nothing that it kept is missed."""
    try:
        while True:
            try:
                for entry in await here.events.after(cursor, block=True) or await _checked(here, cursor):
                    cursor = entry.id
                    if wanted(entry):
                        printer.say(entry)
            except UnfitServer:
                raise
            except StoreUnavailable as error:
                tell(f"{error}; trying again")
                cursor = await _come_back(here, cursor)
    except BaseException:
        if is_for_people(printer.form):
            tell(f"go on later with --since {cursor}")
        raise


async def _checked(here: Session, cursor: str) -> list[StreamEntry]:
    """Nothing came for a second: perhaps nothing will, because the stream is another one."""
    gap = await here.events.gap(cursor)
    if gap and gap.replaced and gap.first:
        _tell_gap(gap)
        return await here.events.after(START)
    return []


async def _come_back(here: Session, cursor: str) -> str:
    """Wait until Redis answers again. The id to go on from: the beginning when it lost its data."""
    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(StoreUnavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=_AGAIN_S_MAX),
        sleep=anyio.sleep,
    )
    async for attempt in attempts:
        with attempt:
            gap = await here.events.gap(cursor)
    tell("Redis answers again")
    if gap:
        _tell_gap(gap)
    return START if gap and gap.replaced else cursor
