"""What stands before every route: who calls, from where, and how much they send. It also dresses every response.

A server on loopback without tokens lets every local program do everything. A web page that runs in a local browser is
no local program: requests that it makes are told by their Host (DNS rebinding), Origin and Sec-Fetch-Site.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import anyio

from healthmon import clock
from healthmon.core.access import EVERYTHING, NOTHING, Access, Grant, is_loopback
from healthmon.core.refusal import Refusal
from healthmon.gateway.answers import answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A route may say otherwise: a badge is shown by pages of others.
DRESS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
# A browser can't give a WebSocket a header of its own, but it can name subprotocols; they are no part of the URL.
BEARER_PROTOCOL: Final = "bearer."
logger = logging.getLogger("healthmon.gateway")
_FOREIGN: Final = (b"cross-site", b"same-site")
_IN_URL: Final = frozenset(("token", "access_token", "authorization"))


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body, and seconds in which it must arrive."""

    body_max: int
    body_s: float


class Guard:
    """Puts `grant` into the scope of every request and WebSocket, or answers in the app's place.

    An unknown token, or none where one is needed, is an empty grant: what is public needs none.
    """

    def __init__(self, app: App, access: Access, limits: Limits, origins: tuple[str, ...] = ()) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: Headers = dict(scope["headers"])
        try:
            scope["grant"] = self._grant(scope, headers)
            if scope["type"] == "http":
                receive = self._bounded(headers, receive)
        except Refusal as refused:
            await _turn_away(refused, scope, receive, send)
            return
        if scope["type"] == "http":
            await self._app(scope, receive, _dressing(send))
            return
        try:
            await self._app(scope, receive, send)
        except Exception:
            logger.exception("a WebSocket at %s failed by a defect", scope["path"])
            raise

    def _grant(self, scope: Scope, headers: Headers) -> Grant:
        if scope["query_string"]:
            names = {name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)}
            if not _IN_URL.isdisjoint(names):
                raise Refusal(
                    400,
                    "token_in_url",
                    "a token in a URL ends up in logs: make a new one, and send it as `Authorization: Bearer <token>`",
                )
        if not self._access.open:
            return self._access.grant_of(_token(headers))
        host = headers.get(b"host", b"").decode("latin-1")
        if host and not is_loopback(_name_of(host)):
            raise Refusal(
                403,
                "bad_host",
                "without tokens only loopback's own names are served: call 127.0.0.1, or set HEALTH_TOKEN",
            )
        return EVERYTHING if self._is_own(headers, host) else NOTHING

    def _is_own(self, headers: Headers, host: str) -> bool:
        """Whether this comes from no page, or from one served here. Raises Refusal for another page's script."""
        origin = headers.get(b"origin")
        if origin is not None:
            said = origin.decode("latin-1")
            if said in self._origins or (host and said.partition("://")[2] == host):
                return True
            raise Refusal(
                403, "cross_origin", "this comes from a page of another origin: list that one in HEALTH_HTTP_CORS"
            )
        return headers.get(b"sec-fetch-site") not in _FOREIGN

    def _bounded(self, headers: Headers, receive: Receive) -> Receive:
        """The body, at most so long and for so many seconds. Raises Refusal with 413 and 408, the former at once."""
        most, said = self._limits.body_max, headers.get(b"content-length", b"0")
        too_large = Refusal(413, "too_large", f"the body is above {most} bytes: send several smaller requests")
        if said.isdigit() and int(said) > most:
            raise too_large
        within_s = self._limits.body_s
        got, complete, until_s = 0, False, 0.0

        async def bounded() -> Message:
            nonlocal got, complete, until_s
            if complete:
                return await receive()
            now_s = clock.monotonic_s()
            until_s = until_s or now_s + within_s
            with anyio.move_on_after(until_s - now_s) as waiting:
                message = await receive()
            if waiting.cancelled_caught:
                raise Refusal(408, "too_slow", f"the body did not arrive within {within_s:g} s: send it again")
            got += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if got > most:
                raise too_large
            return message

        return bounded


def _name_of(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _token(headers: Headers) -> str:
    """The token of a request, "" for none."""
    kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    for protocol in headers.get(b"sec-websocket-protocol", b"").decode("latin-1").split(","):
        if protocol.strip().startswith(BEARER_PROTOCOL):
            return protocol.strip().removeprefix(BEARER_PROTOCOL)
    return ""


def _dressing(send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            there = {name.lower() for name, _ in headers}
            message["headers"] = headers + [pair for pair in DRESS if pair[0] not in there]
        await send(message)

    return dressed


async def _turn_away(refused: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket is refused by an HTTP response too, where the server can; else by closing before it is open."""
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await answer(refused)(scope, receive, _dressing(send))
    else:
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refused.code})
