"""What `healthmon check` says of components to a monitoring system, by the rules of Nagios plugins. Pure.

One line: the worst state, of whom and why, and behind a bar the figures that such systems draw. A state that nobody
keeps true is no good news: without a leader what would be OK is UNKNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from healthmon.views.picture import headline, time_of
from healthmon.views.states import WORST_FIRST, look_of, word_of
from healthmon.views.words import number, plural, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Grade(IntEnum):
    """The exit code of a plugin [Monitoring Plugins Development Guidelines]."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


# What healthmon itself is busy with is no emergency yet: it gives up or comes back.
WARN: Final = frozenset(("degraded", "restarting", "initializing"))
CRITICAL: Final = frozenset(("unhealthy", "dead", "permanently_failed"))
# Several at once: the worst to tell first, which is not the order of the numbers.
_SEVERITY: Final = (Grade.OK, Grade.WARNING, Grade.UNKNOWN, Grade.CRITICAL)
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which states warn and which are critical; healthy is fine unless it is among them, all others are unknown."""

    warn: frozenset[str] = WARN
    critical: frozenset[str] = CRITICAL

    def grade(self, state: str) -> Grade:
        """What a state comes to."""
        if state in self.critical:
            return Grade.CRITICAL
        if state in self.warn:
            return Grade.WARNING
        fine = state == "healthy" or state in WARN | CRITICAL  # taken out of both lists on purpose
        return Grade.OK if fine else Grade.UNKNOWN


@dataclass(frozen=True, slots=True)
class Verdict:
    """The exit code, and what is said: the first word, the sentence, the figures, a line for each that is not OK."""

    grade: Grade
    word: str
    sentence: str
    figures: Mapping[str, str]
    lines: Sequence[str] = ()

    @property
    def line(self) -> str:
        """`DEAD: j_prime: no heartbeat for 180.0 s | score=0.00 silence=203.4s`."""
        figures = " ".join(f"{name}={value}" for name, value in self.figures.items())
        return (
            f"{self.word}: {_clean(self.sentence)} | {figures}" if figures else f"{self.word}: {_clean(self.sentence)}"
        )


def unknown(sentence: str) -> Verdict:
    """That nothing can be said, and why."""
    return Verdict(Grade.UNKNOWN, "UNKNOWN", sentence, {})


def worst(grades: Sequence[Grade]) -> Grade:
    """The grade of several together."""
    return max(grades, key=_SEVERITY.index, default=Grade.UNKNOWN)


def verdict_of_one(record: Mapping[str, str], now_ms: int, bounds: Bounds, frozen: str) -> Verdict:
    """Of one component. `frozen`: why its state may be old, "" when it is kept true."""
    state = record.get("state", "unknown")
    heard_ms = time_of(record, "last_heartbeat")
    figures = {
        "score": record.get("score") or "U",
        "silence": f"{(now_ms - heard_ms) / 1000:.1f}s" if heard_ms else "U",
    }
    sentence = f"{record['id']}: {record.get('reason', '')}".rstrip(": ")
    return _aged(Verdict(bounds.grade(state), _word(state), sentence, figures), frozen)


def verdict_of_many(
    counts: Mapping[str, int], named: Sequence[Mapping[str, str]], bounds: Bounds, frozen: str
) -> Verdict:
    """Of several. `counts`: how many in which state; `named`: the records of the worst, as many as are to be told."""
    grade = worst([bounds.grade(state) for state, count in counts.items() if count])
    of_it = [state for state in WORST_FIRST if counts.get(state) and bounds.grade(state) is grade]
    wrong = [one for one in named if bounds.grade(one.get("state", "unknown")) is not Grade.OK]
    told = ", ".join(f"{one['id']} is {word_of(one.get('state', 'unknown'))}" for one in wrong[:_NAMED])
    total = sum(counts.values())
    sentence = _sentence(counts, bounds, total)
    more = sum(count for state, count in counts.items() if bounds.grade(state) is not Grade.OK) - len(wrong[:_NAMED])
    if told:
        sentence += f": {told}" + (f" and {number(more)} more" if more > 0 else "")
    word = "OK" if grade is Grade.OK else _word(of_it[0] if of_it else "unknown")
    figures = {**{state: str(counts.get(state, 0)) for state in WORST_FIRST}, "total": str(total)}
    lines = [
        f"{_word(one.get('state', 'unknown'))}: {one['id']}: {_clean(one.get('reason', ''))}".rstrip(": ")
        for one in wrong
    ]
    return _aged(Verdict(grade, word, sentence, figures, lines), frozen)


def _sentence(counts: Mapping[str, int], bounds: Bounds, total: int) -> str:
    wrong = sum(count for state, count in counts.items() if bounds.grade(state) is not Grade.OK)
    if not wrong:
        return headline(counts)
    return f"{number(wrong)} of {plural(total, 'component')} {'is' if wrong == 1 else 'are'} not healthy"


def _aged(verdict: Verdict, frozen: str) -> Verdict:
    """What is bad stays so; what is good may not be any more."""
    if not frozen:
        return verdict
    grade = worst([verdict.grade, Grade.UNKNOWN])
    word = "UNKNOWN" if grade is Grade.UNKNOWN else verdict.word
    was = f"{verdict.word} before: " if word != verdict.word else ""
    sentence = f"{frozen}; {was}{verdict.sentence}" if was else f"{verdict.sentence}; {frozen}"
    return Verdict(grade, word, sentence, verdict.figures, verdict.lines)


def _word(state: str) -> str:
    return look_of(state).word.upper()


def _clean(text: str) -> str:
    """On one line, and without the bar, behind which figures are read."""
    return printable(text).replace("|", "/")
