"""What a component says last: a goodbye, or what it fails with. A crash that runs `finally` is no goodbye."""

from __future__ import annotations

import sys

from healthmon.core.component import Status

MESSAGE_MAX = 200


def last_words(error: BaseException | None) -> tuple[Status, str]:
    """The status and message for an end with this exception in flight, or with none.

    `failing` for an Exception and for an exit with a code other than 0; `stopping` for a cancellation (asyncio's and
    trio's are no Exceptions), Ctrl-C and a clean exit. Of a group, the first member that is a failure counts.
    """
    failure = _failure_in(error)
    return (Status.STOPPING, "") if failure is None else (Status.FAILING, told(failure))


def told(error: BaseException) -> str:
    """The exception in one line: its type, and the first line of its text."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # an exception of the component's own, whose __str__ may do anything
        lines = []
    name = type(error).__name__
    return (f"{name}: {lines[0]}" if lines else name)[:MESSAGE_MAX]


def fatal_error() -> BaseException | None:
    """The exception that ends the interpreter, once that is ending. At a prompt there is none: it was survived."""
    if hasattr(sys, "ps1"):
        return None
    error: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return error


def _failure_in(error: BaseException | None) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for member in error.exceptions if (found := _failure_in(member)) is not None), None)
    if isinstance(error, SystemExit):
        return None if error.code in (None, 0) else error
    return error if isinstance(error, Exception) else None
