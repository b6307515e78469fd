"""What applying a fleet file changes: each component of the file, and each declared one that is not in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from healthmon.core.dependencies import cycle_in
from healthmon.core.policy import Policy
from healthmon.fleet.layers import flat


class Kind(StrEnum):
    """What is to be done with a component."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FORGET = "forget"
    NOT_IN_FILE = "not_in_file"


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of a component: the object of its policy, and whether it was declared or registered itself."""

    policy: Mapping[str, Any] = field(default_factory=dict)
    declared: bool = True

    @property
    def depends_on(self) -> list[str]:
        return list(self.policy.get("depends_on", ()))


@dataclass(frozen=True, slots=True)
class Change:
    """One part by its dotted name, before and after; None where it is not set."""

    part: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Difference:
    """One component: what is to be done, and what changes with it."""

    id: str
    kind: Kind
    changes: tuple[Change, ...] = ()
    policy: str = ""

    @property
    def is_work(self) -> bool:
        return self.kind in (Kind.NEW, Kind.CHANGED, Kind.FORGET)


@dataclass(frozen=True, slots=True)
class Command:
    """A command for the leader that applying a file takes."""

    cmd: str
    id: str
    policy: str = ""


def differences(
    policies: Mapping[str, Policy], stored: Mapping[str, Stored], *, prune: bool = False
) -> list[Difference]:
    """The components of the file in its order, then the declared ones that are not in it.

    One that registered itself and is not in the file is nobody's business here: it is left out, and left alone.
    """
    found = [_compared(one, policy, stored.get(one)) for one, policy in policies.items()]
    kind = Kind.FORGET if prune else Kind.NOT_IN_FILE
    others = sorted(one for one, known in stored.items() if known.declared and one not in policies)
    return found + [Difference(one, kind) for one in others]


def commands_for(work: Iterable[Difference], stored: Mapping[str, Stored]) -> list[Command]:
    """The commands in an order in which the leader can obey each: none of them makes a cycle for a moment.

    Where an edge is turned round, the file has no cycle, and what is stored has none, but a mixture may have: then
    what goes is forgotten first and edges that go are taken away before new ones come.
    """
    todo = [one for one in work if one.is_work]
    registers = [Command("register", one.id, one.policy) for one in todo if one.kind is not Kind.FORGET]
    forgets = [Command("forget", one.id) for one in todo if one.kind is Kind.FORGET]
    after = {one.id: set(json.loads(one.policy).get("depends_on", ())) for one in registers}
    before = {one: set(known.depends_on) for one, known in stored.items()}
    if not cycle_in({one: before.get(one, set()) | after.get(one, set()) for one in {**before, **after}}):
        return registers + forgets
    fewer = [
        Command("register", one.id, _with_edges(one.policy, before[one.id] & after[one.id]))
        for one in registers
        if before.get(one.id, set()) - after[one.id]
    ]
    known = {one.id: one.policy for one in fewer}
    return forgets + fewer + [one for one in registers if known.get(one.id) != one.policy]


def _compared(component_id: str, policy: Policy, known: Stored | None) -> Difference:
    text = policy.to_json()
    new = flat(json.loads(text))
    if known is None:
        return Difference(component_id, Kind.NEW, tuple(Change(part, None, new[part]) for part in sorted(new)), text)
    old = flat(known.policy)
    changes = [
        Change(part, old.get(part), new.get(part)) for part in sorted({*old, *new}) if old.get(part) != new.get(part)
    ]
    if not known.declared:
        changes.append(Change("declared", False, True))
    return Difference(component_id, Kind.CHANGED if changes else Kind.UNCHANGED, tuple(changes), text)


def _with_edges(policy: str, depends_on: Iterable[str]) -> str:
    said = {**json.loads(policy), "depends_on": sorted(depends_on)}
    return json.dumps({name: value for name, value in said.items() if value != []}, sort_keys=True)
