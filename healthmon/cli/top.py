"""`healthmon top`: the fleet on one screen, kept true while it is looked at."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from healthmon.cli.options import Prefix, RedisUrl
from healthmon.cli.output import say, tell, terminal
from healthmon.cli.session import Where, run, session, tell_age
from healthmon.views.search import Query, parse_query

_DUMB = ("dumb", "unknown", "")


def top(
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
    *,
    problems: Annotated[bool, typer.Option("--problems", "-f", help="Only what needs attention.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.2, max=60, metavar="SECONDS", help="How often it is read while nothing happens.")
    ] = 1.0,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Show the fleet on one screen, the worst first; what happens is seen at once.

    Keys: q quits, f shows only problems, / searches, j and k move, Enter says why. In a pipe, one screen as plain text.
    """
    query = parse_query(search)
    where = Where(redis_url, prefix)
    if sys.stdout.isatty() and os.environ.get("TERM", "") not in _DUMB:
        code = run(_watched, search, problems, interval, where)
        if code:
            raise SystemExit(code)
    else:
        run(_once, search, query, problems, where)


async def _watched(search: str, problems: bool, interval: float, where: Where) -> int:
    from healthmon.cli.lookout import Lookout
    from healthmon.cli.watching import Watching

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    async with session(where) as here:
        lookout = Lookout(here, interval)
        await lookout.begin()
        await lookout.look(())
        return await Watching(here, lookout, interval, search, problems_only=problems).run()


async def _once(search: str, query: Query, problems: bool, where: Where) -> None:
    from dataclasses import replace

    from healthmon.cli.lookout import Lookout
    from healthmon.views.board import SHOWN_PLAIN, Focus, plain_frame
    from healthmon.views.words import number

    async with session(where) as here:
        lookout = Lookout(here, 1.0)
        await lookout.begin()
        await lookout.roll.load()
        rows = lookout.roll.ordered(query, problems_only=problems)
        await lookout.look([row.record["id"] for row in rows[:SHOWN_PLAIN]])
        board = replace(lookout.board, rows=lookout.roll.ordered(query, problems_only=problems))
        shown = plain_frame(terminal(), board, Focus(search=search, problems_only=problems))
        say(shown.lines)
        tell_age(await here.cluster.watch())
        if len(board.rows) > shown.count:
            tell(f"{number(shown.count)} of {number(len(board.rows))} shown: `healthmon ls` shows all")
