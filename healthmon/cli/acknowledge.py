"""`healthmon acknowledge`: somebody looks after what is wrong with these components."""

from __future__ import annotations

from typing import Annotated

import typer

from healthmon.cli.asking import Deed, do
from healthmon.cli.options import By, ComponentIds, DryRun, Form, Output, Prefix, Reason, RedisUrl, Wait
from healthmon.cli.order import order_of
from healthmon.cli.session import Where, run
from healthmon.store.asking import ANSWER_S


def acknowledge(
    ids: ComponentIds,
    *,
    end: Annotated[bool, typer.Option("--end", help="Take it back.")] = False,
    by: By = None,
    reason: Reason = "",
    wait: Wait = ANSWER_S,
    dry_run: DryRun = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Say that somebody looks after components that are not well. It ends when they are well again.

    They are watched and restarted as before, and their alerts say who knows.
    """
    order = order_of(by, reason, wait, dry_run=dry_run)
    if end:
        deed = Deed("acknowledge", "acknowledged no longer", said={"for": "0"})
    else:
        deed = Deed("acknowledge", "acknowledged", undo="acknowledge --end")
    run(do, deed, list(dict.fromkeys(ids)), order, output, Where(redis_url, prefix))
