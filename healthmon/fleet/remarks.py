"""What is said of a fleet file: where, and what is wrong and right there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from healthmon.fleet.places import Place

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


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
