"""Refusals as HTTP responses: every error is the same JSON, whoever found it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from healthmon.core.refusal import Refusal, refusal
from healthmon.errors import HealthmonError, NoSuchComponent, StoreUnavailable

if TYPE_CHECKING:
    from starlette.requests import Request

_CODES: Final = {
    400: ("bad_request", "the request can't be read"),
    404: ("not_found", "there is nothing at this address: /openapi.json lists what there is"),
    405: ("method_not_allowed", "this address takes another method: the header Allow names it"),
}
AWAY_S: Final = 2
logger = logging.getLogger("healthmon.gateway")


def answer(refused: Refusal) -> JSONResponse:
    """The response of a refusal, with the headers that its status asks for."""
    headers = {}
    if refused.status == 401:
        headers["www-authenticate"] = 'Bearer realm="healthmon"'
    if refused.retry_after_s:
        headers["retry-after"] = str(refused.retry_after_s)
    return JSONResponse(refusal(refused.code, refused.message), refused.status, headers)


async def answer_refused(_: Request, error: Exception) -> JSONResponse:
    """For whatever a route raises that is one of ours."""
    if isinstance(error, Refusal):
        return answer(error)
    if isinstance(error, NoSuchComponent):
        return answer(Refusal(404, "no_such_component", str(error)))
    if isinstance(error, StoreUnavailable):
        return answer(Refusal(503, "redis_unreachable", str(error), AWAY_S))
    return answer(Refusal(500, "failed", str(error)))


async def answer_http(_: Request, error: Exception) -> JSONResponse:
    """For what the router raises: no such path, another method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code, message = _CODES.get(status, ("failed", str(error)))
    headers = getattr(error, "headers", None)
    return JSONResponse(refusal(code, message), status, headers)


async def answer_broken(request: Request, error: Exception) -> JSONResponse:
    """For a defect of ours. Its traceback is logged, and none of it is sent."""
    logger.error("%s %s failed by a defect", request.method, request.url.path, exc_info=error)
    return JSONResponse(refusal("broken", "healthmon failed by a defect of its own: its log has the traceback"), 500)


HANDLERS: Final = {HealthmonError: answer_refused, HTTPException: answer_http, Exception: answer_broken}
