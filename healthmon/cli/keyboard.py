"""Keys from a terminal, one by one and without echo; the terminal is put back whatever happens."""

from __future__ import annotations

import os
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_NAMED: Final = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x15": "clear",  # Ctrl-U
    "\x0c": "redraw",  # Ctrl-L
}
# A key's sequence that is cut in two by the network is whole again within so long.
_REST_S: Final = 0.05


def keys_of(text: str) -> Iterator[str]:
    """The keys that a terminal's letters stand for; a sequence that means nothing here is left out."""
    at = 0
    while at < len(text):
        end = _end(text, at)
        piece, at = text[at:end], end
        if name := _NAMED.get(piece):
            yield name
        elif piece.isprintable():
            yield piece


def _end(text: str, at: int) -> int:
    """Where the key that begins here ends. A sequence is ESC [ … letter or ~, or ESC O letter."""
    if text[at] != "\x1b" or text[at + 1 : at + 2] not in ("[", "O"):
        return at + 1
    end = at + 2
    while end < len(text) and text[at + 1] == "[" and not (text[end].isalpha() or text[end] == "~"):
        end += 1
    return min(end + 1, len(text))


def is_there() -> bool:
    """Whether stdin is a terminal that this process may read from."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False


@contextmanager
def without_echo() -> Iterator[None]:
    """Keys come at once and are not shown; Ctrl-C and Ctrl-Z keep their meaning. Put back at the end."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)  # what was typed last is not for the shell


async def keys() -> AsyncIterator[str]:
    """Every key as it is pressed, until the terminal is gone."""
    descriptor = sys.stdin.fileno()
    while data := await _some(descriptor):
        if data.endswith(b"\x1b") or (b"\x1b" in data and data[-1:] in b"[O;0123456789"):
            with anyio.move_on_after(_REST_S):
                data += await _some(descriptor)
        for key in keys_of(data.decode("utf-8", "ignore")):
            yield key


async def _some(descriptor: int) -> bytes:
    await anyio.wait_readable(descriptor)
    try:
        return os.read(descriptor, 1024)
    except OSError:  # the terminal was hung up
        return b""
