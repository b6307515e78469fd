"""`healthmon show`: everything that is stored of one component."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from healthmon.cli.options import ComponentId, Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_one, terminal
from healthmon.cli.session import Where, run, session, tell_age
from healthmon.views.failure import failure_lines
from healthmon.views.happenings import happening_of
from healthmon.views.picture import json_of, time_of
from healthmon.views.record import KNOWN, PARTS, record_json
from healthmon.views.states import word_of
from healthmon.views.terminal import Cell
from healthmon.views.words import duration, figure, moment, when

if TYPE_CHECKING:
    from collections.abc import Iterator

    from healthmon.store.reading import Record, StreamEntry
    from healthmon.views.terminal import Terminal

_HISTORY: Final = 10
_TIMES: Final = (
    *("since", "flapping", "last_heartbeat", "next_restart_at", "restart_deadline", "breaker_retry_at"),
    *("last_probe_at", "registered_at", "silenced_until"),
)


def show(
    component_id: ComponentId, output: Output = Form.TABLE, redis_url: RedisUrl = None, prefix: Prefix = None
) -> None:
    """Show everything that is stored of a component, and its latest changes."""
    run(_show, component_id, output, Where(redis_url, prefix))


async def _show(component_id: str, form: Form, where: Where) -> None:
    async with session(where) as here:
        record = await here.known(component_id)
        watch = await here.cluster.watch()
        history = await here.reader.history(component_id, _HISTORY)
        if is_for_people(form):
            say(_lines(terminal(), record, history, watch.now_ms, wide=form is Form.WIDE))
        else:
            say_one(form, {**record_json(record), "history": [json_of(entry.fields) for entry in history]})
        tell_age(watch)


def _lines(screen: Terminal, record: Record, history: list[StreamEntry], now_ms: int, *, wide: bool) -> Iterator[str]:
    """The record by its parts; what is empty says nothing, unless all is asked for."""
    state = screen.state(record.get("state", ""))
    yield f"{screen.paint(state)}  {screen.plain(record['id'])}"
    more = {"More": tuple(sorted(record.keys() - KNOWN))}
    for title, names in {**PARTS, **more}.items():
        if title == "Record" and not wide:
            continue
        shown = [(name, _shown(name, record[name], now_ms)) for name in names if name in record]
        shown = [(name, text) for name, text in shown if text or wide]
        if shown:
            yield from ("", title, *screen.labelled(shown))
        if title == "Checks":
            yield from _failure(screen, record, now_ms)
    if history:
        yield from ("", "History", *_history(screen, history, now_ms))


def _failure(screen: Terminal, record: Record, now_ms: int) -> Iterator[str]:
    """The context of the last failure, as `why` tells it."""
    failure = json_of({"failure": record.get("failure", "")})["failure"]
    lines = failure_lines(failure, {}, now_ms, None, wide=True) if isinstance(failure, dict) else []
    if lines:
        yield from ("", "Last failure", *screen.labelled(lines))


def _shown(name: str, text: str, now_ms: int) -> str:
    if name in _TIMES:
        at_ms = time_of({name: text}, name)
        return when(at_ms, now_ms) if at_ms else text
    if name == "uptime_seconds" and text:
        return duration(round(float(text) * 1000))
    if name == "previous":
        return word_of(text) if text else ""
    if name in ("metrics", "policy", "memory"):
        return _pairs(text)
    return text


def _pairs(text: str) -> str:
    """A stored JSON object as `name=value` words."""
    try:
        value: Any = json.loads(text or "{}")
    except ValueError:
        return text
    if not isinstance(value, dict):
        return text
    return "  ".join(
        f"{name}={json.dumps(one) if isinstance(one, dict | list) else figure(one)}" for name, one in value.items()
    )


def _history(screen: Terminal, history: list[StreamEntry], now_ms: int) -> list[str]:
    rows: list[list[Cell | str]] = []
    for entry in history:
        happening = happening_of(entry.fields)
        at = moment(time_of(entry.fields, "at") or entry.ms, now_ms)
        rows.append([at, screen.mark(happening.state), happening.what, happening.why])
    return [f"  {line}" for line in screen.table((), rows)]
