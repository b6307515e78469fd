"""`healthmon wait`: until components are in a state, are there, or are gone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
import tenacity
import typer

from healthmon import clock
from healthmon.cli.options import ComponentIds, Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_all, tell, terminal
from healthmon.cli.session import Session, Where, run, session
from healthmon.errors import ConfigurationError, Refused, StoreUnavailable, TimedOut, UnfitServer
from healthmon.store.event_log import START
from healthmon.views.prospect import prospect
from healthmon.views.search import parse_query
from healthmon.views.states import LOOKS, word_of
from healthmon.views.words import duration

if TYPE_CHECKING:
    from healthmon.store.reading import StreamEntry

_GONE: Final = ("deleted", "forgotten")
_THERE: Final = "registered"
_AGAIN_S_MAX: Final = 1.0
# Redis may be away when the time is over: what is said of that has a limit of its own.
_LAST_WORD_S: Final = 1.0


@dataclass(frozen=True)
class _Wish:
    """What is waited for: any of these states, or being gone; how long at most, and for whom is not there yet, too."""

    states: frozenset[str] = frozenset()
    gone: bool = False
    timeout_s: float = 0.0
    create: bool = False

    def holds(self, state: str) -> bool:
        """Whether it holds of a component in this state, "" of one that is not there."""
        return self.gone if not state else state in self.states

    def __str__(self) -> str:
        words = [word_of(state) for state in LOOKS if state in self.states]
        words = ["there"] if len(words) == len(LOOKS) else words
        return " or ".join([*words, *(["gone"] if self.gone else [])])


def wait(
    ids: ComponentIds,
    *,
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="STATE[,STATE]|registered|deleted",
            help="States; registered: there at all; deleted: forgotten.",
        ),
    ] = "healthy",
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long at most; 0 only looks.")] = 60.0,
    create: Annotated[
        bool, typer.Option("--create", help="Wait also for one that is not there yet, instead of ending with 3.")
    ] = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Wait until all of these components are in a state, and say each as it gets there.

    The exit code is 0 when all are, 124 when it takes longer, 3 when one is not known (unless that is waited for). A
    state that is passed through counts. Redis may go and come back meanwhile.
    """
    states, gone = _states(for_)
    wish = _Wish(states, gone, timeout, create or gone or states == frozenset(LOOKS))
    run(_wait, list(dict.fromkeys(ids)), wish, output, Where(redis_url, prefix))


def _states(given: str) -> tuple[frozenset[str], bool]:
    """The states that are wished for, and whether being gone is."""
    words = [word.strip() for word in given.split(",") if word.strip()]
    gone = any(word in _GONE for word in words)
    states = [word for word in words if word not in _GONE]
    if _THERE in states:
        return frozenset(LOOKS), gone
    if not words:
        raise ConfigurationError(f"--for takes {', '.join(LOOKS)}, {_THERE} or {_GONE[0]}")
    try:
        return parse_query(f"state:{','.join(states)}").states if states else frozenset(), gone
    except Refused as error:
        raise ConfigurationError(f"--for: {error}, {_THERE} or {_GONE[0]}") from None


async def _wait(ids: list[str], wish: _Wish, form: Form, where: Where) -> None:
    async with session(where) as here:
        for one, record in zip(ids, await here.reader.records(ids), strict=True):
            if not record and not wish.create:
                await here.known(one)
        waiting = _Waiting(here, wish, form, clock.monotonic_s(), dict.fromkeys(ids, ""))
        with anyio.move_on_after(wish.timeout_s) if wish.timeout_s else anyio.CancelScope():
            await waiting.watch()
        with anyio.move_on_after(_LAST_WORD_S):
            await waiting.say_open()
    if not is_for_people(form):
        say_all(form, [waiting.json(one) for one in ids if form is not Form.NAME or one in waiting.reached])
    if waiting.open:
        raise SystemExit(TimedOut.exit_code)


@dataclass
class _Waiting:
    """How far it is. `open`: who is waited for, each with the state it was last seen in; `reached`: who is there, in
    which state and after how many milliseconds.
    """

    here: Session
    wish: _Wish
    form: Form
    begun_s: float
    open: dict[str, str]
    reached: dict[str, tuple[str, int]] = field(default_factory=dict)

    async def watch(self) -> None:
        """Until nobody is waited for any more; through any number of times that Redis is away."""
        once = not self.wish.timeout_s
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=_AGAIN_S_MAX),
            before_sleep=_tell_away,
            sleep=anyio.sleep,
            stop=tenacity.stop_after_attempt(1) if once else tenacity.stop_never,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                cursor = await self.here.events.last()
                await self._look()
                while self.open and not once:
                    cursor = await self._follow(cursor)

    async def _follow(self, cursor: str) -> str:
        """The events after this one, as soon as there are any; where to go on."""
        entries = await self.here.events.after(cursor, block=True)
        if not entries and (gap := await self.here.events.gap(cursor)) and gap.replaced:
            await self._look()  # the data was lost or is another: what counts is what is there now
            return START
        for entry in entries:
            cursor = entry.id
            await self._take(entry)
        return cursor

    async def _look(self) -> None:
        """What holds already, by the records."""
        ids = list(self.open)
        for one, record in zip(ids, await self.here.reader.records(ids), strict=True):
            self._see(one, record.get("state", ""), record.get("reason", ""))

    async def _take(self, entry: StreamEntry) -> None:
        """What an event says: it counts also when its state is over by now."""
        one, kind = entry.fields.get("id", ""), entry.fields.get("type", "")
        if one not in self.open:
            return
        state, reason = entry.fields.get("to", ""), entry.fields.get("reason", "")
        if kind == "forgotten":
            state = ""
        elif not state:
            record = (await self.here.reader.records([one]))[0]
            state, reason = record.get("state", ""), record.get("reason", "")
        self._see(one, state, reason)

    def _see(self, one: str, state: str, reason: str) -> None:
        self.open[one] = state
        if not self.wish.holds(state):
            return
        del self.open[one]
        took_ms = round((clock.monotonic_s() - self.begun_s) * 1000)
        self.reached[one] = (state, took_ms)
        if is_for_people(self.form):
            what = f"{word_of(state) or 'gone'} after {duration(took_ms)}"
            say([terminal().plain(f"{one}: {what}: {reason}" if state and reason else f"{one}: {what}")])

    async def say_open(self) -> None:
        """The time is over: what each that is left waits for."""
        ids, late = list(self.open), f"after {self.wish.timeout_s:g} s"
        if not ids:
            return
        try:
            records, now_ms = await self.here.reader.records(ids), await self.here.reader.now_ms()
        except StoreUnavailable as error:
            tell(f"{', '.join(ids)}: not {self.wish} {late}; {error}")
            return
        for one, record in zip(ids, records, strict=True):
            now, follows = "it is not there", prospect(record, now_ms) if record else ""
            if record:
                now = f"it is {word_of(record.get('state', ''))}, {record.get('reason', '')}".rstrip(", ")
            tell(f"{one} is not {self.wish} {late}: {now}; {follows}".rstrip("; "))

    def json(self, one: str) -> dict[str, Any]:
        """How far one is, for a program."""
        state, took_ms = self.reached.get(one, (self.open.get(one, ""), None))
        return {"id": one, "state": state or None, "reached": one in self.reached, "after_ms": took_ms}


def _passes(error: BaseException) -> bool:
    """Whether waiting may help: Redis is away, and not one that may not be used."""
    return isinstance(error, StoreUnavailable) and not isinstance(error, UnfitServer)


def _tell_away(state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        tell(f"{state.outcome.exception()}; trying again")
