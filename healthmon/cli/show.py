"""`healthmon show`: everything that is stored of one component."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from healthmon.cli.options import ComponentId, Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_one, terminal
from healthmon.cli.session import Where, run, session, tell_age
from healthmon.store.codec import read_time_ms
from healthmon.views.happenings import happening_of
from healthmon.views.picture import json_of
from healthmon.views.states import word_of
from healthmon.views.terminal import Cell
from healthmon.views.words import ago, duration, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from healthmon.store.reading import Record, StreamEntry
    from healthmon.views.terminal import Terminal

_HISTORY: Final = 10
# Title -> fields, in the order in which they are shown. What a later version adds comes under "More".
_PARTS: Final = {
    "State": ("reason", "since", "previous", "score", "incident", "flapping", "held", "acknowledged_by"),
    "Heartbeats": (
        *("last_heartbeat", "status", "msg", "interval_s", "total_heartbeats", "missed_heartbeats"),
        *("refused_heartbeats", "uptime_seconds", "metrics"),
    ),
    "Restarts": (
        *("restart_count", "restart_attempt", "restart_max", "next_restart_at", "restart_rev"),
        *("circuit_breaker_state", "breaker_failures", "breaker_retry_at"),
    ),
    "Identity": ("role", "host", "pid", "version", "incarnation", "depends_on", "policy", "registered_at"),
    "Record": ("epoch", "rev", "born", "folded", "control_folded", "memory"),
}
_TIMES: Final = ("since", "last_heartbeat", "next_restart_at", "breaker_retry_at", "registered_at")
_KNOWN: Final = {"id", "state", *(name for names in _PARTS.values() for name in names)}


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
            say_one(form, {**json_of(record), "history": [json_of(entry.fields) for entry in history]})
        tell_age(watch)


def _lines(screen: Terminal, record: Record, history: list[StreamEntry], now_ms: int, *, wide: bool) -> Iterator[str]:
    """The record by its parts; what is empty says nothing, unless all is asked for."""
    state = screen.state(record.get("state", ""))
    yield f"{screen.paint(state)}  {screen.plain(record['id'])}"
    more = {"More": tuple(sorted(record.keys() - _KNOWN))}
    for title, names in {**_PARTS, **more}.items():
        if title == "Record" and not wide:
            continue
        shown = [(name, _shown(name, record[name], now_ms)) for name in names if name in record]
        shown = [(name, text) for name, text in shown if text or wide]
        if shown:
            yield from ("", title, *screen.labelled(shown))
    if history:
        yield from ("", "History", *_history(screen, history, now_ms))


def _shown(name: str, text: str, now_ms: int) -> str:
    if name in _TIMES:
        at_ms = read_time_ms(text)
        distance = f"in {duration(at_ms - now_ms)}" if at_ms > now_ms else ago(at_ms, now_ms)
        return f"{moment(at_ms, now_ms)} ({distance})" if at_ms else ""
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
        f"{name}={json.dumps(one) if isinstance(one, dict | list) else one}" for name, one in value.items()
    )


def _history(screen: Terminal, history: list[StreamEntry], now_ms: int) -> list[str]:
    rows: list[list[Cell | str]] = []
    for entry in history:
        happening = happening_of(entry.fields)
        at = moment(read_time_ms(entry.fields.get("at", "")) or entry.ms, now_ms)
        rows.append([at, screen.mark(happening.state), happening.what, happening.why])
    return [f"  {line}" for line in screen.table((), rows)]
