"""One POST to another program over HTTP, signed where there is a secret.

With a secret, `X-Healthmon-Signature` is `sha256=` and the hexadecimal HMAC-SHA256 of `<timestamp>.<body>`, the
timestamp being that of `X-Healthmon-Timestamp` in Unix seconds: the receiver computes it anew from the raw body and
refuses old timestamps, so that a recorded call is of no use later.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from healthmon import clock
from healthmon.settings.forms import masked_url

if TYPE_CHECKING:
    import ssl

    import httpx

SIGNATURE: Final = "X-Healthmon-Signature"
TIMESTAMP: Final = "X-Healthmon-Timestamp"
REDIRECTS_MAX: Final = 3
ANSWER_MAX: Final = 200
# The codes after which the same POST may be made elsewhere; 303 asks for a GET, which does nothing.
AGAIN: Final = (301, 302, 307, 308)
_calling: ContextVar[bool] = ContextVar("calling", default=False)


def origin_of(url: str) -> str:
    """`https://host:port`: of a URL whose path is a secret, as that of many chat services is."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of the signature's header."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call went, in a sentence without secrets. `status`: the answer's, 0 where none came."""

    ok: bool
    detail: str
    status: int = 0


@dataclass(slots=True)
class Poster:
    """Posts bodies to URLs. `secret`: signs every call. Nothing is imported or opened before the first.

    `shown`: how a URL is named in answers, without what is secret in it.
    """

    secret: str = field(default="", repr=False)
    shown: Callable[[str], str] = masked_url
    _tls: ssl.SSLContext | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Post once, within the time, and again only where the same host sends us on. 2xx is a success.

        What goes wrong outside is an Answer, never an error.
        """
        if self._tls is None:
            # Importing httpx and reading the certificates takes 0.2 s: not in the loop that has rounds to keep.
            self._tls = await anyio.to_thread.run_sync(_prepare)
        where, outer = self.shown(url), _calling.set(True)
        try:
            with anyio.move_on_after(timeout_s):
                answer = await self._call(url, body, headers, timeout_s, where)
                if answer is not None:
                    return answer
        finally:
            _calling.reset(outer)
        return Answer(ok=False, detail=f"no answer from {where} within {timeout_s:g} s")

    async def _call(
        self, address: str, body: bytes, headers: Mapping[str, str], timeout_s: float, where: str
    ) -> Answer | None:
        """None where no answer came in time."""
        import httpx  # noqa: PLC0415  # only processes that call others pay for it

        try:
            url = httpx.URL(address)
            login = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
            async with httpx.AsyncClient(auth=login, verify=self._tls or True, timeout=timeout_s) as client:
                return await self._post(client, url.copy_with(userinfo=b""), body, headers, where)
        except httpx.TimeoutException:
            return None
        except httpx.ConnectError as error:
            return Answer(ok=False, detail=f"{where} is not reachable: {error}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(ok=False, detail=f"{where} could not be called: {error or type(error).__name__}")

    async def _post(
        self, client: httpx.AsyncClient, url: httpx.URL, body: bytes, headers: Mapping[str, str], where: str
    ) -> Answer:
        """Post, and post again where the same host sends us on."""
        for _ in range(REDIRECTS_MAX + 1):
            said = {**headers, **self._signed(body)}
            async with client.stream("POST", url, content=body, headers=said) as answer:
                location = answer.headers.get("location", "")
                if answer.status_code not in AGAIN or not location:
                    return await _judged(answer, where)
                following = url.join(location)
            if not _same_place(url, following):
                detail = f"{where} redirects to {self.shown(str(following))}, which is another host: not followed"
                return Answer(ok=False, detail=detail)
            url = following.copy_with(userinfo=b"")
        return Answer(ok=False, detail=f"{where} redirects more than {REDIRECTS_MAX} times")

    def _signed(self, body: bytes) -> dict[str, str]:
        timestamp = str(int(clock.unix_s()))
        headers = {"Accept-Encoding": "identity", TIMESTAMP: timestamp}
        return headers | ({SIGNATURE: sign(self.secret, timestamp, body)} if self.secret else {})


def _prepare() -> ssl.SSLContext:
    import httpx  # noqa: PLC0415  # in a thread, so that the loop does not wait for it

    logging.getLogger("httpx").addFilter(_is_of_others)
    return httpx.create_ssl_context()


def _is_of_others(_: logging.LogRecord) -> bool:
    """Whether httpx may log this: at INFO it logs each request's URL, which may be all that is secret of a service."""
    return not _calling.get()


async def _judged(answer: httpx.Response, where: str) -> Answer:
    """Of a good answer the body is not read, of another only what is told."""
    status = answer.status_code
    if answer.is_success:
        return Answer(ok=True, detail=f"{where} answered {status}", status=status)
    said = b""
    async for chunk in answer.aiter_raw():
        said += chunk[: 4 * ANSWER_MAX]
        if len(said) >= 4 * ANSWER_MAX:
            break
    text = "".join(c if c.isprintable() else " " for c in said.decode("utf-8", "replace")).strip()[:ANSWER_MAX]
    return Answer(ok=False, detail=f"{where} answered {status}{': ' if text else ''}{text}", status=status)


def _same_place(here: httpx.URL, there: httpx.URL) -> bool:
    """Whether a redirect stays with the same server: same host and port; https may be asked for instead of http."""
    if here.host != there.host:
        return False
    ports = {"http": 80, "https": 443}
    here_port, there_port = (url.port or ports.get(url.scheme, 0) for url in (here, there))
    if here.scheme == there.scheme:
        return here_port == there_port
    return (here.scheme, there.scheme, here_port, there_port) == ("http", "https", 80, 443)
