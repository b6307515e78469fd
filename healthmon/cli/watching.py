"""The terminal while `healthmon top` has it: the screen is drawn, keys are obeyed, signals put everything back."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

import anyio

from healthmon.cli import keyboard
from healthmon.cli.why import explained, told
from healthmon.errors import HealthmonError, Refused, StoreUnavailable, UnfitServer
from healthmon.views.board import Focus, Frame, frame
from healthmon.views.search import Query, parse_query
from healthmon.views.terminal import Terminal, terminal_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rich.live import Live

    from healthmon.cli.lookout import Lookout
    from healthmon.cli.session import Session

# Between two reads that events ask for: a thousand events a second are no thousand screens.
_PAUSE_S: Final = 0.1
_TICK_S: Final = 1.0
_TYPED_MAX: Final = 200
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGWINCH)
_BACK: Final = ("escape", "enter", "backspace", "h")
_STEPS: Final = {"j": 1, "down": 1, "k": -1, "up": -1}


class Glass:
    """The whole terminal as one changing screen, by rich's Live. What was there before comes back at the end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def take(self) -> None:
        """Take the terminal: another screen, no cursor, no echo."""
        from rich.console import Console
        from rich.live import Live

        console = Console(file=sys.stdout, color_system="standard", highlight=False, markup=False, emoji=False)
        live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        with ExitStack() as stack:
            if keyboard.is_there():
                stack.enter_context(keyboard.without_echo())
            stack.enter_context(live)
            self._live = live
            self._stack = stack.pop_all()

    def give_back(self) -> None:
        """Put the terminal back."""
        self._live = None
        self._stack.close()

    def show(self, lines: Sequence[str], size: tuple[int, int]) -> None:
        """These lines, and nothing else; what is wider than the screen is cut."""
        from rich.console import ConsoleDimensions
        from rich.text import Text

        if self._live is None:
            return
        self._live.console.size = ConsoleDimensions(*size)
        text = Text("\n", no_wrap=True, overflow="crop", end="").join(Text.from_ansi(line) for line in lines)
        self._live.update(text, refresh=True)


@dataclass
class Watching:
    """One person in front of the fleet. `run` returns the exit code."""

    here: Session
    lookout: Lookout
    interval_s: float
    search: str = ""
    problems_only: bool = False
    query: Query = field(default_factory=Query)
    first: int = 0
    selected: int = 0
    chosen: str = ""  # the id that the selection sticks to, once it was moved
    typed: str | None = None
    complaint: str = ""
    asked: str = ""  # whose why is shown
    detail: Sequence[str] | None = None
    shown: Sequence[str] = ()
    code: int = 0
    error: HealthmonError | None = None

    async def run(self) -> int:
        """Until q, SIGTERM or an error that trying again does not help. Raises that error."""
        self.query = parse_query(self.search)
        self._wake = anyio.Event()
        # Before the terminal is taken: a signal that nobody receives would end the process without giving it back.
        with anyio.open_signal_receiver(*_SIGNALS) as self._signals, Glass() as self._glass:
            self.draw()
            async with anyio.create_task_group() as group:
                self._scope = group.cancel_scope
                for work in (self._follow, self._look, self._tick, self._heed):
                    group.start_soon(self._guarded, work)
                if keyboard.is_there():
                    group.start_soon(self._guarded, self._keys)
        if self.error is not None:
            raise self.error
        return self.code

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """An error of one task ends all, and is told when the terminal is put back."""
        try:
            await work()
        except HealthmonError as error:
            self.error = self.error or error
            self._scope.cancel()

    # -- what happens by itself ----------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        await self.lookout.follow(self._look_soon)

    def _look_soon(self) -> None:
        self._wake.set()

    async def _look(self) -> None:
        while True:
            self._wake = anyio.Event()
            try:
                await self.lookout.look(self.shown)
                await self._explain()
            except UnfitServer:
                raise
            except StoreUnavailable as error:
                self.lookout.lose(error)
            before = list(self.shown)
            self.draw()
            if list(self.shown) != before and self.shown:
                continue  # others are on the screen now: their records are wanted, too
            with anyio.move_on_after(self.interval_s):
                await self._wake.wait()
                await anyio.sleep(_PAUSE_S)

    async def _explain(self) -> None:
        if not self.asked:
            return
        one, screen = self.asked, self._screen()[0]
        try:
            answer, _, remark = await explained(self.here, one)
            lines = told(screen, answer, wide=True)
            lines += ["", *screen.hanging([], remark)] if remark else []
        except StoreUnavailable:
            raise
        except HealthmonError as error:
            lines = [screen.plain(str(error))]
        if self.asked == one:
            self.detail = lines

    async def _tick(self) -> None:
        """While nothing is read, the age of the data goes on growing on the screen."""
        while True:
            await anyio.sleep(_TICK_S)
            link = self.lookout.link()
            if link.late or link.lost_ms:
                self.draw()

    async def _heed(self) -> None:
        """The terminal is given back before the process ends or sleeps."""
        async for number in self._signals:
            if number == signal.SIGWINCH:
                self.draw()
            elif number == signal.SIGTSTP:
                self._glass.give_back()
                os.kill(os.getpid(), signal.SIGSTOP)
                self._glass.take()
                self.draw()
                self._look_soon()
            else:
                self._end(128 + number)
                return

    def _end(self, code: int) -> None:
        self.code = code
        self._scope.cancel()

    # -- the screen ----------------------------------------------------------------------------------------------------

    def _screen(self) -> tuple[Terminal, int]:
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            size = shutil.get_terminal_size()
        columns, lines = size.columns or 80, size.lines or 24
        given = terminal_for(os.environ, is_tty=True, encoding=sys.stdout.encoding or "", columns=columns)
        return given, lines

    def draw(self) -> None:
        """The screen as things are known now."""
        screen, height = self._screen()
        rows = self.lookout.roll.ordered(self.query, problems_only=self.problems_only)
        if self.chosen:
            self.selected = next((n for n, row in enumerate(rows) if row.record["id"] == self.chosen), self.selected)
        self.selected = max(0, min(self.selected, len(rows) - 1))
        focus = Focus(
            first=self.first,
            selected=self.selected,
            search=self.search,
            problems_only=self.problems_only,
            detail=self.detail,
            typed=self.typed,
            complaint=self.complaint,
        )
        board = replace(self.lookout.board, rows=rows)
        drawn: Frame = frame(screen, board, focus, self.lookout.link(), height)
        if self.detail is None:
            self.first = drawn.first
            self.shown = [row.record["id"] for row in rows[drawn.first : drawn.first + drawn.count]]
            self.page = max(1, drawn.count - 1)
        self._glass.show(drawn.lines, (screen.width, height))

    # -- keys ----------------------------------------------------------------------------------------------------------

    async def _keys(self) -> None:
        async for key in keyboard.keys():
            self.press(key)
            self.draw()

    def press(self, key: str) -> None:
        """Do what a key says."""
        if self.typed is not None:
            self._type(key)
        elif key == "q":
            self._end(0)
        elif self.detail is not None and key in _BACK:
            self.detail, self.asked = None, ""
        elif key in _STEPS:
            self._move(_STEPS[key])
        elif self.detail is None:
            self._press_in_list(key)

    def _press_in_list(self, key: str) -> None:
        match key:
            case "page down" | " ":
                self._move(self.page)
            case "page up":
                self._move(-self.page)
            case "home" | "g":
                self.selected, self.first, self.chosen = 0, 0, ""
            case "end" | "G":
                self._move(1 << 30)
            case "f":
                self.problems_only = not self.problems_only
                self._look_soon()
            case "/":
                self.typed, self.complaint = self.search, ""
            case "escape" if self.search:
                self._search("")
            case "enter":
                self._ask()

    def _move(self, by: int) -> None:
        rows = self.lookout.roll.ordered(self.query, problems_only=self.problems_only)
        if rows:
            self.selected = max(0, min(self.selected + by, len(rows) - 1))
            self.chosen = rows[self.selected].record["id"]
        if self.detail is not None:
            self._ask()
        self._look_soon()

    def _ask(self) -> None:
        """Show why the selected one is in its state."""
        rows = self.lookout.roll.ordered(self.query, problems_only=self.problems_only)
        if rows:
            self.chosen = self.asked = rows[self.selected].record["id"]
            self.detail = [self.asked]
            self._look_soon()

    def _type(self, key: str) -> None:
        typed = self.typed or ""
        match key:
            case "enter":
                self._search(typed)
            case "escape":
                self.typed, self.complaint = None, ""
            case "backspace":
                self.typed, self.complaint = typed[:-1], ""
            case "clear":
                self.typed, self.complaint = "", ""
            case _ if len(key) == 1:
                self.typed, self.complaint = (typed + key)[:_TYPED_MAX], ""

    def _search(self, text: str) -> None:
        try:
            self.query = parse_query(text)
        except Refused as error:
            self.complaint = str(error)
            return
        self.search, self.typed, self.complaint = text.strip(), None, ""
        self.selected, self.first, self.chosen = 0, 0, ""
        self._look_soon()
