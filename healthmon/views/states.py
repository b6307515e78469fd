"""How the states look: a word, a shape with its ASCII twin, a tone and an order, the same on every surface.

Five tones, since eight hues cannot be told apart by everybody; the shape and the word always stand beside the colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from healthmon.core.component import HealthState

if TYPE_CHECKING:
    from collections.abc import Mapping

Tone = Literal["ok", "warn", "bad", "busy", "none"]
Weight = Literal["plain", "inverted", "outline"]


@dataclass(frozen=True, slots=True)
class StateLook:
    """One state for people. `order`: the worst has the lowest; `weight` tells states of one tone apart."""

    state: HealthState
    word: str
    shape: str
    ascii: str
    tone: Tone
    order: int
    weight: Weight = "plain"


LOOKS: Final[Mapping[str, StateLook]] = {
    look.state.value: look
    for look in (
        StateLook(HealthState.PERMANENTLY_FAILED, "Gave up", "⊘", "!!", "bad", 0, "inverted"),
        StateLook(HealthState.DEAD, "Dead", "✖", "X", "bad", 1),
        StateLook(HealthState.UNHEALTHY, "Unhealthy", "◆", "#", "bad", 2, "outline"),
        StateLook(HealthState.DEGRADED, "Degraded", "▲", "~", "warn", 3),
        StateLook(HealthState.RESTARTING, "Restarting", "↻", ">", "busy", 4),
        StateLook(HealthState.INITIALIZING, "Starting", "◔", ".", "busy", 5, "outline"),
        StateLook(HealthState.UNKNOWN, "Unknown", "?", "?", "none", 6),
        StateLook(HealthState.HEALTHY, "Healthy", "✔", "+", "ok", 7),
    )
}
# The states, worst first: the order of every list.
WORST_FIRST: Final = tuple(LOOKS)
# What needs somebody's attention, worst first.
PROBLEMS: Final = ("permanently_failed", "dead", "unhealthy", "degraded")


def look_of(state: str) -> StateLook:
    """How a state looks; one that this version doesn't know looks like an unknown one."""
    return LOOKS.get(state, LOOKS["unknown"])


def word_of(state: str) -> str:
    """The word for people; a state that this version doesn't know is its own word."""
    look = LOOKS.get(state)
    return look.word if look else state
