"""`healthmon why`: the sentence, the evidence, what came before, what comes next, who decided."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from healthmon.cli.options import ComponentId, Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_one, tell, terminal
from healthmon.cli.session import Session, Where, digest_of, run, session, tell_age
from healthmon.core.policy import Defaults
from healthmon.errors import HealthmonError, Refused
from healthmon.run import defaults_of
from healthmon.store.codec import read_component, read_event
from healthmon.views.terminal import Cell
from healthmon.views.why import Known, explain
from healthmon.views.why_told import why_json, why_lines

if TYPE_CHECKING:
    from healthmon.core.component import Component
    from healthmon.store.cluster import Watch
    from healthmon.store.reading import Record
    from healthmon.views.terminal import Terminal
    from healthmon.views.why import Why

_HISTORY: Final = 20


def why(
    component_id: ComponentId, output: Output = Form.TABLE, redis_url: RedisUrl = None, prefix: Prefix = None
) -> None:
    """Say why a component is in its state, what came before, and what comes next."""
    run(_why, component_id, output, Where(redis_url, prefix))


async def _why(component_id: str, form: Form, where: Where) -> None:
    async with session(where) as here:
        answer, watch, remark = await explained(here, component_id)
        if remark:
            tell(remark)
        if is_for_people(form):
            say(told(terminal(), answer, wide=form is Form.WIDE))
        else:
            say_one(form, why_json(answer))
        tell_age(watch)


async def explained(here: Session, component_id: str) -> tuple[Why, Watch, str]:
    """The explanation, by whose watch it is, and what to say beside it, "" for nothing. Raises NoSuchComponent."""
    record = await here.known(component_id)
    watch = await here.cluster.watch()
    defaults, remark = await _defaults(here, watch)
    return explain(await _known(here, record, watch, defaults)), watch, remark


async def _known(here: Session, record: Record, watch: Watch, defaults: Defaults) -> Known:
    component = _component(record, defaults)
    heard_ms = (await here.reader.heard_ms([component.id]))[0]
    component.last_heartbeat_ms = max(component.last_heartbeat_ms, heard_ms)
    needed = component.policy.depends_on
    states = await here.reader.records(needed)
    history = [read_event(entry.id, entry.fields) for entry in await here.reader.history(component.id, _HISTORY)]
    return Known(
        component,
        watch.now_ms,
        history=[event for event in history if event is not None],
        blindness=await here.reader.blindness(component.proof_ms if component.heard_ms else component.born_ms),
        lease=watch.lease,
        defaults=defaults,
        refused=await here.reader.refusal_of(component.id) if component.refused_heartbeats else {},
        dependencies={one: said.get("state", "") for one, said in zip(needed, states, strict=True)},
        brake=await here.brake(),
    )


async def _defaults(here: Session, watch: Watch) -> tuple[Defaults, str]:
    """What the leader takes for granted, as it says; else what this shell's settings say, with a remark if they differ.

    A leader of another version may say more or less than this one knows.
    """
    said = await here.cluster.said_by(watch.lease.replica) if watch.lease else {}
    own = defaults_of(here.settings)
    try:
        rules = json.loads(said.get("rules") or "{}")
        given = {each.name: rules[each.name] for each in fields(Defaults) if each.name in rules}
    except ValueError:
        given = {}
    remark = ""
    if not given and said.get("digest") and said["digest"] != digest_of(here.settings):
        remark = "the leader decides by other settings than this shell's: moments to come are by this shell's"
    return replace(own, **given), remark


def _component(record: Record, defaults: Defaults) -> Component:
    """The record as the rules see it; what an older or a newer writer left out is as in a new one."""
    try:
        return read_component({"born": "0", "rev": "0", "state": "unknown", **record}, defaults)
    except (ValueError, Refused) as error:
        raise HealthmonError(
            f"the record of {record['id']} can't be read ({error}): `healthmon show` shows it"
        ) from None


def told(screen: Terminal, answer: Why, *, wide: bool) -> list[str]:
    """The explanation as lines."""
    (_, sentence), *rest = why_lines(answer, wide=wide)
    look = screen.mark(answer.state)
    return [f"{screen.paint(Cell(look.text, look.tone, look.weight))} {screen.plain(sentence)}", *screen.labelled(rest)]
