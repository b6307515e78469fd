"""Heartbeats by HTTP: `POST /health/heartbeat`, and `/beat/<id>` for shell scripts."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from healthmon.core.access import Grant, Scope, demand
from healthmon.core.component import Status
from healthmon.core.refusal import Refusal, refusal
from healthmon.gateway.door import Accepted, Channel, Door, Outcome

LIST_MAX: Final = 1000
# What a script may say beside its state.
SAID: Final = ("msg", "interval", "role", "host", "version", "incarnation")
_AWAY: Final = "Redis is away: the newest heartbeat of each component is kept and sent when it is back"


def heartbeat_routes(door: Door) -> list[BaseRoute]:
    """The routes by which heartbeats come in. The app's guard has put `grant` into each request's scope."""

    async def heartbeat(request: Request) -> Response:
        grant: Grant = request.scope["grant"]
        try:
            said = await _read(request, grant)
        except Refusal as refused:
            raise door.refuse(refused) from None
        if isinstance(said, list):
            return _answer_list(said, await door.accept_many(said, grant, "http"))
        return _answer(await door.accept(said, grant, "http"))

    async def beat(request: Request) -> Response:
        try:
            said = _said(request)
        except Refusal as refused:
            raise door.refuse(refused) from None
        channel: Channel = "beat"
        return _answer(await door.accept(said, request.scope["grant"], channel))

    return [
        Route("/health/heartbeat", heartbeat, methods=["POST"]),
        Route("/beat/{id}", beat, methods=["GET", "POST"]),
        Route("/beat/{id}/{outcome}", beat, methods=["GET", "POST"]),
    ]


async def _read(request: Request, grant: Grant) -> Any:  # noqa: ANN401  # JSON is anything; the door looks at it
    """The body, which is an object or a list. Raises Refusal: 401, 403, 400, 408, 413, 415."""
    if not grant.holds(Scope.WRITE):
        demand(grant, Scope.WRITE)
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refusal(
            415, "unsupported_media_type", f"the body is {kind[:80]}: send JSON, with `Content-Type: application/json`"
        )
    said = read_json(await request.body())
    if isinstance(said, list) and not 0 < len(said) <= LIST_MAX:
        status, code = (413, "too_large") if said else (422, "empty")
        raise Refusal(status, code, f"the list has {len(said)} heartbeats: send 1 to {LIST_MAX}")
    return said


def read_json(body: bytes | str) -> Any:  # noqa: ANN401  # JSON is anything
    """JSON, in which NaN and Infinity are read as numbers, as Python writes them. Raises Refusal with 400."""
    try:
        return json.loads(body.decode("utf-8") if isinstance(body, bytes) else body)
    except UnicodeDecodeError as error:
        raise Refusal(400, "bad_utf8", f"byte {error.start} of the body is no UTF-8: send JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        message = f"the body is no JSON ({error.msg} at line {error.lineno}, column {error.colno}): correct it there"
        raise Refusal(400, "bad_json", message) from None
    except (ValueError, RecursionError):
        raise Refusal(400, "bad_json", "the body is JSON nested or long beyond use: send a plain object") from None


def _said(request: Request) -> dict[str, Any]:
    """The heartbeat of `/beat/<id>`, with what the path and the query say. Raises Refusal with 404."""
    said: dict[str, Any] = {name: request.query_params[name] for name in SAID if name in request.query_params}
    said["id"] = request.path_params["id"]
    match request.path_params.get("outcome", "0"):
        case "0" | "ok":
            pass
        case "fail":
            said["status"] = Status.FAILING.value
        case "start":
            said["status"] = Status.STARTING.value
        case code if code.isascii() and code.isdigit() and int(code) <= 255:
            said["status"] = Status.FAILING.value
            said["msg"] = f"exit code {int(code)}" + (f": {said['msg']}" if said.get("msg") else "")
        case _:
            raise Refusal(
                404,
                "not_found",
                "after /beat/<id> comes nothing, /start, /fail or an exit code of 0 to 255: correct it",
            )
    return said


def _answer(accepted: Accepted) -> JSONResponse:
    return JSONResponse(told(accepted), 200 if accepted.entry else 202)


def _answer_list(said: list[Any], outcomes: list[Outcome]) -> JSONResponse:
    """200 when at least one is stored, 202 when those that were taken wait; with none taken the first refusal's."""
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    results = [{"id": _id_of(one), **told(outcome)} for one, outcome in zip(said, outcomes, strict=True)]
    body: dict[str, Any] = {
        "accepted": len(outcomes) - len(refused),
        "refused": len(refused),
        "results": results,
    }
    if len(refused) == len(outcomes):
        first = refused[0]
        headers = {"retry-after": str(first.retry_after_s)} if first.retry_after_s else None
        return JSONResponse({**refusal(first.code, first.message), **body}, first.status, headers)
    stored = any(isinstance(outcome, Accepted) and outcome.entry for outcome in outcomes)
    return JSONResponse(body, 200 if stored else 202)


def told(outcome: Outcome) -> dict[str, Any]:
    """One outcome as JSON: the entry, null while it waits; or the error."""
    if isinstance(outcome, Refusal):
        return refusal(outcome.code, outcome.message)
    said: dict[str, Any] = {"entry": outcome.entry or None}
    if not outcome.entry:
        said["note"] = _AWAY
    if outcome.dropped:
        said["dropped"] = list(outcome.dropped)
    return said


def _id_of(one: object) -> str | None:
    found = one.get("component_id", one.get("id")) if isinstance(one, dict) else None
    return found[:128] if isinstance(found, str) else None
