"""`healthmon status`: is anything wrong, which, and can this be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healthmon.cli import rows
from healthmon.cli.options import Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_all, say_one, tell, terminal
from healthmon.cli.session import Session, Where, run, session, tell_age, watch_json
from healthmon.core.alert import rfc3339
from healthmon.store.cluster import Sighting, Watch
from healthmon.views.picture import cluster_headline, counts_of, headline, json_of, replica_of
from healthmon.views.states import PROBLEMS
from healthmon.views.terminal import Cell
from healthmon.views.words import plural, when

if TYPE_CHECKING:
    from healthmon.core.guard import Brake
    from healthmon.views.board import Row


def status(
    output: Output = Form.TABLE,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Problems to show at most.")] = 20,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Is anything wrong: the counts, the problems with the worst first, who watches, how fresh this is."""
    run(_status, output, limit, Where(redis_url, prefix))


async def _status(form: Form, limit: int, where: Where) -> None:
    async with session(where) as here:
        watch = await here.cluster.watch()
        counts = counts_of(await here.reader.counts())
        problems = await _problems(here, limit)
        if is_for_people(form):
            sightings, brake = await here.cluster.replicas(), await here.brake()
            _tell(form, watch, counts, problems, sightings, brake=brake)
        else:
            records = [json_of(row.record) for row in problems]
            since = rfc3339((await here.brake()).since_ms) or None
            picture = {**watch_json(watch), "mass_failure_since": since, "counts": counts, "problems": records}
            if form is Form.NAME:
                say_all(form, records)
            else:
                say_one(form, picture)
        tell_age(watch)
        _tell_rest(counts, len(problems))


async def _problems(here: Session, limit: int) -> list[Row]:
    found: list[tuple[str, int]] = []
    for state in PROBLEMS:
        if len(found) < limit:
            found += await here.reader.in_state(state, 0, limit - len(found))
    return await rows.rows_of(here, found)


def _tell(
    form: Form,
    watch: Watch,
    counts: dict[str, int],
    problems: list[Row],
    sightings: list[Sighting],
    *,
    brake: Brake,
) -> None:
    screen = terminal()
    say([screen.plain(headline(counts))])
    if any(counts.values()):
        say([f"  {screen.counts(counts)}"])
    replicas = [replica_of(one.replica, one.last_seen_ms, watch.now_ms, one.said) for one in sightings]
    lease = watch.lease
    leader, epoch = (lease.replica, lease.epoch) if lease else ("", 0)
    say([f"  {screen.plain(cluster_headline(replicas, leader, epoch, watch.now_ms - epoch))}"])
    if brake.on:
        since = when(brake.since_ms, watch.now_ms)
        say(screen.hanging([Cell("  brake", "warn")], f"mass failure since {since}: deaths and restarts wait"))
    if problems:
        say(["", *rows.table(screen, problems, watch.now_ms, wide=form is Form.WIDE)])


def _tell_rest(counts: dict[str, int], shown: int) -> None:
    more = sum(counts.get(state, 0) for state in PROBLEMS) - shown
    if more > 0:
        tell(f"{plural(more, 'more problem')}: `healthmon ls` shows all, the worst first")
