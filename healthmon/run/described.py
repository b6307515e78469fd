"""The description of the ways in for heartbeats, beside that of what is shown: /openapi.json has both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from healthmon.core.access import Scope
from healthmon.core.component import Status
from healthmon.views.endpoint import ID_PATTERN, Answer, Endpoint, Parameter
from healthmon.views.schemas import ERROR, TEXT, TEXT_OR_NULL, WHOLE, items, record

_BEAT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "component_id": {"type": "string", "pattern": ID_PATTERN},
        "metrics": {"type": "object", "additionalProperties": {"type": "number"}},
        "status": {"type": "string", "enum": [*Status]},
        "msg": TEXT,
        "interval": {"type": "number", "description": "Seconds until the next one."},
        **dict.fromkeys(("role", "host", "pid", "version", "incarnation"), TEXT),
    },
    "required": ["component_id"],
    "additionalProperties": True,
}
_ENTRY: Final = record({"entry": TEXT_OR_NULL, "note": TEXT, "dropped": items(TEXT)}, optional=("note", "dropped"))
_RESULTS: Final = record({"accepted": WHOLE, "refused": WHOLE, "results": items({"type": "object"})})
_ANSWERS: Final = {
    200: Answer("Stored: `entry` is its stream id.", {"anyOf": [_ENTRY, _RESULTS]}),
    202: Answer("Redis is away: the newest of each component is kept and sent later.", {"anyOf": [_ENTRY, _RESULTS]}),
    404: Answer("There is nothing at this address.", ERROR),
    408: Answer("The request did not arrive in time.", ERROR),
    413: Answer("It is too large.", ERROR),
    422: Answer("It can be read, and is no heartbeat.", ERROR),
    429: Answer("Too many: `Retry-After` says when to send again.", ERROR),
    503: Answer("Redis is away, and what is kept is full.", ERROR),
}
_ID: Final = Parameter("id", "The component's id.", place="path", pattern=ID_PATTERN)
_SAID: Final = tuple(
    Parameter(name, f"As `{name}` of a heartbeat.")
    for name in ("msg", "interval", "role", "host", "version", "incarnation")
)
HEARTBEATS: Final = (
    Endpoint(
        "POST",
        "/health/heartbeat",
        "heartbeat",
        "One heartbeat, or a list of at most 1000. It is accepted with no leader, too.",
        scope=Scope.WRITE,
        answers=_ANSWERS,
        body={"anyOf": [_BEAT, {"type": "array", "items": _BEAT, "minItems": 1, "maxItems": 1000}]},
        tag="heartbeats",
    ),
    Endpoint(
        *("GET", "/beat/{id}", "beat", "A heartbeat for shell scripts."),
        scope=Scope.WRITE,
        parameters=(_ID, *_SAID),
        answers=_ANSWERS,
        tag="heartbeats",
    ),
    Endpoint(
        "GET",
        "/beat/{id}/{outcome}",
        "beat-outcome",
        "The same with what became of a job: `start`, `fail`, or its exit code, of which 0 is well.",
        scope=Scope.WRITE,
        parameters=(_ID, Parameter("outcome", "`start`, `fail`, or 0 to 255.", place="path"), *_SAID),
        answers=_ANSWERS,
        tag="heartbeats",
    ),
)
