"""Asking the leader for something about components: every command of that kind is this, with another word.

All are asked before the first answer is waited for, so that a hundred take no longer than one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from healthmon import clock
from healthmon.cli.events import json_of_event
from healthmon.cli.options import Form
from healthmon.cli.output import is_for_people, say, say_all, tell, terminal
from healthmon.cli.session import Session, Where, session
from healthmon.core.alert import rfc3339
from healthmon.errors import HealthmonError, TimedOut
from healthmon.store.asking import CommandRefused, answer_to, ask
from healthmon.views.happenings import happening_of
from healthmon.views.outcome import Outcome, outcome_of
from healthmon.views.prospect import prospect
from healthmon.views.states import word_of
from healthmon.views.words import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthmon.cli.order import Order
    from healthmon.store.asking import Asked
    from healthmon.store.reading import StreamEntry


@dataclass(frozen=True, slots=True)
class Deed:
    """What is asked for: the word of the control stream, and the same for people as in `a would be held`.

    `undo`: the command that takes it back, "" where none does. `outcome_s`: how long to wait for what a restart comes
    to, at most; None: its claim is answer enough. `said`: what else the command says.
    """

    cmd: str
    done: str
    undo: str = ""
    outcome_s: float | None = None
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What came of one order: the event that answers it, or why there is none; and what the restart came to."""

    id: str
    event: StreamEntry | None = None
    error: HealthmonError | None = None
    outcome: Outcome | None = None


async def do(deed: Deed, ids: Sequence[str], order: Order, form: Form, where: Where) -> None:
    """Ask for each of these (none: for the fleet), wait for the answers, and say them. Ends the process with 1 or 124
    when one was refused, came to nothing, or was not answered in time. Raises NoSuchComponent, NoLeader before anything
    is asked.
    """
    async with session(where) as here:
        for one in ids:
            await here.known(one)
        if order.dry_run:
            _say_dry(deed, ids, form)
            return
        await here.lease(f"so nothing can be {deed.done} now")
        answers = await _answers(here, deed, ids, order)
        if is_for_people(form):
            _say(deed, answers)
        if deed.outcome_s is not None:
            await _follow(here, answers, deed.outcome_s, form)
        if not is_for_people(form):
            say_all(form, [_json(deed, answer) for answer in answers if form is not Form.NAME or not answer.error])
    _end(answers)


async def _answers(here: Session, deed: Deed, ids: Sequence[str], order: Order) -> list[Answer]:
    asked = [
        await ask(here.client, here.keys, deed.cmd, id=one, by=order.by, reason=order.reason, **deed.said)
        for one in ids or ("",)
    ]
    until_s = clock.monotonic_s() + order.wait_s
    return [await _answer(here, one, question, until_s) for one, question in zip(ids or ("",), asked, strict=True)]


async def _answer(here: Session, component_id: str, asked: Asked, until_s: float) -> Answer:
    try:
        left_s = max(0.0, until_s - clock.monotonic_s())
        return Answer(component_id, await answer_to(here.client, here.keys, asked, left_s))
    except (CommandRefused, TimedOut) as error:
        tell(str(error))
        return Answer(component_id, error=error)


# -- what a restart comes to -----------------------------------------------------------------------------------------


async def _follow(here: Session, answers: Sequence[Answer], within_s: float, form: Form) -> None:
    """Read the events behind the answers until every restart has come to its end, or the time is over."""
    waiting = {answer.id: answer for answer in answers if answer.event is not None}
    cursor = min((answer.event.id for answer in waiting.values() if answer.event), default="")
    until_s = clock.monotonic_s() + within_s
    while waiting and clock.monotonic_s() < until_s:
        entries = await here.events.after(cursor, block=True)
        for entry in entries:
            cursor = entry.id
            _take(waiting.get(entry.fields.get("id", "")), entry)
        for answer in [one for one in waiting.values() if one.outcome is not None]:
            del waiting[answer.id]
            if is_for_people(form):
                await _say_outcome(here, answer)
    for answer in waiting.values():
        await _give_up(here, answer, within_s)


def _take(answer: Answer | None, entry: StreamEntry) -> None:
    """Of several ends in one commit, as dead and given up, the last counts."""
    if answer is not None and answer.event is not None and entry.ms >= answer.event.ms:
        answer.outcome = outcome_of(entry.fields, entry.ms) or answer.outcome


async def _say_outcome(here: Session, answer: Answer) -> None:
    if answer.outcome is None or answer.event is None:
        return
    outcome, since_ms = answer.outcome, answer.event.ms
    record = await here.reader.record(answer.id)
    follows = prospect(record, await here.reader.now_ms()) if record and not outcome.ok else ""
    word = word_of(outcome.state) or "gone"
    sentence = f"{answer.id}: {word} after {duration(outcome.at_ms - since_ms)}: {outcome.reason}"
    say([terminal().plain(f"{sentence}; {follows}" if follows else sentence)])


async def _give_up(here: Session, answer: Answer, within_s: float) -> None:
    """The time is over: say what it waits for."""
    record = await here.reader.record(answer.id)
    follows = prospect(record, await here.reader.now_ms())
    now = f"{word_of(record.get('state', ''))}, {record.get('reason', '')}" if record else "gone"
    answer.error = TimedOut(f"{answer.id} is not healthy after {within_s:g} s: it is {now}; {follows}".rstrip("; "))
    tell(str(answer.error))


# -- for people and for programs -------------------------------------------------------------------------------------


def _say(deed: Deed, answers: Sequence[Answer]) -> None:
    screen, done = terminal(), [answer for answer in answers if answer.event is not None]
    for answer in done:
        if answer.event is not None:
            sentence = happening_of(answer.event.fields).sentence
            say([screen.plain(f"{answer.id}: {sentence}" if answer.id else sentence)])
    if deed.undo and done:
        tell(f"undo with `healthmon {deed.undo} {' '.join(answer.id for answer in done)}`")


def _say_dry(deed: Deed, ids: Sequence[str], form: Form) -> None:
    if is_for_people(form):
        say(f"{one} would be {deed.done}" for one in ids or ("automatic restarts",))
    else:
        say_all(form, [{"id": one or None, "cmd": deed.cmd, "done": False, "error": None} for one in ids or ("",)])


def _json(deed: Deed, answer: Answer) -> dict[str, Any]:
    outcome = answer.outcome
    ended = outcome and {"state": outcome.state or None, "reason": outcome.reason, "at": rfc3339(outcome.at_ms)}
    return {
        "id": answer.id or None,
        "cmd": deed.cmd,
        "done": answer.event is not None,
        "error": str(answer.error) if answer.error else None,
        "event": json_of_event(answer.event) if answer.event else None,
        "outcome": ended,
    }


def _end(answers: Sequence[Answer]) -> None:
    """The exit code: what was refused or failed comes before what merely takes its time."""
    failed = any(answer.outcome is not None and not answer.outcome.ok for answer in answers)
    codes = [answer.error.exit_code for answer in answers if answer.error is not None]
    if failed or codes:
        raise SystemExit(1 if failed else min(codes))
