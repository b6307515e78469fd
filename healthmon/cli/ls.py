"""`healthmon ls`: the components, the worst first, by page, by state, by search."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from healthmon.cli import rows
from healthmon.cli.options import Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_all, tell, terminal
from healthmon.cli.session import Session, Where, run, session, tell_age
from healthmon.views.picture import json_of
from healthmon.views.prospect import silenced_for_ms
from healthmon.views.search import Query, parse_query
from healthmon.views.states import WORST_FIRST
from healthmon.views.words import number, plural

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from healthmon.store.reading import Record

_ALL = 1 << 62


class Silenced(StrEnum):
    """What becomes of components that a silence lies upon."""

    SHOW = "show"
    HIDE = "hide"
    ONLY = "only"


@dataclass(frozen=True)
class Sought:
    """The search, and what it makes of silenced ones."""

    query: Query
    silenced: Silenced

    @property
    def states_only(self) -> bool:
        """Whether the state alone decides, so that no record needs to be read to know who matches."""
        return self.query.states_only and self.silenced is Silenced.SHOW

    def matches(self, record: Record, now_ms: int) -> bool:
        """Whether a component's record is looked for."""
        is_silenced = bool(silenced_for_ms(record, now_ms))
        return self.query.matches(record) and self.silenced in (
            Silenced.SHOW,
            Silenced.ONLY if is_silenced else Silenced.HIDE,
        )


def ls(
    *,
    state: Annotated[str, typer.Option(metavar="STATE[,STATE]", help="Only these states.", show_default=False)] = "",
    search: Annotated[
        str,
        typer.Option(
            "-l",
            "--search",
            metavar="TEXT",
            help="Such as 'role:api host:web-03 score:<0.6 timeout': state, role, host, score, and words that occur.",
            show_default=False,
        ),
    ] = "",
    silenced: Annotated[Silenced, typer.Option(help="Show those that are silenced too, hide them, or only them.")] = (
        Silenced.SHOW
    ),
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Components to a page; 0 shows all.")] = 50,
    page: Annotated[int, typer.Option(min=1, metavar="N", help="Which page.")] = 1,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """List the components, the worst first, and of one state the longest in it first."""
    query = parse_query(f"{search} state:{state}" if state else search)
    run(_ls, Sought(query, silenced), limit or _ALL, page, output, Where(redis_url, prefix))


async def _ls(sought: Sought, limit: int, page: int, form: Form, where: Where) -> None:
    async with session(where) as here:
        watch = await here.cluster.watch()
        skipped, more = (page - 1) * limit, False
        by_id: dict[str, rows.Row] = {}  # one that changes its state meanwhile is met twice
        async for row in _matching(here, sought, skipped, watch.now_ms):
            if len(by_id) == limit:
                more = True
                break
            by_id.setdefault(row.record["id"], row)
        found = list(by_id.values())
        if is_for_people(form):
            say(rows.table(terminal(), found, watch.now_ms, wide=form is Form.WIDE))
        else:
            say_all(form, [json_of(row.record) for row in found])
        tell_age(watch)
        await _tell_rest(here, sought, len(found), page, more=more)


async def _matching(here: Session, sought: Sought, skipped: int, now_ms: int) -> AsyncIterator[rows.Row]:
    """Every row that matches beyond the skipped ones, read in chunks as far as the caller goes."""
    query = sought.query
    for state in WORST_FIRST:
        if query.states and state not in query.states:
            continue
        async for chunk in here.reader.every_in_state(state):
            if sought.states_only and skipped >= len(chunk):
                skipped -= len(chunk)
                continue
            for row in await rows.rows_of(here, chunk):
                # The index says who is in a state; a record that has moved on since is not a reason to hide it.
                if sought.states_only or sought.matches({**row.record, "state": state}, now_ms):
                    if skipped:
                        skipped -= 1
                    else:
                        yield row


async def _tell_rest(here: Session, sought: Sought, shown: int, page: int, *, more: bool) -> None:
    query = sought.query
    if more:
        counts = await here.reader.counts()
        total = sum(int(count) for state, count in counts.items() if not query.states or state in query.states)
        of = f" of {number(total)}" if sought.states_only else ""
        tell(f"{number(shown)}{of} shown: --page {page + 1} shows the next, --limit 0 all")
    elif not shown and page > 1:
        tell(f"there is no page {page}")
    elif not shown:
        counts = await here.reader.counts()
        total = sum(int(count) for count in counts.values())
        tell(f"nothing found among {plural(total, 'component')}" if total else "no components yet")
