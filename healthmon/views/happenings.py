"""What an event says to a person: who, what, and why, in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from healthmon.views.states import word_of
from healthmon.views.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Happening:
    """One event for people: whose, the state it led to ("" for none), what happened, and why."""

    who: str
    state: str
    what: str
    why: str


def happening_of(event: Mapping[str, str]) -> Happening:
    """The happening that an event's fields say. Kinds of a later version are told by their own word."""
    kind, who = event.get("type", "?"), event.get("id", "")
    why = printable(event.get("reason", ""))
    target = event.get("to", "")
    match kind:
        case "transition":
            return Happening(who, target, f"{word_of(event.get('from', ''))} → {word_of(target)}", why)
        case "leader":
            return Happening(event.get("replica", ""), "", f"leads, epoch {event.get('epoch', '?')}", why)
        case "recovered":
            return Happening(who, target, f"put back as {word_of(target)}" if target else "put back", why)
        case "registered" | "forgotten":
            same = why.startswith(kind)
            return Happening(who, "", why if same else kind, "" if same else why)
        case _:
            return Happening(printable(who) or "shard", "", event.get("rule") or kind, why)
