"""A shard without Redis: entries as the server would send them, and the leader's rounds over a real table.

Time is an argument throughout. `Shard` appends canaries as a leader does, and stops at every moment at which the table
wants to look at somebody, so that transitions are exact to the millisecond.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, fields
from typing import Any

from healthmon.core.component import Component
from healthmon.core.decide import decide
from healthmon.core.event import Event, EventType
from healthmon.core.marks import Entry, settle
from healthmon.core.policy import Defaults, Policy, parse_policy
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.store.codec import Wire, pack_batch, pack_heartbeat

START_MS = 1_795_460_000_000
SECOND = 1000


def entry(at_ms: int, *fields: str | bytes, seq: int = 0) -> Entry:
    """A stream entry with these names and values."""
    return f"{at_ms}-{seq}".encode(), [one if isinstance(one, bytes) else one.encode() for one in fields]


def flat(at_ms: int, component_id: str = "a", seq: int = 0, **said: Any) -> Entry:
    """A heartbeat in plain fields."""
    pairs = [text for name, value in said.items() for text in (name, str(value))]
    return entry(at_ms, "id", component_id, *pairs, seq=seq)


def packed(at_ms: int, component_id: str = "a", seq: int = 0, **said: Any) -> Entry:
    """The same heartbeat in the compact form that the helper sends."""
    return entry(at_ms, "id", component_id, "p", pack_heartbeat(said), seq=seq)


def batch(at_ms: int, *beats: dict[str, Any], seq: int = 0) -> Entry:
    """Several heartbeats in one entry."""
    return entry(at_ms, "b", pack_batch(beats), seq=seq)


def canary(at_ms: int, seq: int = 0) -> Entry:
    """The monitor's own entry."""
    return entry(at_ms, "canary", "mon-a", seq=seq)


def lead(table: Table, now_ms: int) -> list[Event]:
    """One round of a leader after its reading: decide for everybody who is due, then apply what was decided."""
    moment = table.moment(now_ms)
    decided = [event for one in table.due(moment) for event in decide(one, moment, table.defaults)]
    for event in decided:
        assert table.apply(event, moment)
    return decided


@dataclass
class Shard:
    """A leader over one table, for tests that tell a story."""

    defaults: Defaults = field(default_factory=Defaults)
    now_ms: int = START_MS
    events: list[Event] = field(default_factory=list)
    table: Table = field(init=False)
    _seq: int = 0

    def __post_init__(self) -> None:
        self.table = Table(self.defaults, Wire())
        self.hear(canary(self.now_ms))

    def hear(self, *entries: Entry) -> list[Event]:
        """Read these entries in one slice and judge at once."""
        self.table.fold(entries)
        self.now_ms = max(self.now_ms, self.table.seen_ms)
        decided = lead(self.table, self.now_ms)
        self.events += decided
        return decided

    def say(self, component_id: str = "a", after_s: float = 0, **said: Any) -> list[Event]:
        """Time passes, then the component says this; the events that follow from it."""
        self.watch(after_s)
        self._seq += 1
        return self.hear(flat(self.now_ms, component_id, self._seq, **said))

    def watch(self, seconds: float) -> list[Event]:
        """Time passes, and the leader watches: canaries come, everybody is looked at when it is time."""
        before, until_ms = len(self.events), self.now_ms + round(seconds * 1000)
        while self.now_ms < until_ms:
            look_ms = self.table.next_look_ms() or until_ms
            self.now_ms = max(self.now_ms + 1, min(look_ms, self.now_ms + self.table.canary_ms, until_ms))
            self._seq += 1
            self.hear(canary(self.now_ms, self._seq))
        return self.events[before:]

    def go_blind(self, seconds: float) -> list[Event]:
        """Time passes and nothing at all reaches the stream; then a canary does."""
        self.now_ms += round(seconds * 1000)
        self._seq += 1
        return self.hear(canary(self.now_ms, self._seq))

    def declare(self, component_id: str = "a", **policy: object) -> Component:
        """Have a component registered by an operator."""
        given = parse_policy(policy, self.defaults)
        blank = Component(component_id, self.now_ms, Policy(), Policy().limits(self.defaults), since_ms=self.now_ms)
        self.table.put(blank)
        event = Event(
            EventType.REGISTERED,
            component_id,
            rev=1,
            born_ms=self.now_ms,
            at_ms=self.now_ms,
            cause=f"{self.now_ms}-0",
            set={"policy": given.to_json(), "declared": True, **({"role": given.role} if given.role else {})},
        )
        assert self.table.apply(event, self.table.moment(self.now_ms))
        self.events.append(event)
        return self[component_id]

    def __getitem__(self, component_id: str) -> Component:
        component = self.table.get(component_id)
        assert component is not None
        return component

    def state(self, component_id: str = "a") -> str:
        """The component's state, as programs read it."""
        return self[component_id].state.value

    def path(self, component_id: str = "a") -> list[tuple[float, str]]:
        """What became of the component: seconds since the start, and the state."""
        moves = [one for one in self.events if one.id == component_id and one.type is EventType.TRANSITION]
        return [((one.at_ms - START_MS) / 1000, one.target) for one in moves]

    @property
    def moment(self) -> Moment:
        return self.table.moment(self.now_ms)


def evidence(component: Component) -> dict[str, object]:
    """Everything stored of a record; what only makes the next fold cheap, from `repeat` on, is left out."""
    settle(component)
    names = [one.name for one in fields(Component)]
    return {name: copy.copy(getattr(component, name)) for name in names[: names.index("repeat")]}
