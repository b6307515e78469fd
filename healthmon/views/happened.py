"""Events as programs read them over HTTP: one shape in lists, timelines and the live stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from healthmon.core.alert import rfc3339
from healthmon.store.reading import StreamEntry
from healthmon.views.picture import json_of

_OPERATED: Final = ("operator", "forgotten")
_ORDERED: Final = ("reset-breaker", "revive")


def event_json(entry: StreamEntry, *, whole: bool = True) -> dict[str, Any]:
    """One event. `id` is its stream id, by which to go on; null where there is nothing to say.

    `alert`: whether it was told as an alert. `whole` False: it is a component's own, shorter note of the event, which
    knows nothing of the cause and the alert.
    """
    fields = entry.fields
    said = json_of({name: fields.get(name, "") for name in ("epoch", "rev", "failure")})
    return {
        "id": entry.id,
        "type": fields.get("type", "?"),
        "component_id": fields.get("id") or None,
        "from": fields.get("from") or None,
        "to": fields.get("to") or None,
        "reason": fields.get("reason", ""),
        "rule": fields.get("rule") or None,
        "at": fields.get("at") or rfc3339(entry.ms),
        "replica": fields.get("replica") or None,
        "epoch": said["epoch"],
        "rev": said["rev"],
        "cause": fields.get("cause") or None,
        "by": by_of(fields),
        "alert": "json" in fields if whole else None,
        "failure": said["failure"],
    }


def by_of(fields: Mapping[str, str]) -> str | None:
    """Who asked for it, where somebody did: the reason of such an event says it."""
    if not fields.get("cause") or (fields.get("type") not in _OPERATED and fields.get("rule") not in _ORDERED):
        return None
    by = fields.get("reason", "").partition(" by ")[2].partition(":")[0].strip()
    return by or None
