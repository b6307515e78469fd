"""`healthmon forget`: remove components and their history."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from healthmon.cli.options import By, ComponentIds, DryRun, Form, Output, Prefix, Reason, RedisUrl, Wait
from healthmon.cli.order import Order, order_of
from healthmon.cli.output import is_for_people, say, say_all, tell
from healthmon.cli.session import Session, Where, run, session
from healthmon.errors import ConfigurationError
from healthmon.store.asking import ANSWER_S, ask, wait_for
from healthmon.views.states import word_of
from healthmon.views.words import plural

if TYPE_CHECKING:
    from healthmon.store.reading import Record, StreamEntry


def forget(
    ids: ComponentIds,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    by: By = None,
    reason: Reason = "",
    wait: Wait = ANSWER_S,
    dry_run: DryRun = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Remove components with their history, and wait until they are gone.

    There is no undo, but one that goes on sending registers itself anew after a minute.
    """
    order = order_of(by, reason, wait, dry_run=dry_run)
    run(_forget, list(dict.fromkeys(ids)), yes, order, output, Where(redis_url, prefix))


async def _forget(ids: list[str], yes: bool, order: Order, form: Form, where: Where) -> None:
    async with session(where) as here:
        records = [await here.known(one) for one in ids]
        if order.dry_run:
            _tell(form, records, "would be forgotten", done=False)
            return
        await here.lease("so nothing can be forgotten now")
        if not yes:
            _confirm(records)
        done: list[Record] = []
        try:
            for record in records:
                await _forget_one(here, record["id"], order)
                done.append(record)
        finally:
            _tell(form, done, "forgotten", done=True)


async def _forget_one(here: Session, component_id: str, order: Order) -> None:
    asked = await ask(here.client, here.keys, "forget", id=component_id, by=order.by, reason=order.reason)

    def is_gone(entry: StreamEntry) -> bool:
        return entry.fields.get("type") == "forgotten" and entry.fields.get("id") == component_id

    await wait_for(here.client, here.keys, asked, is_gone, order.wait_s)


def _confirm(records: list[Record]) -> None:
    """Ask a person; a program must say that it means it."""
    if not sys.stdin.isatty():
        raise ConfigurationError("forget asks first, and there is nobody to ask: add --yes")
    for record in records[:10]:
        tell(f"{record['id']}: {word_of(record.get('state', ''))}, {record.get('reason', '')}")
    typer.confirm(f"Forget {plural(len(records), 'component')} with all history?", abort=True, err=True)


def _tell(form: Form, records: list[Record], what: str, *, done: bool) -> None:
    if is_for_people(form):
        say(f"{record['id']} {what}; it was {word_of(record.get('state', ''))}" for record in records)
        if done and records:
            tell("there is no undo, but one that goes on sending registers itself anew after a minute")
        return
    values = [{"id": record["id"], "state": record.get("state"), "forgotten": done} for record in records]
    say_all(form, values)
