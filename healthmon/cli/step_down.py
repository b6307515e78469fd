"""`healthmon step-down`: have another replica lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healthmon.cli.options import By, DryRun, Form, Output, Prefix, Reason, RedisUrl, Wait
from healthmon.cli.order import Order, order_of
from healthmon.cli.output import is_for_people, say, say_one
from healthmon.cli.session import Session, Where, run, session
from healthmon.errors import HealthmonError
from healthmon.store.asking import ANSWER_S, ask, wait_for

if TYPE_CHECKING:
    from healthmon.core.lease import Lease
    from healthmon.store.reading import StreamEntry


def step_down(
    *,
    epoch: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="EPOCH", help="The epoch to end; the current one unless given.", show_default=False
        ),
    ] = None,
    by: By = None,
    reason: Reason = "",
    wait: Wait = ANSWER_S,
    dry_run: DryRun = False,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Have the leader give up the lease, and wait until another epoch leads.

    The same replica may lead again, when it is the only one. Without a leader the exit code is 6.
    """
    run(_step_down, epoch, order_of(by, reason, wait, dry_run=dry_run), output, Where(redis_url, prefix))


async def _step_down(epoch: int | None, order: Order, form: Form, where: Where) -> None:
    async with session(where) as here:
        lease = await _lease(here, epoch)
        if order.dry_run:
            _tell(form, lease, f"{lease.replica} would be asked to end its epoch {lease.epoch}")
            return
        asked = await ask(here.client, here.keys, "step-down", epoch=str(lease.epoch), by=order.by, reason=order.reason)

        def another_leads(entry: StreamEntry) -> bool:
            return entry.fields.get("type") == "leader" and entry.fields.get("epoch") != str(lease.epoch)

        answer = (await wait_for(here.client, here.keys, asked, another_leads, order.wait_s)).fields
        now = f"{answer.get('replica')} leads with epoch {answer.get('epoch')}"
        _tell(form, lease, f"{now}; it was {lease.replica} with {lease.epoch}", answer)


async def _lease(here: Session, epoch: int | None) -> Lease:
    """The current lease. Raises NoLeader, and HealthmonError when it is of another epoch than asked for."""
    lease = await here.lease("so nobody can step down")
    if epoch is not None and epoch != lease.epoch:
        raise HealthmonError(f"epoch {epoch} does not lead: {lease.replica} does with epoch {lease.epoch}")
    return lease


def _tell(form: Form, before: Lease, sentence: str, after: dict[str, str] | None = None) -> None:
    if is_for_people(form):
        say([sentence])
        return
    now = {"replica": after.get("replica"), "epoch": int(after.get("epoch", 0))} if after else None
    was = {"replica": before.replica, "epoch": before.epoch}
    say_one(form, {"id": (now or was)["replica"], "before": was, "after": now})
