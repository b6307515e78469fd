"""Words on a terminal: colour and shapes where they can be shown, plain ASCII where not, tables that fit the width."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from healthmon.views.states import StateLook, look_of
from healthmon.views.words import columns, number, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthmon.views.states import Tone, Weight

# The sixteen colours that every terminal has and every theme makes readable; nothing is told by colour alone.
_TONES: Final[Mapping[Tone, str]] = {"ok": "32", "warn": "33", "bad": "31", "busy": "34", "none": "90"}
_WEIGHTS: Final[Mapping[Weight, str]] = {"plain": "", "inverted": ";7", "outline": ";1"}
_ASCII: Final = str.maketrans(
    {"→": "->", "←": "<-", "…": "...", "·": "-", "✔": "+", "✖": "X", "▲": "~", "◆": "#", "—": "-", "�": "?", "▸": "*"}
)
_NO_LOCALE: Final = ("", "C", "POSIX")
_COERCED: Final = ("C.UTF-8", "C.utf8", "UTF-8")
_LEAST: Final = 6  # no column gets narrower
# A last column with less room than this goes under its line instead.
_LAST_LEAST: Final = 24
_WRAP_LEAST: Final = 12
_UNDER: Final = 4
_UNIT: Final = re.compile(r"(ms|s|m|h|d|MB|%)\b")


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of a line with its tone; `None` is the terminal's own colour."""

    text: str
    tone: Tone | None = None
    weight: Weight = "plain"


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the place that is written to can show. `width` 0: lines are not cut, as in a file."""

    colour: bool = False
    unicode: bool = False
    width: int = 0

    def plain(self, text: str) -> str:
        """Text that this terminal can show."""
        if self.unicode:
            return printable(text)
        told = printable(text).translate(_ASCII)
        # A terminal that takes one letter for two would break the line; a file takes what it is given.
        return told.encode("ascii", "replace").decode() if self.width else told

    def paint(self, cell: Cell) -> str:
        """A cell with its colour."""
        text = self.plain(cell.text)
        if not self.colour or cell.tone is None or not text:
            return text
        return f"\x1b[{_TONES[cell.tone]}{_WEIGHTS[cell.weight]}m{text}\x1b[0m"

    def shape(self, look: StateLook) -> str:
        """The shape of a state, or its ASCII twin."""
        return look.shape if self.unicode else look.ascii

    def state(self, state: str) -> Cell:
        """A state's shape and word in its tone."""
        look = look_of(state)
        return Cell(f"{self.shape(look):<{1 if self.unicode else 2}} {look.word}", look.tone, look.weight)

    def mark(self, state: str) -> Cell:
        """A state's shape alone; a dot where there is no state."""
        if not state:
            return Cell("·", "none")
        look = look_of(state)
        return Cell(self.shape(look), look.tone, look.weight)

    def counts(self, counts: Mapping[str, int]) -> str:
        """`✖ 2 Dead   ✔ 9 Healthy`: the states that somebody is in."""
        return "   ".join(self.paint(cell) for cell in self.count_cells(counts))

    def count_cells(self, counts: Mapping[str, int]) -> list[Cell]:
        """The same as cells."""
        looks = [(look_of(state), count) for state, count in counts.items() if count]
        return [
            Cell(f"{self.shape(look)} {number(count)} {look.word}", look.tone, look.weight) for look, count in looks
        ]

    def flowing(self, parts: Sequence[Sequence[Cell]], *, gap: int = 3, indent: int = 2) -> list[str]:
        """Parts side by side, on as many indented lines as they need; none is broken."""
        lines: list[str] = []
        left = 0
        for part in parts:
            length = sum(columns(self.plain(cell.text)) for cell in part)
            text = "".join(self.paint(cell) for cell in part)
            if lines and (not self.width or gap + length <= left):
                lines[-1] += " " * gap + text
                left -= gap + length
            else:
                lines.append(" " * indent + text)
                left = self.width - indent - length
        return lines

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell | str]], *, under: bool = True) -> list[str]:
        """Rows under a head, columns as wide as they need, empty ones left out.

        Where the width does not suffice, the last column is wrapped, or goes under its line where next to nothing is
        left for it; with `under` off it is cut.
        """
        if not rows:
            return []
        cells = [[Cell(name, "none") for name in head]] if head else []
        cells += [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
        last = len(cells[0]) - 1
        used = [n for n in range(last) if any(row[n].text for row in cells[bool(head) :])]
        widths = [max(columns(self.plain(row[n].text)) for row in cells) for n in used]
        longest = max(len(self.plain(row[last].text)) for row in cells)
        left = self.width - sum(width + 2 for width in widths)
        stacked = under and self.width > 0 and left < min(_LAST_LEAST, longest)
        needed = sum(widths) + 2 * (len(widths) - 1) + (0 if under else _WRAP_LEAST)
        if self.width and needed > self.width:
            widths = self._narrowed(widths, self.width - (0 if stacked else _WRAP_LEAST + 2))
            left = max(self.width - sum(width + 2 for width in widths), _WRAP_LEAST)
        lines: list[str] = []
        for n, row in enumerate(cells):
            lines.append("  ".join(self.padded(row[at], width) for at, width in zip(used, widths, strict=True)))
            cell = row[last]
            if not stacked:
                told = self._wrapped(cell.text, left) if under else [self.cut(cell.text, left)]
                first, *rest = [self.paint(replace(cell, text=line)) for line in told]
                indent = sum(width + 2 for width in widths)
                lines[-1] += "  " * bool(widths) + first
                lines += [" " * indent + line for line in rest]
            elif n or not head:
                lines += [" " * _UNDER + line for line in self._wrapped(cell.text, self.width - _UNDER) if line]
        return [line.rstrip() for line in lines]

    def labelled(self, rows: Sequence[tuple[str, str]], *, indent: int = 2) -> list[str]:
        """`  label  words`, a line each, long words wrapped under themselves."""
        width = max((len(label) for label, _ in rows), default=0)
        return [
            line
            for label, words in rows
            for line in self.hanging([Cell(" " * indent + label.ljust(width), "none")], words)
        ]

    def hanging(self, head: Sequence[Cell], words: str) -> list[str]:
        """Cells, then words that are wrapped under their own beginning."""
        indent = sum(len(self.plain(cell.text)) + 2 for cell in head)
        first, *rest = self._wrapped(words, self.width - indent)
        line = "  ".join([*(self.paint(cell) for cell in head), first])
        return [line.rstrip(), *(" " * indent + each for each in rest)]

    def padded(self, cell: Cell, width: int) -> str:
        """A cell with its colour, cut or filled to this width."""
        text = self.cut(cell.text, width)
        return self.paint(Cell(text, cell.tone, cell.weight)) + " " * (width - columns(text))

    def cut(self, text: str, most: int) -> str:
        """Text of at most this width, with dots for what is left out; uncut where lines are not cut."""
        text = self.plain(text)
        if not self.width or columns(text) <= most:
            return text
        end = "…" if self.unicode else "..."
        kept = text[: max(0, most - len(end))]
        while columns(kept) > most - len(end) and kept:
            kept = kept[:-1]
        return (kept.rstrip() + end)[: max(0, most)]

    def _narrowed(self, widths: Sequence[int], room: int) -> list[int]:
        """The widths with the widest made narrower until all have room."""
        narrowed = list(widths)
        while narrowed and sum(narrowed) + 2 * (len(narrowed) - 1) > room and max(narrowed) > _LEAST:
            narrowed[narrowed.index(max(narrowed))] -= 1
        return narrowed

    def _wrapped(self, text: str, most: int) -> list[str]:
        text = self.plain(text)
        if not self.width or len(text) <= most or most < _WRAP_LEAST:
            return [text]
        at = text.rfind(" ", 0, most + 1)
        if _UNIT.match(text, at + 1) and text[at - 1].isdigit():
            at = text.rfind(" ", 0, at)  # a number and its unit stay together
        at = at if at > most // 2 else most
        return [text[:at].rstrip(), *self._wrapped(text[at:].lstrip(), most)]


def terminal_for(environment: Mapping[str, str], *, is_tty: bool, encoding: str, columns: int) -> Terminal:
    """What can be shown: NO_COLOR, TERM and being a terminal decide on colour, the locale on shapes.

    Python itself sets LC_CTYPE to a UTF-8 one where the locale is C [PEP 538], so that alone proves nothing.
    """
    dumb = environment.get("TERM", "") == "dumb"
    coerced = environment.get("LANG", "") in _NO_LOCALE and environment.get("LC_CTYPE") in _COERCED
    locale = (
        environment.get("LC_ALL") or ("" if coerced else environment.get("LC_CTYPE")) or environment.get("LANG", "")
    )
    utf_8 = "UTF8" in locale.upper().replace("-", "") and encoding.lower().replace("-", "") == "utf8"
    return Terminal(
        colour=is_tty and not dumb and not environment.get("NO_COLOR"),
        unicode=utf_8 and not dumb,
        width=columns if is_tty else 0,
    )
