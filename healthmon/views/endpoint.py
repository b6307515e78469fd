"""What an endpoint of the HTTP API is: its parameters and answers, described once, checked and documented alike.

`healthmon.views.openapi` writes the description; `route` makes the route that keeps it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from healthmon.core import ids
from healthmon.core.access import NOTHING, Grant, Scope, demand
from healthmon.core.refusal import Refusal, refusal
from healthmon.errors import HealthmonError, NoSuchComponent, NotPermitted, Refused, StoreUnavailable

logger = logging.getLogger("healthmon.views")
Schema = Mapping[str, Any]
BODY_MAX: Final = 16_384
ID_PATTERN: Final = f"^{ids.ID_PATTERN.pattern}$"
STREAM_ID_PATTERN: Final = "^([0-9]{1,19}(-[0-9]{1,19})?)?$"
_SWITCH: Final = {"1": True, "true": True, "0": False, "false": False, "": True}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path or the query. `choices`: the words that it takes, `several` of them with commas between."""

    name: str
    about: str
    kind: Literal["text", "whole", "switch"] = "text"
    place: Literal["query", "path", "header"] = "query"
    otherwise: str | int | bool = ""
    least: int = 0
    most: int = 1_000_000
    choices: tuple[str, ...] = ()
    several: bool = False
    pattern: str = ""

    def read(self, text: str | None) -> Any:  # noqa: ANN401  # text, a number or a truth value, by its kind
        """The value that a request gives; an empty one is none. Raises Refusal for a wrong one."""
        if text is None or (not text and self.kind != "switch"):
            return self.otherwise
        if self.kind == "switch":
            if text.lower() not in _SWITCH:
                raise bad_parameter(f"{self.name} is {text[:64]!r}: give 1 or 0")
            return _SWITCH[text.lower()]
        if self.kind == "whole":
            digits = text.removeprefix("-")
            if not (digits.isascii() and digits.isdecimal() and len(digits) < 16):
                raise bad_parameter(f"{self.name} is {text[:64]!r}: give a whole number")
            if not self.least <= int(text) <= self.most:
                raise bad_parameter(f"{self.name} is {text}: give {self.least} to {self.most}")
            return int(text)
        if len(text) > 1024:
            raise bad_parameter(f"{self.name} has {len(text)} characters: 1024 are the most")
        if self.choices:
            words = text.split(",") if self.several else [text]
            for wrong in [word for word in words if word not in self.choices]:
                raise bad_parameter(f"{self.name} is {wrong[:64]!r}: give one of {', '.join(self.choices)}")
        return text


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an endpoint. `schema` None: it has no JSON body."""

    about: str
    schema: Schema | None = None
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose parameters are read: `values` by name. `body`: of an action, an empty one for none."""

    request: Request
    grant: Grant
    values: Mapping[str, Any]
    body: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # as its parameter reads it
        return self.values[name]


@dataclass(frozen=True)
class Endpoint:
    """One operation. `scope` None: public. `component`: the path parameter that names one, which a token may be for.

    `handler` None: a route of another room answers it, and it is only described here.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    about: str
    handler: Callable[[Asked], Awaitable[Response]] | None = None
    scope: Scope | None = Scope.READ
    parameters: tuple[Parameter, ...] = ()
    answers: Mapping[int, Answer] = field(default_factory=dict)
    body: Schema | None = None
    tag: str = "fleet"
    component: str = "id"
    route: type[Route] = Route


def route(endpoint: Endpoint) -> Route:
    """The route of an endpoint: it checks who asks and what, and answers every error in one form."""
    handler = endpoint.handler
    if handler is None:
        raise TypeError(f"{endpoint.name} is answered elsewhere: it has no handler here")

    async def answer(request: Request) -> Response:
        try:
            return await handler(await _asked(endpoint, request))
        except HealthmonError as error:
            return declined(error)

    return endpoint.route(endpoint.path, answer, methods=[endpoint.method], name=endpoint.name)


async def _asked(endpoint: Endpoint, request: Request) -> Asked:
    grant: Grant = request.scope.get("grant", NOTHING)
    if endpoint.scope is not None:
        demand(grant, endpoint.scope, request.path_params.get(endpoint.component, ""))
    known = {one.name: one for one in endpoint.parameters}
    for name in request.query_params:
        if name not in known or known[name].place != "query":
            names = [one.name for one in endpoint.parameters if one.place == "query"]
            takes = f"it takes {', '.join(names)}" if names else "it takes none"
            raise bad_parameter(f"{endpoint.path} has no parameter {name[:64]!r}: {takes}")
    places: dict[str, Mapping[str, str]] = {
        "query": request.query_params,
        "path": request.path_params,
        "header": request.headers,
    }
    values = {one.name: one.read(places[one.place].get(one.name)) for one in endpoint.parameters}
    body = await _body(request) if endpoint.body is not None else {}
    return Asked(request, grant, values, body)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that an action is given; none is an empty one. Raises Refusal."""
    read = b""
    async for chunk in request.stream():
        read += chunk
        if len(read) > BODY_MAX:
            raise Refusal(413, "too_large", f"the body has more than {BODY_MAX} bytes")
    if not read:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "unsupported_media_type", "send the body as application/json")
    try:
        body = json.loads(read)
    except (ValueError, RecursionError):
        raise Refusal(400, "bad_json", "the body is no JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "bad_json", "the body must be a JSON object")
    return body


# -- answers -----------------------------------------------------------------------------------------------------------


def bad_parameter(message: str) -> Refusal:
    """A request whose parameters make no sense."""
    return Refusal(400, "bad_parameter", message)


def answered(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; what is true now is nothing to keep."""
    return encoded(json.dumps(content, separators=(",", ":"), allow_nan=False), status, headers)


def encoded(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that is text already."""
    return Response(text, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def declined(error: HealthmonError) -> Response:
    """An error as every route tells it."""
    headers = {}
    status, code = _status(error)
    if isinstance(error, Refusal):
        if error.retry_after_s:
            headers["Retry-After"] = str(error.retry_after_s)
    elif status == 503:
        headers["Retry-After"] = "1"
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="healthmon"'
    if status >= 500:
        logger.debug("answered %d: %s", status, error)
    return answered(refusal(code, str(error)), status, headers)


def _status(error: HealthmonError) -> tuple[int, str]:
    match error:
        case Refusal():
            return error.status, error.code
        case NoSuchComponent():
            return 404, "no_such_component"
        case Refused():
            return 400, "refused"
        case NotPermitted():
            return 503, "redis_not_permitted"
        case StoreUnavailable():
            return 503, "redis_unreachable"
    return 500, "failed"
