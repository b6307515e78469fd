"""When a child counts as ready: at once, when an address answers, or when a line of its output says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import anyio

from healthmon.errors import ConfigurationError

if TYPE_CHECKING:
    from healthmon.agent.output import Output

# A program that cannot start ends within this, most often; without a check of its own it is up after it.
UP_S: Final = 1.0
ASK_EVERY_S: Final = 0.5
ASK_TIMEOUT_S: Final = 2.0


class Check(Protocol):
    """How it is found out whether a child is ready."""

    @property
    def trouble(self) -> str:
        """Why it is not ready yet, in a few words."""
        ...

    def begin(self, output: Output) -> None:
        """A child is about to start, whose output this is."""
        ...

    async def ready(self) -> None:
        """Returns when that child is ready; waits as long as it takes."""
        ...


@dataclass
class Lasting:
    """Ready is who has lived for a second."""

    trouble: str = ""

    def begin(self, output: Output) -> None:
        """Nothing to do."""

    async def ready(self) -> None:
        """Returns after a second."""
        await anyio.sleep(UP_S)


class Answering:
    """Ready is who answers a GET with 2xx. Asked twice a second; redirects are not followed.

    Raises ConfigurationError when the URL is none of http or https.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigurationError(f"{url!r:.200} is no address to ask: give one as http://127.0.0.1:8080/ready")
        self._url = url
        self.trouble = ""

    def begin(self, output: Output) -> None:  # noqa: ARG002  # the parameter is the protocol's
        """Nobody has asked yet."""
        self.trouble = f"GET {self._url} was not answered"

    async def ready(self) -> None:
        """Returns when it answers 2xx."""
        import httpx  # noqa: PLC0415  # only who asks pays for it

        # The environment's proxies are for the world outside; this asks a child beside us.
        async with httpx.AsyncClient(timeout=ASK_TIMEOUT_S, trust_env=False) as client:
            while True:
                try:
                    # The body is of no interest, and may be endless.
                    async with client.stream("GET", self._url) as answer:
                        status = answer.status_code
                except httpx.HTTPError as error:
                    self.trouble = f"GET {self._url} fails: {str(error) or type(error).__name__}"
                else:
                    if 200 <= status < 300:
                        return
                    self.trouble = f"GET {self._url} answers {status}"
                await anyio.sleep(ASK_EVERY_S)


class Saying:
    """Ready is who writes a line with this pattern in its first 512 characters, to its output or error.

    Raises ConfigurationError for what is no regular expression.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(f"{pattern!r:.200} is no regular expression: {error}") from None
        self.trouble = f"no line of its output matches {pattern!r:.100}"
        self._seen = anyio.Event()

    def begin(self, output: Output) -> None:
        """Watch from the first line on: it may come at once, with many after it."""
        self._seen = output.watch_for(self._pattern)

    async def ready(self) -> None:
        """Returns when such a line was written."""
        await self._seen.wait()
