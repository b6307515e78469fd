"""Where the server is: left for the user's other commands while it runs, and taken away when it ends."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from healthmon.errors import ConfigurationError, HealthmonError
from healthmon.store.client import open_sync, shown, store_errors
from healthmon.store.runtime_folder import folder, read_url, remove_url, write_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from healthmon.up.screen import Screen

ANSWER_S = 0.25


@contextmanager
def left_for_commands(url: str, screen: Screen) -> Iterator[bool]:
    """The URL is in the user's runtime folder inside the block; whether it could be left there."""
    first = read_url()
    if first and first != url and _answers(first):
        screen.warn(
            "up", f"other commands go to the `up` that was started first, at {shown(first)}: use --redis-url {url}"
        )
        yield False
        return
    try:
        write_url(url)
    except ConfigurationError as error:
        screen.warn("up", f"other commands won't find this server: {error}")
        yield False
        return
    try:
        yield True
    finally:
        take_away(url)


def take_away(url: str) -> None:
    """Remove the URL if it is still the one that was left, and the folder if nothing else is in it. Never raises."""
    remove_url(url)
    with suppress(OSError):
        folder().rmdir()


def _answers(url: str) -> bool:
    """Whether a server is still there; asked once, for at most a quarter of a second."""
    connection = open_sync(url, name="up", timeout_s=ANSWER_S)
    try:
        with store_errors():
            connection.send_command("PING")
            return bool(connection.read_response() == b"PONG")
    except HealthmonError:
        return False
    finally:
        connection.disconnect()
