"""`healthmon apply`: make the fleet what a file says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from healthmon.cli.defaults import leaders_defaults
from healthmon.cli.options import By, DryRun, Form, Output, Prefix, Reason, RedisUrl
from healthmon.cli.order import Order, order_of
from healthmon.cli.output import is_for_people, say, say_all, tell
from healthmon.cli.session import Session, Where, run, session
from healthmon.errors import ConfigurationError, HealthmonError, NoLeader, TimedOut
from healthmon.fleet.difference import Change, Difference, Kind, Stored, commands_for, differences
from healthmon.fleet.edges import cycles_of, unknown_of
from healthmon.fleet.example import example
from healthmon.fleet.reading import FILE_MAX, Fleet, read_fleet
from healthmon.fleet.sending import Result, Sent, send_all
from healthmon.fleet.stored import stored_components
from healthmon.run import defaults_of
from healthmon.settings import masked_url
from healthmon.store.asking import ANSWER_S
from healthmon.views.words import number, plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from healthmon.core.remarks import Remark

_STDIN: Final = "-"
_MARKS: Final = {Kind.NEW: "+", Kind.CHANGED: "~", Kind.UNCHANGED: "=", Kind.FORGET: "-", Kind.NOT_IN_FILE: "?"}
_DONE: Final = {Kind.NEW: "registered", Kind.CHANGED: "changed", Kind.FORGET: "forgotten"}
_AT_A_GLANCE: Final = ("role", "interval", "probe.url", "probe.exec", "restart.method", "depends_on")
# Of several commands for one component the worst answer counts.
_WORST: Final = (Result.DONE, Result.NOT_SENT, Result.WAITING, Result.REFUSED)


def apply(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="The fleet file; - is stdin.", show_default=False)
    ] = None,
    *,
    prune: Annotated[
        bool, typer.Option("--prune", help="Forget declared components that are not in the file.")
    ] = False,
    show_example: Annotated[bool, typer.Option("--example", help="Print a commented fleet file and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before forgetting.")] = False,
    by: By = None,
    reason: Reason = "",
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the next answer at most.")
    ] = ANSWER_S,
    dry_run: DryRun = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Make the fleet what a file says: components, intervals, thresholds, probes, restarts, dependencies.

    The file is checked as a whole first; with an error, nothing is written. Then it is shown what changes, and the
    leader is asked for it; a second time there is nothing to change. Exit code 0: the fleet is as the file says, or
    --dry-run showed what would change.
    """
    if show_example:
        print(example(), end="")
        return
    if file is None:
        raise ConfigurationError("which fleet file? `healthmon apply --example` prints one to begin with")
    order = order_of(by, reason, wait, dry_run=dry_run)
    run(
        _apply,
        Wish(_read(file), "stdin" if file == _STDIN else file, prune, yes),
        order,
        output,
        Where(redis_url, prefix),
    )


@dataclass(frozen=True)
class Wish:
    """The file's text and name, whether what is not in it shall go, and whether that was confirmed already."""

    data: bytes
    name: str
    prune: bool
    yes: bool


async def _apply(wish: Wish, order: Order, form: Form, where: Where) -> None:
    name, prune = wish.name, wish.prune
    async with session(where) as here:
        fleet = await _checked(here, wish.data, name)
        if prune and not fleet.components:
            raise ConfigurationError(f"{name} has no component: --prune would forget all; `healthmon forget` does that")
        stored = await stored_components(here.client, here.keys)
        found = differences(fleet.components, stored, prune=prune)
        _check_edges(fleet, stored, found, name)
        if is_for_people(form):
            say(_plan(found, everything=form is Form.WIDE))
        work = [one for one in found if one.is_work]
        if order.dry_run or not work:
            _tell_values(form, found, {})
            return
        if (await here.cluster.watch()).lease is None:
            raise NoLeader("nobody leads, so nothing can be changed now: `healthmon cluster` shows the replicas")
        _confirm(work, yes=wish.yes)
        sent = await send_all(
            here.client, here.keys, commands_for(work, stored), order.wait_s, by=order.by, reason=order.reason
        )
        answers = _by_component(sent)
        _tell_values(form, found, answers)
        _tell_answers(form, work, answers, order.wait_s)


# -- the file --------------------------------------------------------------------------------------------------------


def _read(file: str) -> bytes:
    """The file, at most 32 MiB of it. Raises ConfigurationError."""
    try:
        if file == _STDIN:
            data = sys.stdin.buffer.read(FILE_MAX + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(FILE_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    if len(data) > FILE_MAX:
        raise ConfigurationError(f"{file} is larger than {FILE_MAX // 2**20} MiB, and no fleet file")
    return data


async def _checked(here: Session, data: bytes, name: str) -> Fleet:
    """The fleet of the file, judged by the leader's defaults. What is wrong with it is told also without Redis."""
    unreachable: HealthmonError | None = None
    try:
        defaults = await leaders_defaults(here, await here.cluster.watch())
    except HealthmonError as error:
        unreachable, defaults = error, defaults_of(here.settings)
    fleet = read_fleet(data, defaults)
    for warning in fleet.warnings:
        _tell_remark(f"warning: {warning.line(name)}")
    _refuse(fleet.errors, name)
    if unreachable is not None:
        raise unreachable
    return fleet


def _check_edges(fleet: Fleet, stored: Mapping[str, Stored], found: Iterable[Difference], name: str) -> None:
    """What only shows together with the components that are stored."""
    going = {one.id for one in found if one.kind is Kind.FORGET}
    staying = {one: known.depends_on for one, known in stored.items() if one not in going}
    for warning in unknown_of(fleet.edges, staying, fleet.places):
        _tell_remark(f"warning: {warning.line(name)}")
    _refuse(cycles_of(fleet.edges, staying, fleet.places), name)


def _refuse(errors: Sequence[Remark], name: str) -> None:
    for error in errors:
        _tell_remark(error.line(name))
    if errors:
        raise ConfigurationError(f"{name} has {plural(len(errors), 'error')}: nothing was changed")


def _tell_remark(line: str) -> None:
    """A line that begins with the file's name, as editors look for it."""
    print(printable(line), file=sys.stderr)


# -- what changes ----------------------------------------------------------------------------------------------------


def _plan(found: Sequence[Difference], *, everything: bool) -> Iterator[str]:
    width = min(32, max((len(one.id) for one in found), default=0))
    for one in found:
        if everything or one.kind is not Kind.UNCHANGED:
            yield f"{_MARKS[one.kind]} {one.id:<{width}}  {_told(one, everything=everything)}"
    yield _summary(found)


def _told(one: Difference, *, everything: bool) -> str:
    match one.kind:
        case Kind.NEW:
            return f"new: {_parts(one.changes, everything=everything)}"
        case Kind.CHANGED:
            return ", ".join(map(_changed, one.changes))
        case Kind.UNCHANGED:
            return "unchanged"
        case Kind.FORGET:
            return "not in the file: it and its history go, for good"
        case Kind.NOT_IN_FILE:
            return "not in the file: it stays (--prune forgets it)"


def _parts(changes: Sequence[Change], *, everything: bool) -> str:
    """What a new one is at a glance, or all that is set."""
    shown = [change for change in changes if everything or change.part in _AT_A_GLANCE]
    parts = [f"{change.part} {_shown(change.part, change.new)}" for change in shown]
    more = len(changes) - len(shown)
    return ", ".join([*parts, *([f"{number(more)} more (-o wide)"] if more else [])]) or "all as by default"


def _changed(change: Change) -> str:
    if change.part == "declared":
        return "declared, it had registered itself"
    return f"{change.part} {_shown(change.part, change.old)} -> {_shown(change.part, change.new)}"


def _shown(part: str, value: object) -> str:
    if value is None:
        return "unset"
    if part.endswith(".url"):
        return printable(masked_url(str(value)))
    if isinstance(value, list):
        return f"[{', '.join(_shown('', one) for one in value)}]"
    return printable(
        f"{value:.12g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    )


def _summary(found: Iterable[Difference]) -> str:
    counts = Counter(one.kind for one in found)
    told = {
        Kind.NEW: "new",
        Kind.CHANGED: "changed",
        Kind.FORGET: "to forget",
        Kind.UNCHANGED: "unchanged",
        Kind.NOT_IN_FILE: "not in the file",
    }
    parts = [f"{number(counts[kind])} {words}" for kind, words in told.items() if counts[kind]]
    is_work = counts[Kind.NEW] + counts[Kind.CHANGED] + counts[Kind.FORGET]
    return f"{'' if is_work else 'nothing to change: '}{', '.join(parts) or 'no components'}"


# -- what became of it -----------------------------------------------------------------------------------------------


def _confirm(work: Iterable[Difference], *, yes: bool) -> None:
    """A person at a terminal is asked before anything is forgotten; for a program --prune is the word."""
    going = sum(one.kind is Kind.FORGET for one in work)
    if going and not yes and sys.stdin.isatty():
        typer.confirm(f"Forget {plural(going, 'component')} with all history?", abort=True, err=True)


def _by_component(sent: Iterable[Sent]) -> dict[str, Sent]:
    answers: dict[str, Sent] = {}
    for one in sent:
        known = answers.get(one.command.id)
        if known is None or _WORST.index(one.result) >= _WORST.index(known.result):
            answers[one.command.id] = one
    return answers


def _tell_answers(form: Form, work: Sequence[Difference], answers: Mapping[str, Sent], wait_s: float) -> None:
    """What was done and what was not. Raises TimedOut, or HealthmonError where the leader refused."""
    results = Counter(answers[one.id].result for one in work)
    done = Counter(one.kind for one in work if answers[one.id].result is Result.DONE)
    if is_for_people(form):
        told = ", ".join(f"{number(done[kind])} {word}" for kind, word in _DONE.items() if done[kind])
        say([f"done: {told or 'nothing'}"])
    for one in work:
        if answers[one.id].result is Result.REFUSED:
            tell(f"{one.id}: refused: {printable(answers[one.id].reason)}")
    waiting = results[Result.WAITING] + results[Result.NOT_SENT]
    if waiting:
        raise TimedOut(
            f"no answer within {wait_s:g} s for {number(waiting)} of {plural(len(work), 'component')}: "
            f"{number(results[Result.WAITING])} wait for the next leader, {number(results[Result.NOT_SENT])} were not "
            "sent; apply again"
        )
    if results[Result.REFUSED]:
        raise HealthmonError(f"{number(results[Result.REFUSED])} of {plural(len(work), 'component')} refused")
    if is_for_people(form):
        tell(f"to undo, apply the file as it was{'; the forgotten are gone' if done[Kind.FORGET] else ''}")


def _tell_values(form: Form, found: Iterable[Difference], answers: Mapping[str, Sent]) -> None:
    """The same for programs: `result` is null where nothing was asked for."""
    if form is Form.NAME:
        say(one.id for one in found if one.is_work)
    elif not is_for_people(form):
        say_all(form, [_value(one, answers.get(one.id)) for one in found])


def _value(one: Difference, answer: Sent | None) -> dict[str, Any]:
    changes = [
        {"part": change.part, "old": _plain(change.part, change.old), "new": _plain(change.part, change.new)}
        for change in one.changes
    ]
    return {
        "id": one.id,
        "action": one.kind.value,
        "changes": changes,
        "result": answer.result.value if answer else None,
        "reason": (answer.reason or None) if answer else None,
    }


def _plain(part: str, value: object) -> object:
    return masked_url(value) if part.endswith(".url") and isinstance(value, str) else value
