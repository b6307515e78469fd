"""What lies upon a component beside its state: a silence, which ends by itself, and an acknowledgement.

Neither changes what is watched, decided or committed; they tell those who deliver alerts, and people, whether somebody
knows. A silence is over when its moment has passed: whoever asks gives the time. An acknowledgement ends with its
incident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from healthmon.core.event import EventType
from healthmon.core.heartbeat import read_number
from healthmon.errors import Refused

if TYPE_CHECKING:
    from healthmon.core.claims import Means
    from healthmon.core.command import Command
    from healthmon.core.component import Component
    from healthmon.core.draft import Draft

# A silence for longer is a component that nobody wants to hear of: its alerts are routed away, or it is forgotten.
SILENCE_S_MAX: Final = 30 * 86_400
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "m"))


def is_silenced(component: Component, now_ms: float) -> bool:
    """Whether a silence lies upon it at this moment of the Redis clock."""
    return component.silenced_until_ms > now_ms


def silence(draft: Draft, asked: Command, _: Means) -> None:
    """Silence it for so many seconds from when that was asked, in the place of an earlier silence; 0 ends it."""
    seconds = _seconds(asked)
    if seconds is None:
        raise Refused("silence says for how long: the field for is missing, in seconds")
    if not seconds:
        if not is_silenced(draft.record, draft.at_ms):
            raise Refused(f"{asked.id} is not silenced")
        gone = {"silenced_until_ms": 0, "silenced_by": "", "silenced_reason": ""}
        draft.say(EventType.OPERATOR, _told(asked, "silence ended"), "silence", **gone)
        return
    if seconds > SILENCE_S_MAX:
        raise Refused(
            f"for is {seconds:g} s; a silence lasts {SILENCE_S_MAX} s (30 days) at most: silence it again then"
        )
    if not asked.reason:
        raise Refused("silence says why: the field reason is missing")
    until_ms = asked.ms + max(1, round(seconds * 1000))
    if until_ms <= draft.at_ms:
        raise Refused(f"the {_length(seconds)} of silence were over before anybody led: ask again")
    draft.say(
        EventType.OPERATOR,
        _told(asked, f"silenced for {_length(seconds)}"),
        "silence",
        silenced_until_ms=until_ms,
        silenced_by=_who(asked),
        silenced_reason=asked.reason,
    )


def acknowledge(draft: Draft, asked: Command, _: Means) -> None:
    """Somebody looks after what is wrong with it, until it is well again; `for` 0 takes that back."""
    record, who = draft.record, _who(asked)
    match _seconds(asked):
        case None if not record.incident:
            raise Refused(f"{asked.id} is {record.state}: there is nothing to acknowledge")
        case None if record.acknowledged_by == who:
            raise Refused(f"{asked.id} is acknowledged by {who} already")
        case None:
            draft.say(EventType.OPERATOR, _told(asked, "acknowledged"), "acknowledge", acknowledged_by=who)
        case 0 if not record.acknowledged_by:
            raise Refused(f"{asked.id} is not acknowledged")
        case 0:
            draft.say(
                EventType.OPERATOR, _told(asked, "no longer acknowledged, said"), "acknowledge", acknowledged_by=""
            )
        case _:
            raise Refused("an acknowledgement ends at recovery: for is 0, which takes it back, or left out")


def _seconds(asked: Command) -> float | None:
    """The seconds that the command says, None where it says none."""
    text = asked.said.get("for", "")
    if not text:
        return None
    seconds = read_number(text)
    if seconds is None or seconds < 0:
        raise Refused(f"for is {text[:64]!r}, no number of seconds; two hours are 7200")
    return seconds


def _length(seconds: float) -> str:
    """`2 h`, `15 m`, `90 s`."""
    for unit, name in _UNITS:
        if not seconds % unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


def _who(asked: Command) -> str:
    return asked.by or "an operator"


def _told(asked: Command, what: str) -> str:
    told = f"{what} by {_who(asked)}"
    return f"{told}: {asked.reason}" if asked.reason else told
