"""`healthmon hold`: no automatic restarts of these components until `resume`."""

from __future__ import annotations

from healthmon.cli.asking import Deed, do
from healthmon.cli.options import By, ComponentIds, DryRun, Form, Output, Prefix, Reason, RedisUrl, Wait
from healthmon.cli.order import order_of
from healthmon.cli.session import Where, run
from healthmon.store.asking import ANSWER_S


def hold(
    ids: ComponentIds,
    *,
    by: By = None,
    reason: Reason = "",
    wait: Wait = ANSWER_S,
    dry_run: DryRun = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Hold automatic restarts of components until `healthmon resume`; they are watched as before.

    A restart that is under way is not stopped, and `healthmon restart` still restarts.
    """
    order = order_of(by, reason, wait, dry_run=dry_run)
    run(do, Deed("hold", "held", undo="resume"), list(dict.fromkeys(ids)), order, output, Where(redis_url, prefix))
