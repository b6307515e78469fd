"""The places of keys, against what `tomllib` reads and against a writer that knows where it put each."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.places import Path, Place, places_of

KEYS = st.text("ab-_1", min_size=1, max_size=3) | st.text(" .\"'#=[]{}\\é\t\x7f", min_size=1, max_size=3) | st.just("")
SCALARS = st.integers(-9, 9) | st.booleans() | st.text(" ab\"'\\#,]}=\n\té", max_size=6) | st.floats(-1, 1)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


def paths_in(value: object, path: Path = ()) -> set[Path]:
    """The paths of all keys and items that were read."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return {each for key, one in inner for each in ({(*path, key)} | paths_in(one, (*path, key)))}


@dataclass
class Writer:
    """Writes TOML in a style of its mood, and notes where it puts what."""

    mood: Random
    text: str = ""
    noted: dict[Path, Place] = field(default_factory=dict)

    def put(self, text: str) -> None:
        self.text += text

    def note(self, path: Path) -> None:
        before, _, line = self.text.rpartition("\n")
        self.noted.setdefault(path, Place(before.count("\n") + bool(before or "\n" in self.text) + 1, len(line) + 1))

    def gap(self) -> None:
        self.put(self.mood.choice(["", "", " ", "\t", "\n", " # ] } = , \" ' [\n", "\n\n  "]))

    def space(self) -> None:
        self.put(self.mood.choice(["", "", " ", " \t"]))

    def key(self, path: Path) -> None:
        self.note(path)
        name = str(path[-1])
        plain = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
        literal = "'" not in name and name.isprintable()
        ways = [
            json.dumps(name).replace("\x7f", "\\u007f"),
            *([name] if plain else []),
            *([f"'{name}'"] if literal else []),
        ]
        self.put(self.mood.choice(ways))

    def table(self, table: dict[str, Any], path: Path = ()) -> None:
        """Pairs first, then what gets a header of its own."""
        headed = {key for key, value in table.items() if self.may_be_headed(value) and self.mood.random() < 0.6}
        for key, value in table.items():
            if key not in headed:
                self.gap_of_lines()
                self.pair(value, (*path, key))
                self.put(self.mood.choice(["\n", " # it's = said\n"]))
        for key, value in table.items():
            if key in headed and isinstance(value, list):
                for number, one in enumerate(value):
                    self.header((*path, key), "[[")
                    self.note((*path, key, number))
                    self.put("]]\n")
                    self.table(one, (*path, key, number))
            elif key in headed:
                self.header((*path, key), "[")
                self.put("]\n")
                self.table(value, (*path, key))

    @staticmethod
    def may_be_headed(value: object) -> bool:
        if isinstance(value, list):
            return bool(value) and all(isinstance(one, dict) for one in value)
        return isinstance(value, dict)

    def header(self, path: Path, opening: str) -> None:
        self.gap_of_lines()
        self.put(opening)
        names = [n for n in range(len(path)) if isinstance(path[n], str)]
        for n in names:
            self.put(" " if self.mood.random() < 0.2 else "")
            self.key(path[: n + 1])
            if n != names[-1]:
                self.put(self.mood.choice([".", " . "]))

    def gap_of_lines(self) -> None:
        self.put(self.mood.choice(["", "", "\n", "# [no] = 'table'\n", "  "]))

    def pair(self, value: object, path: Path) -> None:
        self.key(path)
        # A dotted key makes the table that it goes through: then no other key may.
        while isinstance(value, dict) and len(value) == 1 and self.mood.random() < 0.5:
            ((name, value),) = value.items()
            path = (*path, name)
            self.put(self.mood.choice([".", " . "]))
            self.key(path)
        self.put(self.mood.choice(["=", " = "]))
        self.value(value, path)

    def value(self, value: object, path: Path) -> None:
        if isinstance(value, dict):
            self.put("{")
            for n, (key, one) in enumerate(value.items()):
                self.put("," if n else "")
                self.space()
                self.pair(one, (*path, key))
                self.space()
            self.put("}")
        elif isinstance(value, list):
            self.put("[")
            for n, one in enumerate(value):
                self.gap()
                self.note((*path, n))
                self.value(one, (*path, n))
                self.gap()
                self.put("," if n < len(value) - 1 or self.mood.random() < 0.3 else "")
            self.gap()
            self.put("]")
        else:
            self.put(self.scalar(value))

    def scalar(self, value: object) -> str:
        if isinstance(value, str) and self.mood.random() < 0.4 and "'" not in value:
            return f"'''\n{value}'''"
        if isinstance(value, str) and self.mood.random() < 0.4:
            return '"""\n' + json.dumps(value, ensure_ascii=False)[1:-1].replace("\\n", "\n") + '"""'
        return json.dumps(value)


@given(TABLES, st.randoms(use_true_random=False))
def test_every_key_and_item_is_found_where_it_was_written(table: dict[str, Any], mood: Random) -> None:
    writer = Writer(mood)
    writer.table(table)
    read = tomllib.loads(writer.text)
    assert read == table, "the writer of this test writes what it means"
    places = places_of(writer.text)
    assert set(places) == paths_in(read)
    assert places == writer.noted, writer.text


def test_a_table_is_found_where_it_is_first_named() -> None:
    places = places_of("[components.api]\ninterval = 5\n\n[components.web]\n  restart . method = 'agent'\n")
    assert places["components",] == Place(1, 2)
    assert places["components", "web"] == Place(4, 13)
    assert places["components", "web", "restart"] == Place(5, 3)
    assert places["components", "web", "restart", "method"] == Place(5, 13)


@pytest.mark.parametrize(
    "text",
    [
        'a = """""\n[x]\n# """""\nb = 1',
        "a = '''''\n'''''\n[c]\nd = 1979-05-27 07:32:00 # e = 2\n",
        "a = [ # ]\n [ 1, 2 ], # [\n]\nb.c.d = inf\n",
        '"" = 1\n["."]\n"\\u0041" = 2\n',
        "[[a]]\nx = 1\n[a.b]\ny = 2\n[[a.c]]\nz = 3\n[[a]]\n[[a.c]]\nz = 4\n[a.c.d]\n",
        "",
        "# only a remark",
    ],
)
def test_odd_texts_have_the_paths_that_tomllib_reads(text: str) -> None:
    assert set(places_of(text)) == paths_in(tomllib.loads(text))
