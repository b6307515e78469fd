"""`healthmon resume`: automatic restarts again, of these components, or of a fleet that a mass failure brakes."""

from __future__ import annotations

from typing import Annotated

import typer

from healthmon.cli.asking import Deed, do
from healthmon.cli.options import By, DryRun, Form, Output, Prefix, Reason, RedisUrl, Wait
from healthmon.cli.order import order_of
from healthmon.cli.session import Where, run
from healthmon.errors import ConfigurationError
from healthmon.store.asking import ANSWER_S


def resume(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Ids of the components.", show_default=False)
    ] = None,
    *,
    mass_failure: Annotated[
        bool, typer.Option("--mass-failure", help="Instead of ids: the mass failure is real, so let go of the brake.")
    ] = False,
    by: By = None,
    reason: Reason = "",
    wait: Wait = ANSWER_S,
    dry_run: DryRun = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Resume automatic restarts that are held; or, with --mass-failure, say that a mass failure is real.

    An attempt that is due begins at once.
    """
    if bool(ids) is mass_failure:
        raise ConfigurationError("resume takes ids of components, or --mass-failure without any")
    order = order_of(by, reason, wait, dry_run=dry_run)
    deed = Deed("resume", "resumed", undo="" if mass_failure else "hold")
    run(do, deed, list(dict.fromkeys(ids or ())), order, output, Where(redis_url, prefix))
