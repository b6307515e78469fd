"""The one screen of `healthmon top`: what is wrong, which, since when, why, what comes next, and whether to trust it.

Pure: what was read goes in with the size of the terminal, lines come out: never more than it has, and none wider, on
any of 54 columns or more; on a narrower one whoever shows them cuts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from healthmon.core.component import HealthState
from healthmon.views.happenings import happening_of
from healthmon.views.picture import Freshness, headline, time_of
from healthmon.views.prospect import prospect
from healthmon.views.states import PROBLEMS, WORST_FIRST
from healthmon.views.terminal import Cell, Terminal
from healthmon.views.words import ago, columns, duration, moment, number, plural, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from healthmon.views.states import Tone

# From this width on a row says everything on one line; below, what is wrong goes under it.
WIDE: Final = 112
_WIDTHS: Final = {"STATE": 12, "FOR": 6, "LAST BEAT": 9}
_ID: Final = (12, 24, 32)  # least, most, most on a wide terminal
_ROLE: Final = (4, 15, 16)
_NEXT_LEAST: Final = 24
_ROLE_LINES: Final = 2
_LIST_LEAST: Final = 7  # lines that the list has at least, with its title, its head and the keys under it
_TALL: Final = 36  # from here on there is room for more of what happened
_RECENT: Final = (3, 8)
_UNDER: Final = " " * 6
SHOWN_PLAIN: Final = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A component's stored record, and since when it is in its state."""

    record: Mapping[str, str]
    since_ms: int


@dataclass(frozen=True, slots=True)
class Link:
    """The way to the data. `age_ms`: since the last answer; `late`: an answer is overdue; `lost_ms`: for how long there
    has been none at all, 0 while there is a way; `why`: when it is another reason than that nobody answers.
    """

    age_ms: int = 0
    late: bool = False
    lost_ms: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """What is known at `now_ms`, the server's clock. `rows`: everybody who is looked for, the worst first; `fresh`: the
    whole records of those that were shown last. `recent`: events as (ms, fields), the newest first.
    """

    now_ms: int = 0
    prefix: str = ""
    leader: str = ""
    freshness: Freshness = field(default_factory=lambda: Freshness(0, 0, led=True))
    counts: Mapping[str, int] = field(default_factory=dict)
    braked_ms: int = 0
    rows: Sequence[Row] = ()
    fresh: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    roles: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    recent: Sequence[tuple[int, Mapping[str, str]]] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Focus:
    """What the person looks at. `detail`: lines instead of the list; `typed`: a search that is being typed."""

    first: int = 0
    selected: int = 0
    search: str = ""
    problems_only: bool = False
    detail: Sequence[str] | None = None
    typed: str | None = None
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """The screen: its lines, and which rows (from `first` on, `count` of them) are on it."""

    lines: list[str]
    first: int
    count: int


def frame(screen: Terminal, board: Board, focus: Focus, link: Link, height: int) -> Frame:
    """The screen for a terminal of this height. The selected row is on it."""
    stale = bool(link.lost_ms) or not board.freshness.led
    head, foot = _head(screen, board, link), [_keys(screen, focus)]
    if focus.detail is not None:
        body = list(focus.detail)[: max(0, height - len(head) - 1)]
        lines = [*head, *body]
        return Frame([*_filled(lines, height - 1), *foot][:height], focus.first, 0)
    tail = _tail(screen, board, _RECENT[height >= _TALL])
    if height - len(head) - len(tail) < _LIST_LEAST:  # who is in trouble comes before what happened
        tail = []
    small = height - len(head) < _LIST_LEAST
    head = head[: max(1, height - _LIST_LEAST)] if small else head
    table = _Table(screen, board, stale=stale or link.late)
    first, count = table.window(focus, max(1, height - len(head) - len(tail) - len(foot) - 2 * (not small)))
    rows = [line for n in range(first, first + count) for line in table.lines(n, marked=n == focus.selected)]
    listed = [table.head(), *rows] if rows else ["", screen.cut(f"  {_nothing(board, focus)}", screen.width)]
    body = listed[1:] if small else [_title(screen, board, focus, first, count), *listed]
    lines = _filled([*head, *body][: height - len(tail) - 1], height - len(tail) - 1)
    return Frame([*lines, *tail, *foot][-height:], first, count)


def plain_frame(screen: Terminal, board: Board, focus: Focus) -> Frame:
    """The screen once, for a file or a pipe: as many lines as it takes, no keys."""
    table = _Table(screen, board, stale=not board.freshness.led)
    count = min(SHOWN_PLAIN, len(board.rows))
    rows = [line for n in range(count) for line in table.lines(n, marked=False)]
    head = _head(screen, board, Link())
    title = _title(screen, board, focus, 0, count)
    listed = [table.head(), *rows] if rows else [f"  {_nothing(board, focus)}"]
    lines = [*head, title, *listed, *_tail(screen, board, _RECENT[1])]
    return Frame([line.rstrip() for line in lines], 0, count)


def _filled(lines: list[str], height: int) -> list[str]:
    return [*lines, *[""] * max(0, height - len(lines))]


# -- whether anything is wrong, and whether this can be trusted --------------------------------------------------------


def _head(screen: Terminal, board: Board, link: Link) -> list[str]:
    name = "healthmon" if board.prefix in ("", "healthmon") else f"healthmon · {board.prefix}"
    trust = _trust(board, link)
    left = Cell(name, None, "outline")
    room = screen.width - columns(screen.plain(name)) - 2
    if screen.width and columns(screen.plain(trust.text)) > room:
        lines = [screen.paint(left), screen.paint(Cell(screen.cut(trust.text, screen.width), trust.tone, trust.weight))]
    else:
        gap = " " * (room - columns(screen.plain(trust.text)) + 2 if screen.width else 2)
        lines = [screen.paint(left) + gap + screen.paint(trust)]
    wrong = any(board.counts.get(state, 0) for state in PROBLEMS)
    as_of = f" (as of {moment(board.now_ms, board.now_ms)})" if link.lost_ms or link.late else ""
    sentence = headline(board.counts) + as_of
    lines.append(screen.paint(Cell(screen.cut(sentence, screen.width), "bad" if wrong else None, "outline")))
    if any(board.counts.values()):
        lines += screen.flowing([[cell] for cell in screen.count_cells(board.counts)])
    if board.braked_ms:
        since = when(board.braked_ms, board.now_ms)
        told = screen.cut(f"  mass failure since {since}: deaths and restarts wait", screen.width)
        lines.append(screen.paint(Cell(told, "warn")))
    return [*lines, ""]


def _trust(board: Board, link: Link) -> Cell:
    """Live, or why not: no leader, no answer yet, no Redis. Each in words of its own."""
    if link.lost_ms:
        why = f": {link.why}" if link.why else ""
        return Cell(f"Redis unreachable for {duration(link.lost_ms)}{why}; trying again", "bad", "inverted")
    if link.late:
        return Cell(f"Reconnecting… data is {duration(link.age_ms)} old", "warn")
    fresh = board.freshness
    if not fresh.led and fresh.as_of_ms:
        leaderless_ms = max(0, fresh.now_ms - fresh.as_of_ms)
        return Cell(f"No leader for {duration(leaderless_ms)}: states below are frozen", "bad", "inverted")
    if remark := fresh.remark():
        return Cell(remark, "warn")
    return Cell(f"{board.leader} · live {moment(board.now_ms, board.now_ms)}", "ok")


# -- the list ----------------------------------------------------------------------------------------------------------


def _title(screen: Terminal, board: Board, focus: Focus, first: int, count: int) -> str:
    total, found = sum(board.counts.values()), len(board.rows)
    which = f"search {focus.search}" if focus.search else "all"
    if focus.problems_only:
        which = f"{which}, problems only" if focus.search else "only problems"
    place = f"{number(first + 1)}-{number(first + count)} of {number(found)}" if count else "none"
    told = f"{which}: {place}" + (f" among {number(total)}" if found != total else "")
    remark = f"; {board.remark}" if board.remark else ""
    return screen.paint(Cell(screen.cut(f"The worst first, {told}{remark}", screen.width), "none"))


def _nothing(board: Board, focus: Focus) -> str:
    """Why the list is empty."""
    total = sum(board.counts.values())
    if not total:
        return "no components yet: `healthmon beat ID` sends a first heartbeat"
    if focus.search:
        return f"nothing found among {plural(total, 'component')}"
    return "nothing needs attention"


class _Table:
    """The rows, with columns that keep their widths while one moves through the list."""

    def __init__(self, screen: Terminal, board: Board, *, stale: bool) -> None:
        self._screen = screen
        self._board = board
        self._stale = stale
        self._wide = not screen.width or screen.width >= WIDE
        self._state = _WIDTHS["STATE"] + (not screen.unicode)
        used = 2 + self._state + _WIDTHS["FOR"] + _WIDTHS["LAST BEAT"] + 4 * 2
        room = screen.width - used if screen.width else 1 << 30
        self._id = self._width(_ID, room - 2 - _ROLE[0], (row.record["id"] for row in board.rows))
        self._role = self._width(_ROLE, room - 2 - self._id, (row.record.get("role", "") for row in board.rows))
        self._left = max(0, room - self._id - self._role - 2 * 2) if screen.width else 0

    def _width(self, bounds: tuple[int, int, int], room: int, texts: Iterable[str]) -> int:
        least, most, most_wide = bounds
        return max(least, min(max(map(len, texts), default=0), most_wide if self._wide else most, room))

    def window(self, focus: Focus, room: int) -> tuple[int, int]:
        """The first row and how many fit into so many lines, the selected one among them."""
        last = len(self._board.rows) - 1
        if last < 0:
            return 0, 0
        selected = min(max(0, focus.selected), last)
        first = min(focus.first, selected)
        taken = sum(self._height(n) for n in range(max(first, selected - room), selected + 1))
        first = max(first, selected - room)
        while taken > room and first < selected:
            taken -= self._height(first)
            first += 1
        count = selected - first + 1
        while first + count <= last and taken + self._height(first + count) <= room:
            taken += self._height(first + count)
            count += 1
        return first, count

    def head(self) -> str:
        """The names of the columns."""
        names = [f"{'STATE':<{self._state}}", f"{'ID':<{self._id}}", f"{'ROLE':<{self._role}}", "FOR   ", "LAST BEAT"]
        if self._wide:
            reason, follows = self._shares()
            names += [f"{'REASON':<{reason}}", "NEXT"] if follows else ["REASON"]
        return self._screen.paint(Cell(self._screen.cut("  " + "  ".join(names), self._screen.width), "none"))

    def lines(self, n: int, *, marked: bool) -> list[str]:
        """A row: one line on a wide terminal; else a second one with what is wrong and what comes next."""
        record, since_ms, now_ms = self._record(n), self._board.rows[n].since_ms, self._board.now_ms
        cells = [
            (self._screen.state(record.get("state", "")), self._state),
            (Cell(record["id"], None, "outline" if marked else "plain"), self._id),
            (Cell(record.get("role", "")), self._role),
            (Cell(duration(now_ms - since_ms, short=True) if since_ms else ""), _WIDTHS["FOR"]),
            (Cell(self._last_beat(n)), _WIDTHS["LAST BEAT"]),
        ]
        if self._stale:
            cells = [(Cell(cell.text, "none"), width) for cell, width in cells]
        mark = self._screen.paint(Cell("▸ " if marked else "  "))
        line = mark + "  ".join(self._screen.padded(cell, width) for cell, width in cells)
        reason, follows = self._told(record)
        if self._wide:
            return [f"{line}  {self._beside(reason, follows)}".rstrip()]
        under = [self._joined(reason, follows)] if self._height(n) > 1 else []
        return [line.rstrip(), *under]

    def _record(self, n: int) -> Mapping[str, str]:
        row = self._board.rows[n]
        return self._board.fresh.get(row.record["id"], row.record)

    def _last_beat(self, n: int) -> str:
        """Nothing where the whole record has not been read yet."""
        record = self._board.fresh.get(self._board.rows[n].record["id"])
        return ago(time_of(record, "last_heartbeat"), self._board.now_ms, short=True) if record else ""

    def _told(self, record: Mapping[str, str]) -> tuple[str, str]:
        return record.get("reason", ""), prospect(record, self._board.now_ms)

    def _height(self, n: int) -> int:
        """A healthy row has nothing to say but that it is."""
        if self._wide:
            return 1
        record = self._record(n)
        return 2 if record.get("state") != HealthState.HEALTHY or prospect(record, self._board.now_ms) else 1

    def _shares(self) -> tuple[int, int]:
        """The widths of REASON and NEXT on a wide terminal."""
        longest = max((len(prospect(one, self._board.now_ms)) for one in self._board.fresh.values()), default=0)
        if not longest or not self._screen.width:
            return self._left, 0
        follows = min(max(longest, _NEXT_LEAST), self._left // 2)
        return self._left - follows - 2, follows

    def _beside(self, reason: str, follows: str) -> str:
        if not self._screen.width:
            return f"{reason}; {follows}" if follows else reason
        room, rest = self._shares()
        return self._screen.padded(Cell(reason), max(0, room)) + (
            f"  {self._screen.cut(follows, rest)}" if rest else ""
        )

    def _joined(self, reason: str, follows: str) -> str:
        """Of a reason that is too long the end is lost, not what comes next."""
        room = self._screen.width - len(_UNDER)
        if follows and columns(reason) + 2 + columns(follows) > room:
            follows = self._screen.cut(follows, max(room // 2, room - columns(reason) - 2))
            reason = self._screen.cut(reason, room - 2 - columns(follows))
        told = f"{reason}; {follows}" if follows else reason
        return _UNDER + self._screen.paint(Cell(self._screen.cut(told, room), "none" if self._stale else None))


# -- roles, and what happened ------------------------------------------------------------------------------------------


def _tail(screen: Terminal, board: Board, recent: int) -> list[str]:
    lines = []
    if board.roles:
        first, *rest = _role_lines(screen, board)
        lines += [f"Roles   {first[8:]}", *rest]
    for n, (at_ms, fields) in enumerate(board.recent[:recent]):
        happening = happening_of(fields)
        head = "Recent  " if not n else " " * 8
        mark = screen.mark(happening.state)
        time = moment(at_ms, board.now_ms)
        who = screen.cut(happening.who, 20)
        room = screen.width - 8 - len(time) - columns(who) - len(mark.text) - 3
        words = screen.cut(happening.sentence, room) if screen.width else screen.plain(happening.sentence)
        lines.append(f"{head}{time} {screen.paint(mark)} {who} {words}")
    return ["", *lines]


def _role_lines(screen: Terminal, board: Board) -> list[str]:
    """As many roles as two lines hold, the worst first, and how many more there are."""
    parts = [_role(screen, role, counts) for role, counts in _worst_roles(board.roles)]
    lines = screen.flowing(parts, indent=8)
    shown = min(len(parts), 2 * screen.width // 6)
    while len(lines) > _ROLE_LINES and screen.width and shown > 1:
        shown -= 1
        more = Cell(f"and {plural(len(parts) - shown, 'more role')}", "none")
        lines = screen.flowing([*parts[:shown], [more]], indent=8)
    return lines


def _worst_roles(roles: Mapping[str, Mapping[str, int]]) -> list[tuple[str, Mapping[str, int]]]:
    """Roles with the worst state first, then the larger ones."""

    def rank(item: tuple[str, Mapping[str, int]]) -> tuple[object, ...]:
        name, counts = item
        return (*(-counts.get(state, 0) for state in WORST_FIRST[:-1]), -sum(counts.values()), name)

    return sorted(roles.items(), key=rank)


def _role(screen: Terminal, role: str, counts: Mapping[str, int]) -> list[Cell]:
    """`api 118 ✔ 1 ✖`."""
    cells = [Cell(screen.cut(role or "(no role)", 20))]
    for state in reversed(WORST_FIRST):
        if counts.get(state):
            mark = screen.mark(state)
            cells += [Cell(" "), Cell(f"{number(counts[state])} {mark.text}", mark.tone, mark.weight)]
    return cells


def _keys(screen: Terminal, focus: Focus) -> str:
    tone: Tone = "none"
    if focus.typed is not None:
        text = f"search: {focus.typed}_"
        if focus.complaint:
            text, tone = f"{text}   {focus.complaint}", "bad"
        elif screen.width >= 80:
            text += "   (role:api state:dead host:web-03 score:<0.6 text; Enter, Esc)"
    elif focus.detail is not None:
        text = "Esc back   j k next and previous   q quit"
    else:
        problems = "f all" if focus.problems_only else "f only problems"
        clear = "   Esc clear search" if focus.search else ""
        text = f"q quit   {problems}   / search{clear}   j k move   Enter why"
    return screen.paint(Cell(screen.cut(text, screen.width), tone))
