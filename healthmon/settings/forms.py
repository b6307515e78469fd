"""The forms of single values: URLs, prefixes, ids. A check raises ValueError with what follows the setting's name."""

from __future__ import annotations

import os
import re
import secrets
import string
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

SERVED: Final = "redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///PATH or embedded://[DIR]"
_ID: Final = re.compile(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,127}")
_KEY_PREFIX: Final = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9._:-]{0,62}[A-Za-z0-9_-])?")
_SECRET_OPTION: Final = re.compile(r"(?i)([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&#]*")
_SHOWN_MAX: Final = 80


def masked_url(url: str) -> str:
    """The URL with every password in it, and any name that may be one, as `***`: fit for logs and screens."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    account, at, place = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    hidden = f"{user}:***" if colon else "***"
    return _SECRET_OPTION.sub(r"\1***", f"{scheme}{separator}{hidden if at else ''}{at}{place}")


def shown(value: object) -> str:
    """A value as a person would write it, short and without passwords: 15 for 15.0, switches as true and false."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.12g}"
        case int() | Path():
            text = str(value)
        case str():
            text = repr(masked_url(value) if "://" in value else value)
        case _:
            text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def check_url(url: str) -> str:
    """The URL of a Redis that this version can serve from."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("redis+sentinel", "redis+cluster"):
        raise ValueError(f"names {scheme}://, which is not served yet; give redis://HOST:PORT/DB of the master")
    if not separator or scheme not in ("redis", "rediss", "unix", "embedded"):
        raise ValueError(f"does not begin with a scheme that is served; give {SERVED}")
    if scheme in ("redis", "rediss"):
        _check_address(url)
    elif scheme == "unix" and "/" not in rest.rpartition("@")[2]:
        raise ValueError("names no socket; give unix:///PATH")
    return url


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            "has no readable host and port; give redis://HOST:PORT/DB, with / @ : # ? of a password as "
            "%2F %40 %3A %23 %3F"
        ) from None
    if port == 0:
        raise ValueError("has port 0; give a port from 1 to 65535")
    if parts.fragment or not re.fullmatch(r"/?[0-9]*", parts.path):
        raise ValueError(
            "does not end with a database number; give redis://HOST:PORT/DB, where DB is 0 unless you know better"
        )


def check_prefix(prefix: str) -> str:
    """A key prefix: no braces, which would move keys to other slots, no wildcards, which would widen an ACL."""
    if not _KEY_PREFIX.fullmatch(prefix):
        raise ValueError(
            f"is {shown(prefix)}, which cannot stand before hash tags and in ACL patterns; "
            "give 1 to 64 of A-Z a-z 0-9 . _ : - that neither begin nor end with a dot or a colon"
        )
    return prefix


def check_id(given: str) -> str:
    """An id of a component or a replica."""
    if not _ID.fullmatch(given):
        raise ValueError(
            f"is {shown(given)}, which is no id; give 1 to 128 of A-Z a-z 0-9 . _ @ - without a dot in front"
        )
    return given


def lowered(given: object) -> object:
    """Text in lower case, so that DEBUG and debug are one word; anything else as it is."""
    return given.lower() if isinstance(given, str) else given


def own_replica_id() -> str:
    """`<host>-<4 random>`: replicas of one host differ, and each start of one is a new replica."""
    host = re.sub(r"[^A-Za-z0-9._@-]", "-", os.uname().nodename).lstrip(".")[:120] or "host"
    letters = string.ascii_lowercase + string.digits
    return f"{host}-{''.join(secrets.choice(letters) for _ in range(4))}"
