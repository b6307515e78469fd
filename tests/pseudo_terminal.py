"""A program on a terminal of its own, and what a person in front of it sees: enough of a VT100, and no more."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from unicodedata import east_asian_width

import anyio

from tests.waiting import eventually

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


class Screen:
    """What is on the screen. `spills`: how often a line was wrapped or the screen scrolled since it was last drawn from
    its upper left corner, which no full screen should ever do.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.alternate, self.cursor = False, True
        self.spills = 0
        self.colours: set[str] = set()
        self._rest = ""
        self._clear()

    def _clear(self) -> None:
        self._cells = [[" "] * self.columns for _ in range(self.lines)]
        self._x = self._y = 0

    @property
    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self._cells)

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._clear()

    def feed(self, text: str) -> None:
        """What the program wrote."""
        text, self._rest = self._rest + text, ""
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self._put(text[at])
                at += 1
            elif match := _SEQUENCE.match(text, at):
                self._obey(match[1], match[2])
                at = match.end()
            elif re.fullmatch(r"\x1b(\[[?0-9;]*)?", text[at:]):
                self._rest = text[at:]  # the end of it is still to come
                return
            else:
                at += 2

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self._x = 0
        elif letter == "\n":
            self._down()
        elif letter == "\b":
            self._x = max(0, self._x - 1)
        elif letter.isprintable():
            width = 2 if east_asian_width(letter) in "WF" else 1
            if self._x + width > self.columns:
                self.spills += self.alternate
                self._x = 0
                self._down()
            self._cells[self._y][self._x] = letter
            self._x += width

    def _down(self) -> None:
        self._y += 1
        if self._y == self.lines:
            self.spills += self.alternate
            self._y -= 1
            self._cells = [*self._cells[1:], [" "] * self.columns]

    def _obey(self, given: str, letter: str) -> None:
        if letter == "H":
            self.spills = 0
            row, _, column = given.partition(";")
            self._y, self._x = int(row or 1) - 1, int(column or 1) - 1
        elif letter == "m":
            self.colours.update(each for each in given.split(";") if each not in ("", "0"))
        elif given == "?1049":
            self.alternate = letter == "h"
            self._clear()
        elif given == "?25":
            self.cursor = letter == "h"
        elif letter in ("C", "D"):
            self._x = min(self.columns - 1, max(0, self._x + int(given or 1) * (1 if letter == "C" else -1)))
        elif letter == "K":
            self._cells[self._y][self._x :] = [" "] * (self.columns - self._x)
        elif letter == "J":
            self._clear()


class PseudoTerminal:
    """A program in a session of its own on a terminal of this size. At the end it is killed, if it still lives."""

    def __init__(self, words: Sequence[str], *, size: tuple[int, int] = (80, 24), **environment: str) -> None:
        self._ours, self._theirs = pty.openpty()
        self._set_size(*size)
        self.screen = Screen(*size)
        self.before = self.settings
        self.process = subprocess.Popen(
            words,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={**os.environ, "TERM": "xterm", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # no other thread runs here
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._theirs)
        self._reader.join(10)
        os.close(self._ours)

    @property
    def settings(self) -> list[Any]:
        """Echo, modes and special keys of the terminal."""
        return termios.tcgetattr(self._theirs)

    @property
    def text(self) -> str:
        return self.screen.text

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(columns, lines)
        self._set_size(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def shows(self, *pieces: str, within_s: float = 15.0) -> str:
        """The screen, as soon as all of these are on it."""

        def seen() -> str:
            text = self.text
            missing = [piece for piece in pieces if piece not in text]
            assert not missing, f"{missing} not in\n{text}"
            assert not self.screen.spills, f"wrapped or scrolled:\n{text}"
            return text

        return anyio.run(eventually, seen, within_s)

    def shows_no(self, piece: str, within_s: float = 15.0) -> None:
        """The screen without this."""
        anyio.run(eventually, lambda: piece not in self.text, within_s)

    def ends(self, within_s: float = 10.0) -> int:
        """The exit code, when all that was written has been read."""
        code = self.process.wait(within_s)
        anyio.run(eventually, lambda: not self.screen.alternate, within_s)
        return code

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = os.read(self._ours, 65_536)
            except OSError:  # the other end is closed
                return
            if not data:
                return
            self.screen.feed(decoder.decode(data))
