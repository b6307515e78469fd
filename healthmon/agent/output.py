"""The child's output on its way to ours: passed through byte for byte, with the last lines kept.

One pipe each for standard output and error, for all starts of the child: what a former child left running may write on,
and nobody waits for it. Each has a thread, since to write to a terminal or a pipe may take as long as its reader likes;
it then holds back the child, as it would without us, and nothing else.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import re
import select
import struct
import termios
import threading
from collections import deque
from contextlib import suppress
from typing import Final

import anyio

CHUNK_BYTES: Final = 65_536
LINES_MAX: Final = 20
LINE_CHARACTERS_MAX: Final = 512
_LINE_BYTES_MAX: Final = 4 * LINE_CHARACTERS_MAX
TEXT_BYTES_MAX: Final = 4096
LOOK_S: Final = 0.005


class Output:
    """Passes on what the child writes. `out` and `err` are the descriptors to give it.

    It keeps 20 lines of 512 characters each, whatever comes. When nobody reads ours any more, what comes is dropped,
    and the child goes on.
    """

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=LINES_MAX)
        self._changing = threading.Lock()
        self._pattern: re.Pattern[str] | None = None
        self._seen: anyio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._passages = (_Passage(self, 1), _Passage(self, 2))
        self.out, self.err = (passage.write for passage in self._passages)

    def begin(self) -> None:
        """Forget the lines that were kept: another child starts."""
        with self._changing:
            self._lines.clear()
            self._pattern = self._seen = None
        for passage in self._passages:
            passage.begun = b""

    def watch_for(self, pattern: re.Pattern[str]) -> anyio.Event:
        """Set when a line to come has the pattern in its first 512 characters, also one that is not ended yet."""
        seen = anyio.Event()
        with self._changing:
            self._pattern, self._seen, self._loop = pattern, seen, asyncio.get_running_loop()
        return seen

    async def settled(self, within_s: float) -> None:
        """Returns when all that was written so far is passed on, or after that time."""
        with anyio.move_on_after(within_s):
            while not all(passage.idle for passage in self._passages):  # noqa: ASYNC110  # a pipe can only be asked
                await anyio.sleep(LOOK_S)

    def lines(self) -> list[str]:
        """The last lines, the oldest first, of both together; one that was not ended is among them."""
        with self._changing:
            kept = list(self._lines)
        kept += [passage.begun for passage in self._passages if passage.begun]
        return [_shown(line) for line in kept[-LINES_MAX:]]

    def keep(self, lines: list[bytes]) -> None:
        """For the threads: lines that were read, ended."""
        if lines:
            with self._changing:
                self._lines.extend(lines)
        self.look_at(lines)

    def look_at(self, lines: list[bytes]) -> None:
        """For the threads: tell who watches for a line."""
        pattern, seen, loop = self._pattern, self._seen, self._loop
        if pattern is None or seen is None or loop is None:
            return
        if any(pattern.search(_shown(line)) for line in lines):
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(seen.set)
            self._pattern = None

    @property
    def watched(self) -> bool:
        return self._pattern is not None


class _Passage:
    """One pipe and its thread. The write end stays open here, so that the thread never sees an end but our own."""

    def __init__(self, output: Output, target: int) -> None:
        self._output = output
        self._target: int | None = target
        self._read, self.write = os.pipe()
        self._busy = False
        self.begun = b""
        threading.Thread(target=self._pass_on, name="healthmon-output", daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be passed on."""
        waiting = struct.unpack("i", fcntl.ioctl(self._read, termios.FIONREAD, b"\0\0\0\0"))[0]
        return waiting == 0 and not self._busy

    def _pass_on(self) -> None:
        while True:
            # Busy before the pipe is emptied: whoever sees it empty and us idle may believe that.
            chunk = self._wait()
            self._note(chunk)
            self._write(chunk)
            self._busy = False

    def _wait(self) -> bytes:
        readable = select.poll()
        readable.register(self._read, select.POLLIN)
        readable.poll()
        self._busy = True
        return os.read(self._read, CHUNK_BYTES)

    def _note(self, chunk: bytes) -> None:
        """Keep the last lines of a chunk: most of a flood is never looked at, unless a line is waited for."""
        head, ended, rest = chunk.partition(b"\n")
        first = (self.begun + head[:_LINE_BYTES_MAX])[:_LINE_BYTES_MAX]
        if not ended:
            self.begun = first
            self._output.look_at([first])
            return
        if self._output.watched:
            others = rest.split(b"\n")
        else:
            others = rest.rsplit(b"\n", LINES_MAX + 1)
            others = others[-LINES_MAX - 1 :]  # what is before holds all the earlier lines in one piece
        *lines, begun = (line[:_LINE_BYTES_MAX] for line in others)
        self.begun = begun
        self._output.keep([first, *lines])
        if begun:
            self._output.look_at([begun])

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest and self._target is not None:
            try:
                rest = rest[os.write(self._target, rest) :]
            except BlockingIOError:  # somebody else made our output non-blocking
                writable = select.poll()
                writable.register(self._target, select.POLLOUT)
                writable.poll()
            except OSError:  # nobody reads any more
                self._target = None


class OwnLines(io.TextIOBase):
    """Standard error for our own log lines: one for which there is no room is lost, and never waited for.

    Whoever reads the child's output may stop reading, and must not stop us with it.
    """

    def write(self, text: str) -> int:
        """One line, of which at most what a pipe takes whole is written."""
        room = select.poll()
        room.register(2, select.POLLOUT)
        with suppress(OSError):
            if room.poll(0):
                os.write(2, text.encode("utf-8", "replace")[: select.PIPE_BUF])
        return len(text)


def bounded(lines: list[str]) -> str:
    """The last of the lines that fit into 4 KiB, joined; they hold no line break of their own."""
    text = "\n".join(lines).encode()
    if len(text) <= TEXT_BYTES_MAX:
        return text.decode()
    kept = text[-TEXT_BYTES_MAX:]
    return kept[kept.find(b"\n") + 1 :].decode("utf-8", "ignore")


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")[:LINE_CHARACTERS_MAX]
