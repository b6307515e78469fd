"""What an event says to a person: who, what, and why, in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from healthmon.views.states import word_of
from healthmon.views.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_BREAKER: Final = {state: f"breaker {state.replace('_', ' ')}" for state in ("open", "half_open", "closed")}
# (type, rule) -> what happened, where the rule's name is no word for people.
_WORDS: Final = {
    ("restart", "incarnation"): "restarted",
    ("restart", "taken"): "restart taken",
    ("restart", "late"): "restart ended",
    ("restart", "exited"): "process ended",
    ("restart", "reset"): "attempts reset",
    ("restart", "waits"): "restart waits",
    ("flapping", "starts"): "flapping",
    ("flapping", "goes_on"): "still flapping",
    ("flapping", "ends"): "flapping over",
    ("guard", "mass_failure"): "mass failure",
    ("operator", "mass_failure"): "mass failure",
    ("operator", "hold"): "held",
    ("operator", "resume"): "resumed",
    ("operator", "silence"): "silence",
    ("operator", "acknowledge"): "acknowledgement",
    ("operator", "register"): "registered again",
    ("breaker", "reset-breaker"): "breaker reset",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One event for people: whose, the state it led to ("" for none), what happened, and why.

    `whole`: the reason says what happened, too, so that on one line it stands alone.
    """

    who: str
    state: str
    what: str
    why: str
    whole: bool = False

    @property
    def sentence(self) -> str:
        """What and why as one."""
        if self.whole:
            return self.why
        return f"{self.what}: {self.why}" if self.why else self.what


def happening_of(event: Mapping[str, str]) -> Happening:
    """The happening that an event's fields say. Kinds of a later version are told by their own word."""
    kind, who = event.get("type", "?"), printable(event.get("id", ""))
    why = printable(event.get("reason", ""))
    target, rule, whole, state = event.get("to", ""), event.get("rule", ""), False, ""
    match kind:
        case "transition":
            state, what = target, f"{word_of(event.get('from', ''))} → {word_of(target)}"
        case "leader":
            who, what = printable(event.get("replica", "")), f"leads, epoch {event.get('epoch', '?')}"
        case "recovered":
            state, what = target, f"put back as {word_of(target)}" if target else "put back"
        case "registered" | "forgotten":
            what, why = (why, "") if why.startswith(kind) else (kind, why)
        case "breaker" if rule in _BREAKER:
            what = _BREAKER[rule]
        case "dependency":
            what = f"dependency {rule}".rstrip()
        case "restart" | "flapping" | "guard" | "operator" | "breaker":
            what, whole, who = _WORDS.get((kind, rule), rule or kind), bool(why), who or "shard"
        case _:
            what, who = rule or kind, who or "shard"
    return Happening(who, state, what, why, whole)
