"""What is probed, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

# `refused`: the connection was refused, the proof that nobody listens. `unmade`: it could not be made here (no file
# descriptors left, this process stood still), which says nothing of the component; it is never reported.
Outcome = Literal["ok", "failed", "refused", "unmade"]


class ProbeFailed(Exception):
    """A kind's verdict that what it probed is not well. The text is the detail."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What one probe does. `kind` is a name in the table of kinds; the others are what that kind needs."""

    kind: str
    url: str = ""
    command: tuple[str, ...] = ()
    call: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How one probe went: whole milliseconds, and one line of at most 200 characters without any secret."""

    outcome: Outcome
    ms: int
    detail: str


def spec_of(part: Mapping[str, Any], call: Callable[[], Awaitable[object]] | None = None) -> Spec:
    """What the `probe` part of a policy asks for. `call` makes the call where it asks for a callable."""
    if part.get("exec"):
        return Spec("exec", command=tuple(part["exec"]))
    if part.get("url"):
        return Spec(urlsplit(part["url"]).scheme, url=part["url"])
    return Spec("callable", call=call)
