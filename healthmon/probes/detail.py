"""What is told of a failed probe: one line, by the error at the bottom of what was raised, with no secret in it."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, urlsplit

from healthmon.errors import HealthmonError
from healthmon.probes.spec import ProbeFailed

DETAIL_MAX: Final = 200
# Of a user's name so short the masking would only garble the text; a password is masked however short it is.
_USER_MIN: Final = 4
# This machine is short of something: nothing is said of the other side.
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EADDRNOTAVAIL})


def is_refusal(error: BaseException) -> bool:
    """Whether every address that was tried refused the connection."""
    return all(isinstance(one, ConnectionRefusedError) for one in _bottom_of(error))


def is_ours(error: BaseException) -> bool:
    """Whether the probe could not be made for want of something on this machine."""
    return any(
        isinstance(one, MemoryError)
        or (isinstance(one, OSError) and not isinstance(one, socket.gaierror | ssl.SSLError) and one.errno in _OURS)
        for one in _bottom_of(error)
    )


def told(error: BaseException) -> str:
    """The error in a few words."""
    bottom = next(_bottom_of(error))
    match bottom:
        case ConnectionRefusedError():
            return "connection refused"
        case ssl.SSLCertVerificationError():
            return f"TLS: certificate not accepted: {bottom.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(bottom.reason or str(bottom)).replace('_', ' ').lower()}"
        case socket.gaierror():
            return f"the host name was not resolved: {bottom.strerror}"
        case OSError(strerror=str(reason)):
            return reason
    return str(error) or str(bottom) or type(error).__name__


def one_line(text: str, url: str = "") -> str:
    """The text on one line that can be shown, at most 200 characters, with what the URL keeps secret as `***`."""
    for secret in _secrets_of(url):
        text = text.replace(secret, "***")
    line = " ".join(text.split())
    shown = "".join(letter if letter.isprintable() else "?" for letter in line)
    return shown if len(shown) <= DETAIL_MAX else shown[: DETAIL_MAX - 1] + "…"


def _secrets_of(url: str) -> list[str]:
    """What stands before the `@` of a URL, whole and in parts, as written and as meant; the longest first."""
    try:
        userinfo = urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        return [url]
    user, _, password = userinfo.partition(":")
    parts = [userinfo, password, *([user] if len(user) >= _USER_MIN else [])]
    return sorted({form for part in parts if part for form in (part, unquote(part))}, key=len, reverse=True)


def _bottom_of(error: BaseException) -> Iterator[BaseException]:
    """The errors that began it: several where several addresses were tried."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _bottom_of(one)
        return
    # httpcore hides what its errors come from, and that alone tells a refusal; errors of our own say all there is.
    said = isinstance(error, ProbeFailed | HealthmonError | OSError)
    before = error.__cause__ or (None if said else error.__context__)
    if before is None:
        yield error
    else:
        yield from _bottom_of(before)
