"""Restart by a webhook: one POST that asks another program to do it.

The body is JSON: component_id, attempt, reason, rev, incarnation. With a secret, `X-Healthmon-Signature` is `sha256=`
and the hexadecimal HMAC-SHA256 of `<timestamp>.<body>`, the timestamp being that of `X-Healthmon-Timestamp` in Unix
seconds: the receiver computes it anew from the raw body and refuses old timestamps, so that a recorded call is of no
use later. 2xx is a success. `rev` names the restart: a receiver that has seen it already need not act again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from healthmon import clock
from healthmon.restarts.attempt import Attempt, Outcome
from healthmon.settings.forms import masked_url

if TYPE_CHECKING:
    import ssl

    import httpx

SIGNATURE: Final = "X-Healthmon-Signature"
TIMESTAMP: Final = "X-Healthmon-Timestamp"
REDIRECTS_MAX: Final = 3
ANSWER_MAX: Final = 200
# The codes after which the same POST may be made elsewhere; 303 asks for a GET, which restarts nothing.
AGAIN: Final = (301, 302, 307, 308)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of the signature's header."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


@dataclass(slots=True)
class Webhook:
    """Posts to the policy's url, signed when there is a secret."""

    secret: str = field(default="", repr=False)
    _tls: ssl.SSLContext | None = None

    def serves(self, component_id: str) -> bool:
        """It serves everybody."""
        return bool(component_id)

    async def run(self, attempt: Attempt) -> Outcome:
        """Post once, within the time. What goes wrong is a failed attempt with the reason, never an error."""
        if not attempt.url:
            return Outcome(ok=False, detail="the policy names no url")
        if self._tls is None:
            # Importing httpx and reading the certificates takes 0.2 s: not in the loop that has rounds to keep.
            self._tls = await anyio.to_thread.run_sync(_prepare)
        where = masked_url(attempt.url)
        with anyio.move_on_after(attempt.timeout_s):
            outcome = await self._call(attempt, where)
            if outcome is not None:
                return outcome
        return Outcome(ok=False, detail=f"no answer from {where} within {attempt.timeout_s:g} s")

    async def _call(self, attempt: Attempt, where: str) -> Outcome | None:
        """None where no answer came in time."""
        import httpx  # noqa: PLC0415  # only monitors that call webhooks pay for it

        try:
            url = httpx.URL(attempt.url)
            # Not in the URL: httpx logs that.
            login = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
            async with httpx.AsyncClient(auth=login, verify=self._tls or True, timeout=attempt.timeout_s) as client:
                return await self._post(client, url.copy_with(userinfo=b""), _body(attempt), where)
        except httpx.TimeoutException:
            return None
        except httpx.ConnectError as error:
            return Outcome(ok=False, detail=f"{where} is not reachable: {error}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Outcome(ok=False, detail=f"{where} could not be called: {error or type(error).__name__}")

    async def _post(self, client: httpx.AsyncClient, url: httpx.URL, body: bytes, where: str) -> Outcome:
        """Post, and post again where the same host sends us on."""
        for _ in range(REDIRECTS_MAX + 1):
            async with client.stream("POST", url, content=body, headers=self._headers(body)) as answer:
                location = answer.headers.get("location", "")
                if answer.status_code not in AGAIN or not location:
                    return await _judged(answer, where)
                following = url.join(location)
            if not _same_place(url, following):
                detail = f"{where} redirects to {masked_url(str(following))}, which is another host: not followed"
                return Outcome(ok=False, detail=detail)
            url = following.copy_with(userinfo=b"")
        return Outcome(ok=False, detail=f"{where} redirects more than {REDIRECTS_MAX} times")

    def _headers(self, body: bytes) -> dict[str, str]:
        timestamp = str(int(clock.unix_s()))
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", TIMESTAMP: timestamp}
        return headers | ({SIGNATURE: sign(self.secret, timestamp, body)} if self.secret else {})


def _prepare() -> ssl.SSLContext:
    import httpx  # noqa: PLC0415  # in a thread, so that the loop does not wait for it

    return httpx.create_ssl_context()


def _body(attempt: Attempt) -> bytes:
    said = {
        "component_id": attempt.id,
        "attempt": attempt.number,
        "reason": attempt.reason,
        "rev": attempt.rev,
        "incarnation": attempt.incarnation,
    }
    return json.dumps(said).encode()


async def _judged(answer: httpx.Response, where: str) -> Outcome:
    """Of a good answer the body is not read, of another only what is told."""
    if answer.is_success:
        return Outcome(ok=True, detail=f"{where} answered {answer.status_code}")
    said = b""
    async for chunk in answer.aiter_raw():
        said += chunk[: 4 * ANSWER_MAX]
        if len(said) >= 4 * ANSWER_MAX:
            break
    text = "".join(c if c.isprintable() else " " for c in said.decode("utf-8", "replace")).strip()[:ANSWER_MAX]
    return Outcome(ok=False, detail=f"{where} answered {answer.status_code}{': ' if text else ''}{text}")


def _same_place(here: httpx.URL, there: httpx.URL) -> bool:
    """Whether a redirect stays with the same server: same host and port; https may be asked for instead of http."""
    if here.host != there.host:
        return False
    ports = {"http": 80, "https": 443}
    here_port, there_port = (url.port or ports.get(url.scheme, 0) for url in (here, there))
    if here.scheme == there.scheme:
        return here_port == there_port
    return (here.scheme, there.scheme, here_port, there_port) == ("http", "https", 80, 443)
