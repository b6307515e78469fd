"""`http://` and `https://`: a GET whose answer's status tells. Its body is not read, a redirect not followed."""

from __future__ import annotations

import ssl
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import anyio

from healthmon.probes.spec import ProbeFailed, Spec

if TYPE_CHECKING:
    from httpcore import AsyncNetworkStream

# One connection a probe: a kept one would only show that an old connection still works.
HEADERS: Final = {"User-Agent": "healthmon", "Accept": "*/*", "Connection": "close"}
# The standard's words: those of the server are anybody's.
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


async def probe(spec: Spec) -> str:
    """`HTTP <status>` for 2xx and 3xx. Raises ProbeFailed for any other, and httpx's errors when there is no answer."""
    import httpx  # noqa: PLC0415  # 60 ms, and only the process that makes probes pays them

    address = urlsplit(spec.url)
    userinfo, _, place = address.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    # httpx logs the URLs that it is given: the user and the password go beside it.
    login = httpx.BasicAuth(unquote(user), unquote(password)) if userinfo else None
    context, opened = _context(address.scheme), _Opened()
    async with (
        opened,
        httpx.AsyncClient(
            verify=context,
            auth=login,
            headers=HEADERS,
            trust_env=False,
            timeout=None,  # noqa: S113  # `probe` bounds the whole of it
        ) as client,
        client.stream("GET", address._replace(netloc=place).geturl(), extensions={"trace": opened.note}) as response,
    ):
        status = response.status_code
    if not 200 <= status < 400:
        raise ProbeFailed(f"HTTP {status} {PHRASES.get(status, '')}".rstrip())
    return f"HTTP {status}"


class _Opened:
    """The connections of one request, closed with it: httpcore leaves one open whose TLS handshake is cancelled."""

    def __init__(self) -> None:
        self._streams: list[AsyncNetworkStream] = []

    async def note(self, event: str, told: dict[str, Any]) -> None:
        """What httpcore calls at each of its steps."""
        if event == "connection.connect_tcp.complete":
            self._streams.append(told["return_value"])

    async def __aenter__(self) -> None:
        """Nothing is open yet."""

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            for stream in self._streams:
                await stream.aclose()


@lru_cache
def _context(scheme: str) -> ssl.SSLContext:
    """Made once: it reads all root certificates, which takes 20 ms."""
    import httpx  # noqa: PLC0415  # as above

    return httpx.create_ssl_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
