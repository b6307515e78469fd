"""`healthmon reset-breaker`: close the circuit breaker of components."""

from __future__ import annotations

from healthmon.cli.asking import Deed, do
from healthmon.cli.options import By, ComponentIds, DryRun, Form, Output, Prefix, Reason, RedisUrl, Wait
from healthmon.cli.order import order_of
from healthmon.cli.session import Where, run
from healthmon.store.asking import ANSWER_S


def reset_breaker(
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
    """Close the circuit breaker of components, whatever it counted: failures count anew, and probes go on."""
    order = order_of(by, reason, wait, dry_run=dry_run)
    deed = Deed("reset-breaker", "given a closed circuit breaker")
    run(do, deed, list(dict.fromkeys(ids)), order, output, Where(redis_url, prefix))
