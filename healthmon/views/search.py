"""The search language that the page and the command line share: `state:dead role:api host:web-03 score:<0.6 text`.

Terms of the same key are alternatives, different keys and each word of text must all hold. Text is looked for, without
regard to case, in id, role, host, reason and msg.
"""

from __future__ import annotations

import operator
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from healthmon.errors import Refused
from healthmon.views.states import LOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS: Final = ("state", "role", "host", "score")
_SCORE: Final = re.compile(r"(<=|>=|<|>|=)?\s*(\d*\.?\d+)")
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}


@dataclass(frozen=True)
class Query:
    """What is looked for. Empty parts hold for everybody."""

    states: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    scores: tuple[tuple[str, float], ...] = ()
    words: tuple[str, ...] = ()

    @property
    def states_only(self) -> bool:
        """Whether the state alone decides, so that no record needs to be read to know who matches."""
        return not (self.roles or self.hosts or self.scores or self.words)

    def matches(self, record: Mapping[str, str]) -> bool:
        """Whether a component's record, names and values of its hash, is looked for."""
        if self.states and record.get("state", "unknown") not in self.states:
            return False
        if (self.roles and record.get("role", "") not in self.roles) or (
            self.hosts and record.get("host", "") not in self.hosts
        ):
            return False
        if self.scores:
            score = float(record.get("score") or 1.0)
            if not all(_COMPARISONS[sign](score, bound) for sign, bound in self.scores):
                return False
        if not self.words:
            return True
        text = "\n".join(record.get(name, "") for name in ("id", "role", "host", "reason", "msg")).lower()
        return all(word in text for word in self.words)


def parse_query(text: str) -> Query:
    """The query that a search text says. Raises Refused: which term, and what is right."""
    try:
        terms = shlex.split(text)
    except ValueError:
        raise Refused(f"the search {text!r} has a quote that does not end") from None
    found: dict[str, list[str]] = {key: [] for key in KEYS}
    words = []
    for term in terms:
        key, colon, value = term.partition(":")
        if not colon:
            words.append(term.lower())
        elif key not in found:
            raise Refused(f"there is no search key {key!r}: use {', '.join(KEYS)}, or words without a colon")
        elif not value:
            raise Refused(f"the search term {term!r} has no value, as in {key}:{_EXAMPLES[key]}")
        else:
            found[key] += [value] if key == "score" else value.split(",")
    return Query(
        states=frozenset(_state(value) for value in found["state"]),
        roles=frozenset(found["role"]),
        hosts=frozenset(found["host"]),
        scores=tuple(_score(value) for value in found["score"]),
        words=tuple(words),
    )


_EXAMPLES: Final = {"state": "dead", "role": "api", "host": "web-03", "score": "<0.6"}


# The words that people are shown are understood, too.
_BY_WORD: Final = {look.word.lower(): state for state, look in LOOKS.items()}


def _state(value: str) -> str:
    state = _BY_WORD.get(value.lower(), value.lower())
    if state not in LOOKS:
        raise Refused(f"there is no state {value!r}: {', '.join(LOOKS)}")
    return state


def _score(value: str) -> tuple[str, float]:
    match = _SCORE.fullmatch(value)
    if not match:
        raise Refused(f"score:{value} compares with no number, as score:<0.6 does")
    return match[1] or "=", float(match[2])
