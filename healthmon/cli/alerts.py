"""`healthmon alerts`: what fires, what waits, what no sink took; and a trial of the sinks."""

from __future__ import annotations

import socket
from enum import StrEnum
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
import typer

from healthmon import clock
from healthmon.alerts.courier import send
from healthmon.alerts.undelivered import Undelivered
from healthmon.cli.options import Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_all, say_one, tell
from healthmon.cli.session import Session, Where, run, session, settings_of
from healthmon.core.alert import rfc3339
from healthmon.core.incidents import Incident, read_incident
from healthmon.core.messages import lasted, trial_alert
from healthmon.core.routes import SEVERITIES
from healthmon.errors import ConfigurationError, HealthmonError
from healthmon.run.alerting import plan_of
from healthmon.store.deliveries import Deliveries
from healthmon.store.scripts import Scripts
from healthmon.views.words import moment, number, plural, printable

if TYPE_CHECKING:
    from healthmon.alerts.plan import Plan
    from healthmon.store.reading import StreamEntry

_SHOWN: Final = 20
_NO_FILE: Final = "no alerts file is set here: HEALTH_ALERTS_FILE names the one that says who is told of what"


class Action(StrEnum):
    """What `healthmon alerts` does."""

    LIST = "list"
    TEST = "test"


def alerts(
    action: Annotated[Action, typer.Argument(help="list what fires; test sends a trial.")] = Action.LIST,
    sink: Annotated[str, typer.Argument(metavar="[SINK]", help="With test: only this sink.", show_default=False)] = "",
    *,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="How many dead letters at most.")] = _SHOWN,
    output: Output = Form.TABLE,
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Show which alerts fire, who was told, and what was not delivered; or send a trial to the sinks.

    `healthmon alerts test [SINK]` reads the file that HEALTH_ALERTS_FILE names, sends one alert of severity info to
    each of its sinks from this host, and says what each answered. Exit code 1 when one did not take it.
    """
    where = Where(redis_url, prefix)
    if action is Action.TEST:
        run(_test, sink, output, where)
    elif sink:
        raise ConfigurationError(f"did you mean `healthmon alerts test {sink}`?")
    else:
        run(_list, limit, output, where)


# -- the trial -------------------------------------------------------------------------------------------------------


async def _test(wanted: str, form: Form, where: Where) -> None:
    settings = settings_of(where)
    plan = plan_of(settings)
    if plan is None:
        raise ConfigurationError(_NO_FILE)
    if wanted and wanted not in plan.sinks:
        raise ConfigurationError(f"there is no sink {wanted!r}: {', '.join(plan.sinks)}")
    names = [wanted] if wanted else list(plan.sinks)
    results: dict[str, dict[str, Any]] = {}
    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(_try, plan, name, settings.prefix, results)
    found = [results[name] for name in names]
    if is_for_people(form):
        say(f"{one['sink']:<16} {one['kind']:<13} {_outcome(one)}" for one in found)
    else:
        say_all(form, found, "sink")
    failed = sum(not one["taken"] for one in found)
    if failed:
        raise HealthmonError(f"{number(failed)} of {plural(len(found), 'sink')} did not take it")


async def _try(plan: Plan, name: str, prefix: str, results: dict[str, dict[str, Any]]) -> None:
    begun_s, reason = clock.monotonic_s(), None
    by = f"{getuser()}@{socket.gethostname()}"
    try:
        await send(plan.sinks[name], [trial_alert(prefix, name, by, round(clock.unix_s() * 1000))])
    except Undelivered as error:
        reason = str(error)
    ms = round((clock.monotonic_s() - begun_s) * 1000)
    results[name] = {"sink": name, "kind": plan.kinds[name], "taken": reason is None, "reason": reason, "ms": ms}


def _outcome(one: dict[str, Any]) -> str:
    return f"taken in {one['ms']} ms" if one["taken"] else f"NOT taken: {printable(one['reason'])}"


# -- the list --------------------------------------------------------------------------------------------------------


async def _list(limit: int, form: Form, where: Where) -> None:
    async with session(where) as here:
        deliveries = Deliveries(here.client, here.keys, Scripts())
        stored = await deliveries.incidents()
        read = [read_incident(key, said) for key, said in stored.items()]
        firing = sorted((one for one in read if one and not one.over and not one.notice), key=_order)
        letters = await deliveries.dead_letters(limit) if limit else []
        waiting, dead = await deliveries.waiting(), await deliveries.dead_total()
        plan = plan_of(here.settings)
        if is_for_people(form):
            await _show(here, firing, letters, plan)
            say([f"{plural(waiting, 'event')} waiting for a sink, {plural(dead, 'dead letter')}"])
            return
        if form is Form.NAME:
            say(one.key for one in firing)
            return
        say_one(
            form,
            {
                "firing": [_value(one) for one in firing],
                "waiting": waiting,
                "dead": dead,
                "dead_letters": [{"stream_id": one.id, **one.fields} for one in letters],
                "sinks": None if plan is None else [{"sink": name, "kind": kind} for name, kind in plan.kinds.items()],
            },
        )


def _order(one: Incident) -> tuple[int, int]:
    """The worst first, then the oldest."""
    return -SEVERITIES.index(one.alert["data"]["severity"]), one.began_ms


async def _show(here: Session, firing: list[Incident], letters: list[StreamEntry], plan: Plan | None) -> None:
    now_ms = await here.reader.now_ms()
    say([f"{plural(len(firing), 'alert')} firing"])
    for one in firing:
        data = one.alert["data"]
        say([f"  {data['severity']:<9} {lasted(now_ms - one.began_ms):>9}  {printable(data['summary'])}"])
        for name, told in one.sinks.items():
            said = told.held or (f"told {moment(told.at_ms, now_ms)}" if told.rank else "not told yet")
            say([f"  {'':<9} {'':>9}  {name}: {printable(said)}"])
    for letter in letters:
        fields = letter.fields
        say([f"  dead {moment(letter.ms, now_ms)}  {fields.get('sink', '')}: {printable(fields.get('summary', ''))}"])
        say([f"  {'':<9} {printable(fields.get('reason', ''))}"])
    if plan is None:
        tell(_NO_FILE)
    else:
        say([f"sinks: {', '.join(f'{name} ({kind})' for name, kind in plan.kinds.items())}"])


def _value(one: Incident) -> dict[str, Any]:
    sinks = {
        name: {"told_at": rfc3339(told.at_ms) or None, "severity": told.severity or None, "held": told.held or None}
        for name, told in one.sinks.items()
    }
    return {"incident": one.key, "since": rfc3339(one.began_ms), "sinks": sinks, "alert": one.alert}
