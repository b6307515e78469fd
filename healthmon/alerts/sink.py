"""What a sink is, and the table of its kinds: what its table in the alerts file may say, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from healthmon.alerts.alertmanager import Alertmanager
from healthmon.alerts.apprise import Apprise, is_there
from healthmon.alerts.log import Log
from healthmon.alerts.webhook import Webhook
from healthmon.core.messages import Message


class Sink(Protocol):
    """One place that alerts go to.

    `groups`: it groups by itself, so that nothing is gathered for it, and it is told of every change of severity.
    `refresh_s`: how often it must be told again of what lasts, or it takes it for over; 0 for never.
    """

    @property
    def groups(self) -> bool: ...

    @property
    def refresh_s(self) -> float: ...

    async def send(self, messages: Sequence[Message]) -> None:
        """Hand these over, within the sink's time-out. Raises Undelivered; then none of them counts as taken."""


Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of sink. `texts` and `numbers`: its options, numbers with their bounds in seconds and default.

    A text may also be given as `<name>_env`, the name of the environment variable that holds it; a `secret` only so.
    """

    make: Callable[[Options], Sink]
    texts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    numbers: Mapping[str, tuple[float, float, float]] | None = None
    check_url: Callable[[str], str] = str
    lacks: Callable[[], str] = str


def _web_address(url: str) -> str:
    """What is wrong with the URL of a web service, "" for nothing."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    return "" if right else "is no URL of the form http://HOST[:PORT]/PATH"


def _any_address(url: str) -> str:
    return "" if "://" in url else "is no Apprise URL, such as mailto://USER:PASSWORD@HOST"


def _lacks_apprise() -> str:
    return "" if is_there() else "the kind apprise needs a package that is not here: pip install 'healthmon[alerts]'"


_TIMEOUT: Final = (0.05, 60.0, 10.0)
KINDS: Final[Mapping[str, Kind]] = {
    "log": Kind(lambda _: Log()),
    "webhook": Kind(
        lambda o: Webhook(o["url"], o.get("secret", ""), o["timeout"]),
        ("url",),
        ("secret",),
        ("url",),
        {"timeout": _TIMEOUT},
        _web_address,
    ),
    "alertmanager": Kind(
        lambda o: Alertmanager(o["url"], o["timeout"], o["refresh"]),
        ("url",),
        (),
        ("url",),
        {"timeout": _TIMEOUT, "refresh": (0.1, 3600.0, 60.0)},
        _web_address,
    ),
    "apprise": Kind(
        lambda o: Apprise(o["url"], o["timeout"]),
        ("url",),
        (),
        ("url",),
        {"timeout": _TIMEOUT},
        _any_address,
        _lacks_apprise,
    ),
}
