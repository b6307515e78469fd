"""What is said of a file that people write: where, and what is wrong and right there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthmon.core.places import Place, Places

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_AT: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say. `place` is None where the file as a whole is meant."""

    place: Place | None
    says: str

    def __lt__(self, other: Remark) -> bool:
        """In the order of the file, what is said of the whole first."""
        return self._order() < other._order()

    def line(self, file: str) -> str:
        """`fleet.toml:12:3: …`, as compilers write it and editors find it."""
        return f"{file}:{self.place.line}:{self.place.column}: {self.says}" if self.place else f"{file}: {self.says}"

    def _order(self) -> tuple[Place, str]:
        return self.place or Place(0, 0), self.says


def dotted(path: Iterable[str | int]) -> str:
    """A path as the file would write it: `components."api.v1"`."""
    return ".".join(str(one) if _BARE.fullmatch(str(one)) else f'"{one}"' for one in path)


def read_toml(data: bytes) -> tuple[Mapping[str, Any], Places] | Remark:
    """The tables of a TOML file and where its keys stand; or what keeps it from being read, and where."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Place(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        return Remark(place, f"no UTF-8 text: byte {data[error.start]:#04x}; save the file as UTF-8")
    try:
        return tomllib.loads(text), Places(text)
    except RecursionError:
        return Remark(None, "tables or arrays within each other without end; a policy needs three levels")
    except ValueError as error:
        return _syntax_error(text, str(error))


def _syntax_error(text: str, says: str) -> Remark:
    found = _AT.search(says)
    reason = f"no TOML: {says[: found.start()] if found else says}"
    if found is None:
        return Remark(None, reason)
    if found[1]:
        return Remark(Place(int(found[1]), int(found[2])), reason)
    end = text.rstrip("\n")
    return Remark(Place(end.count("\n") + 1, len(end.rpartition("\n")[2]) + 1), reason)
