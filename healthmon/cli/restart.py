"""`healthmon restart`: restart components now, whatever state they are in."""

from __future__ import annotations

from healthmon.cli.asking import Deed, do
from healthmon.cli.options import By, ComponentIds, DryRun, Form, Output, Prefix, Reason, RedisUrl, WaitOutcome
from healthmon.cli.order import order_of
from healthmon.cli.session import Where, run
from healthmon.store.asking import ANSWER_S


def restart(
    ids: ComponentIds,
    *,
    by: By = None,
    reason: Reason = "",
    wait: WaitOutcome = None,
    dry_run: DryRun = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Restart components now, by the method of their policy. It is attempt 1 again, also when they are held.

    With --wait the exit code is 0 when all are healthy again, 1 when one failed, 124 when it takes longer.
    """
    order = order_of(by, reason, ANSWER_S, dry_run=dry_run)
    deed = Deed("restart", "restarted", outcome_s=wait)
    run(do, deed, list(dict.fromkeys(ids)), order, output, Where(redis_url, prefix))
