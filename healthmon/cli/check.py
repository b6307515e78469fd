"""`healthmon check`: one line and an exit code for Nagios, Icinga, and whatever runs their plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
import typer

from healthmon.cli.options import Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_all, say_one, terminal
from healthmon.cli.rows import refreshed
from healthmon.cli.session import Session, Where, freshness_of, run, session
from healthmon.errors import HealthmonError, TimedOut
from healthmon.views.picture import counts_of, json_of
from healthmon.views.search import Query, parse_query
from healthmon.views.states import WORST_FIRST
from healthmon.views.verdict import CRITICAL, WARN, Bounds, Grade, Verdict, unknown, verdict_of_many, verdict_of_one

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from healthmon.store.reading import Record

_WARN: Final = ",".join(one for one in WORST_FIRST if one in WARN)
_CRITICAL: Final = ",".join(one for one in WORST_FIRST if one in CRITICAL)
# Of many that are not healthy, so many are read and told one by one.
_TOLD: Final = 20


@dataclass(frozen=True)
class _Asked:
    """Of whom the verdict is wanted: of these ids, else of whom the search finds, else of all."""

    ids: Sequence[str]
    query: Query
    bounds: Bounds


def check(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Ids of the components; the whole fleet without any.", show_default=False),
    ] = None,
    *,
    search: Annotated[
        str,
        typer.Option(
            "-l",
            "--search",
            metavar="TEXT",
            help="Instead of ids: such as 'role:api host:web-03'.",
            show_default=False,
        ),
    ] = "",
    warn: Annotated[str, typer.Option(metavar="STATE[,STATE]", help="States that end with 1.")] = _WARN,
    critical: Annotated[
        str, typer.Option(metavar="STATE[,STATE]", help="States that end with 2; they win over --warn.")
    ] = _CRITICAL,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long Redis may take to answer.")
    ] = 10.0,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Say on one line whether components are healthy, with an exit code as Nagios plugins have it.

    0 healthy; 1 degraded, restarting or starting; 2 unhealthy, dead or given up; 3 unknown: no such component, bad
    arguments, Redis unreachable, or nobody leads so that the states may be old. `-o wide` adds a line for each that is
    not healthy.
    """
    records: list[Record] = []
    try:
        if ids and search:
            raise HealthmonError("check takes ids of components or --search, not both")
        asked = _Asked(list(dict.fromkeys(ids or ())), parse_query(search), Bounds(_states(warn), _states(critical)))
        verdict, records = run(_check, asked, timeout, Where(redis_url, prefix))
    except HealthmonError as error:
        verdict = unknown(str(error))
    _say(output, verdict, records)
    if verdict.grade:
        raise SystemExit(int(verdict.grade))


def _states(given: str) -> frozenset[str]:
    return parse_query(f"state:{given}").states if given else frozenset()


async def _check(asked: _Asked, timeout_s: float, where: Where) -> tuple[Verdict, list[Record]]:
    try:
        with anyio.fail_after(timeout_s):
            async with session(where) as here:
                return await _judged(here, asked)
    except TimeoutError:
        raise TimedOut(f"Redis did not answer within {timeout_s:g} s") from None


async def _judged(here: Session, asked: _Asked) -> tuple[Verdict, list[Record]]:
    watch = await here.cluster.watch()
    frozen = freshness_of(watch).remark() if freshness_of(watch).age_ms or not watch.as_of_ms else ""
    if asked.ids:
        records = await _refreshed(here, [await here.known(one) for one in asked.ids])
        if len(records) == 1:
            return verdict_of_one(records[0], watch.now_ms, asked.bounds, frozen), records
    elif asked.query == Query():
        counts = counts_of(await here.reader.counts())
        records = await _worst(here, asked.bounds)
        if not any(counts.values()):
            return unknown("no components yet"), []
        return verdict_of_many(counts, records, asked.bounds, frozen), records
    else:
        records = [record async for record in _found(here, asked.query)]
        if not records:
            return unknown("the search finds no component"), []
    records.sort(key=lambda record: WORST_FIRST.index(record.get("state", "unknown")))
    counts = {state: sum(one.get("state") == state for one in records) for state in WORST_FIRST}
    return verdict_of_many(counts, records, asked.bounds, frozen), records


async def _refreshed(here: Session, records: list[Record]) -> list[Record]:
    heard = await here.reader.heard_ms([one["id"] for one in records])
    return [refreshed(one, heard_ms) for one, heard_ms in zip(records, heard, strict=True)]


async def _worst(here: Session, bounds: Bounds) -> list[Record]:
    """The records of those that are not fine, the worst first, as many as are told."""
    ids: list[str] = []
    for state in WORST_FIRST:
        if bounds.grade(state) is not Grade.OK and len(ids) < _TOLD:
            ids += [one for one, _ in await here.reader.in_state(state, 0, _TOLD - len(ids))]
    return [record for record in await here.reader.records(ids) if record]


async def _found(here: Session, query: Query) -> AsyncIterator[Record]:
    for state in WORST_FIRST:
        if query.states and state not in query.states:
            continue
        async for chunk in here.reader.every_in_state(state):
            for record in await here.reader.records([one for one, _ in chunk]):
                if record and query.matches(record):
                    yield record


def _say(form: Form, verdict: Verdict, records: list[Record]) -> None:
    screen = terminal()
    if is_for_people(form):
        say([screen.plain(verdict.line)])
        say(screen.plain(line) for line in (verdict.lines if form is Form.WIDE else ()))
        return
    values = [json_of(record) for record in records]
    if form is Form.JSON:
        say_one(form, {**_json(verdict), "components": values})
    else:
        say_all(form, values)


def _json(verdict: Verdict) -> dict[str, Any]:
    return {
        "code": int(verdict.grade),
        "grade": verdict.grade.name.lower(),
        "line": verdict.line,
        "figures": dict(verdict.figures),
    }
