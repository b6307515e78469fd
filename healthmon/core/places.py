"""Where each key of a TOML text stands. `tomllib` reads values but tells no places, and what is said of a file must.

An index beside `tomllib` instead of another parser: values and syntax stay the standard library's, and a test compares
the paths found here with those that it finds. (tomlkit keeps the text of a document, but tells no lines of its keys.)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

# The keys down to a value, and the number of an item within an array.
Path = tuple[str | int, ...]

_GAP: Final = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_KEY: Final = re.compile(r'[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_DOT: Final = re.compile(r"[ \t]*(\.)?[ \t]*")
# A closing triple may have up to two quotes in front that belong to the text.
_STRING: Final = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_PLAIN: Final = re.compile(r"[^,\]}#\n]+")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, both from 1, as editors count them."""

    line: int
    column: int


class Places:
    """The places of a text, which are looked for only when the first is asked for: most files have nothing wrong."""

    def __init__(self, text: str) -> None:
        self._text = text

    def of(self, path: Path) -> Place | None:
        """Where a path stands, None where it doesn't."""
        return self._found.get(path)

    @cached_property
    def _found(self) -> Mapping[Path, Place]:
        return places_of(self._text)


def places_of(text: str) -> Mapping[Path, Place]:
    """Path -> where its key, or the item of an array, first stands. `text` is one that `tomllib` takes.

    Raises RecursionError where `tomllib` does, for arrays within arrays without end.
    """
    index = _Index(text)
    index.read()
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    places, line = {}, 0
    for path, at in sorted(index.found.items(), key=lambda one: one[1]):
        while line + 1 < len(starts) and starts[line + 1] <= at:
            line += 1
        places[path] = Place(line + 1, at - starts[line] + 1)
    return places


@dataclass(slots=True)
class _Index:
    """One pass over the text; `at` is how far it came, `found` the first offset of each path."""

    text: str
    at: int = 0
    found: dict[Path, int] = field(default_factory=dict)
    arrays: dict[Path, int] = field(default_factory=dict)

    def read(self) -> None:
        table: Path = ()
        while self._next():
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _next(self) -> str:
        """The next character that says something, "" at the end."""
        self._over(_GAP)
        return self.text[self.at : self.at + 1]

    def _header(self) -> Path:
        """`[table]` or `[[table]]`: the path that the pairs after it belong to."""
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        self._over(_GAP)
        path = self._keys((), is_header=True)
        if is_array:
            self.arrays[path] = number = self.arrays.get(path, -1) + 1
            path = (*path, number)
            self.found.setdefault(path, self.at)
        self._over(_GAP)
        self.at += 2 if is_array else 1
        return path

    def _keys(self, path: Path, *, is_header: bool = False) -> Path:
        """A key with its dots. Below an array of tables a header means the array's latest table."""
        while True:
            if is_header and path in self.arrays:
                path = (*path, self.arrays[path])
            start = self.at
            path = (*path, _plain(self._over(_KEY)))
            self.found.setdefault(path, start)
            if "." not in self._over(_DOT):
                return path

    def _pair(self, table: Path) -> None:
        path = self._keys(table)
        self.at += 1  # the equals sign
        self._value(path)

    def _value(self, path: Path) -> None:
        match self._next():
            case "[":
                self.at += 1
                self._items(path)
            case "{":
                self.at += 1
                while self._next() != "}":
                    self._pair(path)
                    self._comma()
                self.at += 1
            case '"' | "'":
                self._over(_STRING)
            case _:
                self._over(_PLAIN)

    def _items(self, path: Path) -> None:
        number = 0
        while self._next() != "]":
            self.found.setdefault((*path, number), self.at)
            self._value((*path, number))
            self._comma()
            number += 1
        self.at += 1

    def _comma(self) -> None:
        if self._next() == ",":
            self.at += 1

    def _over(self, pattern: re.Pattern[str]) -> str:
        """Pass what the pattern takes here, and return it."""
        found = pattern.match(self.text, self.at)
        if found is None or (not found[0] and pattern in (_KEY, _STRING, _PLAIN)):
            raise ValueError(f"no TOML at character {self.at}")  # tomllib refused it before
        self.at = found.end()
        return found[0]


def _plain(key: str) -> str:
    """A key without its quotes."""
    if key[0] not in "\"'":
        return key
    return str(next(iter(tomllib.loads(f"{key} = 0")))) if "\\" in key else key[1:-1]
