"""What `up` shows: one line a happening, in the order in which they become known."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from healthmon import clock
from healthmon.core.event import EventType
from healthmon.store.codec import read_time_ms
from healthmon.views.happenings import happening_of
from healthmon.views.states import look_of
from healthmon.views.terminal import Cell, Terminal, terminal_for
from healthmon.views.words import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from healthmon.store.reading import StreamEntry

_WHO_WIDTH: Final = 12


class Screen:
    """Prints to stdout. A line that is too long for the terminal loses first the brackets at its end, then words.

    How wide that is, is asked anew for each line: windows are made wider, most of all when lines are cut.
    """

    def __init__(self, terminal: Terminal | None = None) -> None:
        self._given = terminal

    @property
    def _terminal(self) -> Terminal:
        return self._given or _own_terminal()

    def say(self, who: str, what: str) -> None:
        """A happening of a process, now."""
        self._print(round(clock.unix_s() * 1000), Cell("·", "none"), who, Cell(what))

    def warn(self, who: str, what: str) -> None:
        """What a process complains of, now."""
        self._print(round(clock.unix_s() * 1000), Cell("!", "warn"), who, Cell(what, "warn"))

    def tell(self, entry: StreamEntry, pids: Mapping[str, int]) -> None:
        """An event, at the time at which it happened. `pids`: of the replicas, by their names."""
        fields = entry.fields
        at_ms = read_time_ms(fields.get("at", "")) or entry.ms
        happening = happening_of(fields)
        if fields.get("type") == EventType.LEADER:
            what = Cell(f"leads{_of_pid(pids.get(happening.who))}: {happening.why}", "busy")
        else:
            look = look_of(happening.state)
            what = Cell(happening.sentence, look.tone if happening.state and look.order else None)
        self._print(at_ms, self._terminal.mark(happening.state), happening.who, what)

    def show(self, lines: Sequence[str]) -> None:
        """Lines that are no happening."""
        for line in lines:
            self._put(self._terminal.plain(line))

    def _print(self, at_ms: int, mark: Cell, who: str, what: Cell) -> None:
        terminal = self._terminal
        shape = terminal.plain(mark.text)
        time = moment(at_ms, at_ms)
        width = 2 if terminal.unicode else 3  # of a shape and what is behind it: `!!` is one
        head = f"{time} {shape:<{width}}{terminal.plain(who):<{_WHO_WIDTH}} "
        text = _fitting(terminal, what.text, len(head))
        painted = f"{terminal.paint(mark)}{' ' * (width - len(shape))}"
        rest = terminal.paint(Cell(text, what.tone))
        self._put(f"{time} {painted}{terminal.plain(who):<{_WHO_WIDTH}} {rest}")

    @staticmethod
    def _put(line: str) -> None:
        print(line, flush=True)  # noqa: T201  # the screen is what this is for


class _Complaints(logging.Handler):
    """What is logged in this process from warning on, as lines of the screen."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        failed = f" ({record.exc_info[1]!r})" if record.exc_info else ""
        self._screen.warn("up", f"{record.levelname.lower()}: {record.getMessage()}{failed}")


@contextmanager
def logged_to(screen: Screen) -> Iterator[None]:
    """What this process itself complains of stands among the happenings, not bare between them."""
    complaints = _Complaints(screen)
    logging.getLogger().addHandler(complaints)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(complaints)


def _fitting(terminal: Terminal, text: str, taken: int) -> str:
    text, width = terminal.plain(text), terminal.width
    if not width or taken + len(text) <= width:
        return text
    if text.endswith(")"):
        text = text[: text.rfind(" (")]
    if taken + len(text) <= width:
        return text
    return text[: max(0, width - taken - 2)].rpartition(" ")[0] + "..."


def _of_pid(pid: int | None) -> str:
    return f" (pid {pid})" if pid else ""


def _own_terminal() -> Terminal:
    """What stdout can show; a letter that its encoding lacks becomes a question mark instead of an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return terminal_for(
        os.environ,
        is_tty=sys.stdout.isatty(),
        encoding=sys.stdout.encoding or "",
        columns=shutil.get_terminal_size(fallback=(0, 0)).columns,  # 0, and nothing is cut, where nobody knows
    )
