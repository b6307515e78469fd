"""The JSON shapes of the HTTP API, as OpenAPI writes them. Fields of records have the types of `json_of`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from healthmon.core.access import Scope
from healthmon.core.event import EventType
from healthmon.views.fleet import COLUMNS
from healthmon.views.picture import kind_of
from healthmon.views.states import LOOKS

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string"}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
WHOLE: Final[Schema] = {"type": "integer"}
WHOLE_OR_NULL: Final[Schema] = {"type": ["integer", "null"]}
REAL_OR_NULL: Final[Schema] = {"type": ["number", "null"]}
SWITCH: Final[Schema] = {"type": "boolean"}
TIME_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
ANY_OBJECT: Final[Schema] = {"type": "object", "additionalProperties": True}
STATE: Final[Schema] = {"type": "string", "enum": [*LOOKS]}
_KINDS: Final[Mapping[str, Schema]] = {
    # What somebody else wrote into a hash is shown as it is, so any field may be text.
    "whole": {"type": ["integer", "string", "null"]},
    "real": {"type": ["number", "string", "null"]},
    "time": {"type": ["string", "null"]},
    "ids": {"type": "array", "items": TEXT},
    "object": {"type": ["object", "array", "string", "number", "boolean", "null"]},
    "text": TEXT_OR_NULL,
}


def items(schema: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": schema}


def record(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """An object of which all but the optional names are always there; later versions may add names."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def or_null(schema: Schema) -> Schema:
    """This, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def fields_of(names: tuple[str, ...]) -> dict[str, Schema]:
    """Fields of a record by their names."""
    return {name: _KINDS[kind_of(name)] for name in names}


ERROR: Final = record({"error": record({"code": TEXT, "message": TEXT})})
COUNTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
FRESHNESS: Final = record(
    {
        "word": {"type": "string", "enum": ["live", "leaderless", "redis_unreachable"]},
        "as_of": TIME_OR_NULL,
        "age_ms": WHOLE,
        "remark": TEXT_OR_NULL,
    }
)
LEADER: Final = or_null(record({"replica": TEXT, "epoch": WHOLE, "since": TIME_OR_NULL}))
MASS_FAILURE: Final = or_null(record({"since": TIME_OR_NULL, "silent": WHOLE}))
_PULSE: Final[Mapping[str, Schema]] = {
    "at": TIME_OR_NULL,
    "freshness": FRESHNESS,
    "leader": LEADER,
    "counts": COUNTS,
    "problems": WHOLE,
    "headline": TEXT,
    "mass_failure": MASS_FAILURE,
}
PULSE: Final = record(_PULSE)
ROLE: Final = record({"role": TEXT, "total": WHOLE, "counts": COUNTS})
GRANT: Final = record(
    {"name": TEXT, "scopes": items({"type": "string", "enum": [*Scope]}), "patterns": items(TEXT)},
)
GLANCE: Final = record(
    {
        **_PULSE,
        "prefix": TEXT,
        "shard": WHOLE,
        "version": TEXT,
        "last_event": TEXT,
        "roles": items(ROLE),
        "grant": GRANT,
    }
)
NEXT: Final = or_null(
    record({"action": TEXT, "attempt": WHOLE, "max": WHOLE_OR_NULL, "at": TIME_OR_NULL}),
)
ROW: Final = record(
    {**fields_of(COLUMNS), "id": TEXT, "state": STATE, "next": NEXT, "next_words": TEXT, "late": SWITCH},
)
PAGE: Final = record(
    {
        "at": TIME_OR_NULL,
        "total": WHOLE,
        "page": WHOLE,
        "pages": WHOLE,
        "per_page": WHOLE,
        "counts": COUNTS,
        "silenced": WHOLE,
        "components": items(ROW),
    }
)
EVENT: Final = record(
    {
        "id": TEXT,
        "type": {"type": "string", "description": f"One of {', '.join(sorted(EventType))}; a later version has more."},
        "component_id": TEXT_OR_NULL,
        "from": TEXT_OR_NULL,
        "to": TEXT_OR_NULL,
        "reason": TEXT,
        "rule": TEXT_OR_NULL,
        "at": TIME_OR_NULL,
        "replica": TEXT_OR_NULL,
        "epoch": {"type": ["integer", "string", "null"]},
        "rev": {"type": ["integer", "string", "null"]},
        "cause": TEXT_OR_NULL,
        "by": TEXT_OR_NULL,
        "alert": {"type": ["boolean", "null"]},
        "failure": {"type": ["object", "array", "string", "number", "boolean", "null"]},
    }
)
EVENTS: Final = record({"events": items(EVENT)})
LOG: Final = record({"events": items(EVENT), "next": TEXT_OR_NULL})
WHY: Final[Schema] = {
    "type": "object",
    "description": "As `healthmon why -o json` prints it.",
    "properties": {"id": TEXT, "state": STATE, "because": TEXT},
    "required": ["id", "state", "because"],
}
LINES: Final[Schema] = {
    "type": "array",
    "description": "A label (empty for the headline) and a sentence each.",
    "items": {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2},
}
METRIC_SCORE: Final = record(
    {
        "metric": TEXT,
        "value": {"type": "number"},
        **dict.fromkeys(("score", "good", "warn", "critical"), REAL_OR_NULL),
    }
)
BAR: Final[Schema] = {"type": "array", "items": or_null(STATE), "minItems": 60, "maxItems": 60}
SAMPLES: Final[Schema] = {
    "type": "object",
    "description": "By metric, and `score`: pairs of a time (ms) and a value, one every 5 s for the last ten minutes.",
    "additionalProperties": items(items({"type": ["number", "null"]})),
}
COMPONENT: Final = record(
    {
        "at": TIME_OR_NULL,
        "component": {"type": "object", "description": "As `healthmon show -o json` prints it.", "required": ["id"]},
        "row": ROW,
        "why": WHY,
        "why_lines": LINES,
        "score": items(METRIC_SCORE),
        "bars": record({"1h": BAR, "24h": BAR, "7d": BAR}),
        "samples": SAMPLES,
        "redis": items(TEXT),
        "send": {"type": "object", "additionalProperties": TEXT},
        "past_known": {"type": "boolean", "description": "False: Redis could not be asked for its history."},
    }
)
CHECK: Final = record({"id": TEXT, "state": STATE, "reason": TEXT, "since": TIME_OR_NULL, "freshness": TEXT})
ORDER: Final[Schema] = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 120}},
    "additionalProperties": False,
}
SILENCE: Final[Schema] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "minLength": 1, "maxLength": 120},
        "for": {"type": "number", "description": "Seconds, 30 days at most.", "exclusiveMinimum": 0},
    },
    "required": ["reason", "for"],
    "additionalProperties": False,
}
DONE: Final = record({"entry": TEXT, "done": {"const": True}, "event": EVENT})
ASKED: Final = record({"entry": TEXT, "done": {"const": False}, "event": {"type": "null"}, "message": TEXT})
REPLICA: Final[Schema] = {
    "type": "object",
    "description": "What a replica says of itself.",
    "properties": {"id": TEXT, "here": SWITCH, "last_seen": TIME_OR_NULL},
    "required": ["id", "here", "last_seen"],
}
CLUSTER: Final = record(
    {
        "at": TIME_OR_NULL,
        "leader": LEADER,
        "epoch": WHOLE_OR_NULL,
        "lease_left_ms": WHOLE_OR_NULL,
        "last_election": or_null(record({"at": TIME_OR_NULL, "reason": TEXT, "replica": TEXT_OR_NULL})),
        "mass_failure": MASS_FAILURE,
        "replicas": items(REPLICA),
        "warnings": items(TEXT),
        "heartbeats": record({"length": WHOLE, "added": WHOLE, "oldest": TIME_OR_NULL, "newest": TIME_OR_NULL}),
        "rejected": COUNTS,
        "viewers": WHOLE,
    }
)
FIRING: Final[Schema] = {
    "type": "object",
    "description": "As `data` of the alert that fires.",
    "properties": {"component_id": TEXT, "severity": TEXT, "dedup_key": TEXT, "since": TIME_OR_NULL},
    "required": ["component_id", "severity", "dedup_key", "since", "new_state", "reason"],
}
ALERTS: Final = record(
    {
        "at": TIME_OR_NULL,
        "firing": items(FIRING),
        "firing_total": WHOLE,
        "silences": items(record({"id": TEXT, "until": TIME_OR_NULL, "by": TEXT_OR_NULL, "reason": TEXT})),
        "silences_total": WHOLE,
    }
)
STATUS: Final = record(
    {
        **{name: _PULSE[name] for name in ("at", "freshness", "counts", "problems", "headline")},
        "prefix": TEXT,
        "roles": items(ROLE),
    }
)
READY: Final = record(
    {"ready": SWITCH, "checks": items(record({"name": TEXT, "ok": SWITCH, "detail": TEXT}))}, optional=("checks",)
)
