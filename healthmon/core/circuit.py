"""The value of a circuit breaker, a part of a component's record; `healthmon.core.breaker` says when it turns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class CircuitState(StrEnum):
    """The states of a breaker. Equal to their names in any case, as the specification's tests compare them."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.value == other.lower()

    def __ne__(self, other: object) -> bool:
        return not self == other  # str has one of its own, which would not fold the case

    def __hash__(self) -> int:
        return hash(self.value)


# As the rules compare them, a hundred thousand times a second: plain text, without the folding of cases.
CLOSED_TEXT: Final = CircuitState.CLOSED.value
OPEN_TEXT: Final = CircuitState.OPEN.value
HALF_OPEN_TEXT: Final = CircuitState.HALF_OPEN.value


@dataclass(frozen=True, slots=True)
class Breaker:
    """The decided half. `generation` counts its turns: a probe's result of an earlier one is late and means nothing.

    `by`: the source of the failure that opened it. `at_ms`: since when it is as it is. `until_ms`: when an open one is
    tried again. The bases are the counts of evidence at the turn: what is above them came after it.
    """

    state: str = CircuitState.CLOSED.value
    generation: int = 0
    by: str = ""
    reopened: int = 0
    at_ms: int = 0
    until_ms: int = 0
    failures_base: int = 0
    words_base: int = 0


CLOSED: Final = Breaker()
