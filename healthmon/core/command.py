"""Commands of the control stream: what an operator or a client may ask for, and the events that answer it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from healthmon.core.component import HealthState
from healthmon.core.death import gives_up, has_method, schedule
from healthmon.core.decide import registered
from healthmon.core.event import Event, EventType
from healthmon.core.heartbeat import PAYLOAD_MAX, Unreadable, read_id, shown
from healthmon.core.marks import arrival_ms
from healthmon.core.policy import Defaults, Policy, read_policy
from healthmon.errors import Refused

if TYPE_CHECKING:
    from healthmon.core.component import Component

KNOWN = (
    *("register", "forget", "step-down", "sync", "report"),
    *("hold", "resume", "restart", "revive", "reset-breaker", "silence", "acknowledge"),
)
KINDS = ("probe", "failure", "exit", "restart")
_WITHOUT_ID = ("step-down",)
_MAYBE_WITHOUT_ID = ("resume",)  # without: of the brake on mass failure
_EPOCH: Final = re.compile(r"[0-9]{1,19}")
_STREAM_ID: Final = re.compile(r"([0-9]{1,20}(-[0-9]{1,20})?)?")


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the control stream. `entry` is its stream id and names it as the `cause` of what follows.

    `said`: all its fields, of which those of one command alone are read where it is answered. `read_ms`: when it was
    read, where that is known: an id that is ahead of it says nothing.
    """

    entry: str
    cmd: str
    id: str = ""
    by: str = ""
    reason: str = ""
    policy: str = ""
    upto: str = ""
    epoch: int = 0
    kind: str = ""
    replace: bool = False
    read_ms: int = 0
    said: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def ms(self) -> int:
        return arrival_ms(self.entry.encode(), self.read_ms)


def read_command(entry: str, said: Mapping[str, object], read_ms: int = 0) -> Command:
    """The command that these fields say. Raises Unreadable with a counted reason."""
    text = {name: value if isinstance(value, str) else str(value) for name, value in said.items()}
    size = sum(len(name) + len(value) for name, value in text.items())
    if size > PAYLOAD_MAX:
        raise Unreadable("too_large", f"the command has {size} characters; at most {PAYLOAD_MAX} are read")
    cmd = text.get("cmd", "")
    if cmd not in KNOWN:
        raise Unreadable("unknown_command", f"cmd is {cmd[:64]!r}; this version knows {', '.join(KNOWN)}")
    epoch = text.get("epoch", "0")
    if not _EPOCH.fullmatch(epoch):
        raise Unreadable("bad_command", f"epoch is {epoch[:64]!r}, no whole number")
    if not _STREAM_ID.fullmatch(text.get("upto", "")):
        raise Unreadable("bad_command", f"upto is {text['upto'][:64]!r}, no stream id")
    if cmd == "step-down" and not int(epoch):
        raise Unreadable("bad_command", "step-down names the epoch that it ends: field epoch is missing")
    kind = text.get("kind", "")
    if cmd == "report" and kind not in KINDS:
        raise Unreadable("bad_command", f"report kind is {kind[:64]!r}; it is one of {', '.join(KINDS)}")
    return Command(
        entry,
        cmd,
        id="" if cmd in _WITHOUT_ID or (cmd in _MAYBE_WITHOUT_ID and "id" not in said) else read_id(said.get("id")),
        by=shown(text.get("by", ""), 128),
        reason=shown(text.get("reason", ""), 120),
        policy=text.get("policy", ""),
        upto=text.get("upto", ""),
        epoch=int(epoch),
        kind=kind,
        replace=text.get("replace") == "1",
        read_ms=read_ms,
        said=text,
    )


def register(component: Component, command: Command, defaults: Defaults) -> tuple[Event, ...]:
    """Register a component, or give a known one the parts of the policy that the command names. Raises Refused."""
    given = read_policy(command.policy, defaults)
    policy = component.policy.merged(given) if component.rev and not command.replace else given
    check = read_policy(policy.to_json(), defaults)
    if component.rev == 0:
        return (registered(component, command.entry, check, command.reason),)
    return (
        Event(
            EventType.OPERATOR,
            component.id,
            rev=component.rev + 1,
            born_ms=component.born_ms,
            at_ms=max(command.ms, component.since_ms),
            reason=_by(command, "registered again"),
            rule="register",
            cause=command.entry,
            set=_changed(component, check, command, defaults),
        ),
    )


def forget(component: Component, command: Command) -> Event:
    """Forget a component: its record, its history and its place in every index."""
    return Event(
        EventType.FORGOTTEN,
        component.id,
        rev=component.rev + 1,
        born_ms=component.born_ms,
        at_ms=command.ms,
        reason=_by(command, "forgotten"),
        rule="forget",
        cause=command.entry,
    )


def _changed(component: Component, policy: Policy, command: Command, defaults: Defaults) -> dict[str, object]:
    """What registering again sets; one that is dead already is given its next attempt by its new method."""
    role = policy.role or component.beat_role
    changes: dict[str, object] = {"policy": policy.to_json(), "declared": True}
    if role != component.role:
        changes["role"] = role
    if component.state is HealthState.DEAD:
        then = copy.copy(component)
        then.limits = policy.limits(defaults, component.interval_ms)
        done = component.restart.done
        if has_method(then) != bool(component.restart.next_ms) and not gives_up(then, done):
            changes["restart"] = schedule(then, max(command.ms, component.since_ms), component.rev + 1, done)
    return changes


def _by(command: Command, what: str) -> str:
    text = f"{what} by {command.by}" if command.by else what
    return f"{text}: {command.reason}"[:120] if command.reason else text


__all__ = ["KNOWN", "Command", "Refused", "forget", "read_command", "register"]
