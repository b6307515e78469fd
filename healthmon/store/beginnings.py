"""Ids of components by how they begin, in one short blocking look: for a shell that completes a word."""

from __future__ import annotations

from typing import Any

from healthmon import clock
from healthmon.store.client import open_sync, store_errors
from healthmon.store.keys import Keys

# So many members are looked at a step; a fleet of ten thousand takes ten.
_STEP = 1000


def ids_that_begin(url: str, keys: Keys, beginning: str, *, most: int, within_s: float) -> list[str]:
    """At most `most` ids that begin so, in their order; of a large fleet those that are found in time.

    Raises StoreUnavailable, NotPermitted and ConfigurationError.
    """
    until_s = clock.monotonic_s() + within_s
    if not all(c.isalnum() or c in "._@-" for c in beginning):
        return []  # no id has other letters, and to Redis some of them mean a pattern
    connection = open_sync(url, name="completion", timeout_s=within_s)
    found: set[str] = set()
    cursor = b"0"
    try:
        with store_errors():
            while len(found) < most and clock.monotonic_s() < until_s:
                connection.send_command("ZSCAN", keys.components, cursor, "MATCH", f"{beginning}*", "COUNT", _STEP)
                reply: Any = connection.read_response()
                cursor = bytes(reply[0])
                found.update(member.decode() for member in reply[1][::2])
                if cursor == b"0":
                    break
    finally:
        connection.disconnect()
    return sorted(found)[:most]
