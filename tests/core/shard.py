"""A shard without Redis: entries as the server would send them, and the leader's rounds over a real table.

Time is an argument throughout. `Shard` appends canaries as a leader does, and stops at every moment at which the table
wants to look at somebody, so that transitions are exact to the millisecond.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, fields
from typing import Any

from healthmon.core.alert import alert_of
from healthmon.core.answers import answer
from healthmon.core.claims import Means, claim, down_of, waits_for
from healthmon.core.command import Command, forget, read_command, register
from healthmon.core.component import Component
from healthmon.core.decide import decide
from healthmon.core.draft import Draft
from healthmon.core.event import Event, EventType, apply
from healthmon.core.marks import Entry, settle
from healthmon.core.policy import Defaults, Policy, parse_policy
from healthmon.core.reporting import fold_report
from healthmon.core.reports import ProbeReport
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.store.codec import Wire, pack_batch, pack_heartbeat, text_map
from healthmon.store.report_wire import pack_probes

START_MS = 1_795_460_000_000
SECOND = 1000
MEANS = Means("mon-a", {"*": "mon-a"}, allow_exec=True)


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


def probed(at_ms: int, *reports: ProbeReport, seq: int = 0) -> Entry:
    """What probes found, as the prober reports it."""
    (payload,) = pack_probes(reports)
    return entry(at_ms, "cmd", "report", "kind", "probe", "p", payload, seq=seq)


def failed(at_ms: int, component_id: str = "a", detail: str = "", seq: int = 0) -> Entry:
    """A failure that somebody recorded."""
    return entry(at_ms, "cmd", "report", "kind", "failure", "id", component_id, "detail", detail, seq=seq)


def lead(table: Table, now_ms: int) -> list[Event]:
    """One round of a leader after its reading: decide for everybody who is due, then apply what was decided."""
    moment = table.moment(now_ms)
    decided = [event for one in table.due(moment) for event in decide(one, moment, table.defaults)]
    for event in decided:
        assert table.apply(event, moment)
    return decided


def heal(table: Table, now_ms: int, means: Means = MEANS) -> list[Event]:
    """What the leader does after its decisions: dependants are told, attempts that are due are claimed or wait.

    The owners agree. The fleet's budget is the leader's own, and is not asked here.
    """
    moment, done = table.moment(now_ms), list[Event]()
    moved, table.moved = table.moved, {}
    affected = [*moved, *(one for name in moved for one in table.census.dependants.get(name, {}))]
    for component in filter(None, map(table.get, dict.fromkeys(affected))):
        down = down_of(component, table)
        if down != component.down:
            draft = Draft(component, moment.now_ms, table.defaults)
            draft.say(EventType.DEPENDENCY, f"down: {', '.join(down)}", "down" if down else "up", down=list(down))
            done += commit(table, draft, moment)
    known = [one for one in map(table.get, list(table.census.due)) if one is not None]
    due = (one for one in known if one.restart.next_ms <= moment.now_ms)
    for component in sorted(due, key=lambda one: (one.restart.next_ms, one.id)):
        why = waits_for(component, table, means, "", moment.now_ms)
        draft = Draft(component, moment.now_ms, table.defaults)
        if not why:
            claim(draft, means, component.restart.done + 1, "")
        elif why != component.restart.waits:
            draft.say(EventType.RESTART, f"waits: {why}", "waits", restart={"waits": why})
        done += commit(table, draft, moment)
    return done


def commit(table: Table, draft: Draft, moment: Moment) -> list[Event]:
    """Take a draft as committed."""
    for event in draft.done():
        assert table.apply(event, moment)
    return draft.events


def ask(table: Table, command: Entry, now_ms: int, means: Means = MEANS) -> list[Event]:
    """A leader obeys one entry of the control stream, or folds it where it is evidence. Raises Refused, Unreadable."""
    if fold_report(table, command):
        return []
    asked = read_command(command[0].decode(), text_map(command[1]))
    component, moment = table.get(asked.id), table.moment(now_ms)
    assert component is not None
    done = list(decide(component, moment, table.defaults)) if component.rev == 0 else []
    for event in done:
        assert table.apply(event, moment)
    events = answer(component, asked, means, max(moment.now_ms, asked.ms), table.defaults)
    for event in events:
        assert table.apply(event, moment)
    return [*done, *events]


def alerts_of(record: Component, events: list[Event], defaults: Defaults) -> list[dict[str, Any]]:
    """What people are told of events that followed on this record."""
    told = []
    for event in events:
        before, record = record, copy.copy(record)
        apply(record, event, defaults)
        told.append(alert_of(before, record, event, "healthmon", 0))
    return [one for one in told if one is not None]


@dataclass
class Shard:
    """A leader over one table, for tests that tell a story."""

    defaults: Defaults = field(default_factory=Defaults)
    now_ms: int = START_MS
    events: list[Event] = field(default_factory=list)
    means: Means = MEANS
    braked: list[tuple[float, str]] = field(default_factory=list)
    brake_said: tuple[int, int] = (0, 0)
    rounds: int = 0
    table: Table = field(init=False)
    _seq: int = 0

    def __post_init__(self) -> None:
        self.table = Table(self.defaults, Wire())
        self.hear(canary(self.now_ms))

    def hear(self, *entries: Entry) -> list[Event]:
        """Read these entries in one slice and judge at once."""
        self.table.fold(entries)
        self.now_ms = max(self.now_ms, self.table.seen_ms)
        return self._round()

    def _round(self, done: list[Event] | None = None) -> list[Event]:
        self.rounds += 1
        decided = [*(done or ()), *lead(self.table, self.now_ms)]
        self._brake()
        decided += heal(self.table, self.now_ms, self.means)
        self.events += decided
        return decided

    def _brake(self) -> None:
        brake, defaults = self.table.brake, self.defaults
        why = brake.judge(self.table.census, self.now_ms, defaults.heartbeat_timeout_ms)
        if why and (defaults.mass_failure or brake.on):
            self.set_brake(why, 0 if brake.on else self.now_ms)

    def set_brake(self, why: str, since_ms: int) -> None:
        """The brake trips (`since_ms`), or it is lifted (0); whoever is silent is judged again."""
        self.braked.append(((self.now_ms - START_MS) / 1000, why))
        self.brake_said = (since_ms, self.now_ms)
        self.table.brake.learn(since_ms, self.now_ms)
        self.table.changed.update(dict.fromkeys(self.table.census.silent))

    def ask(self, cmd: str, component_id: str = "a", **said: Any) -> list[Event]:
        """An operator or a client asks for this, and the leader judges at once. Raises Refused."""
        self._seq += 1
        pairs = [text for name, value in said.items() for text in (name, str(value))]
        command = entry(self.now_ms, "cmd", cmd, "id", component_id, *pairs, seq=self._seq)
        return self._round(ask(self.table, command, self.now_ms, self.means))

    def report(self, kind: str, component_id: str = "a", **said: Any) -> list[Event]:
        """Somebody reports: a restart's outcome, a process's exit, a failure. Raises Refused."""
        return self.ask("report", component_id, kind=kind, **said)

    def finish(self, component_id: str = "a", ok: int = 1, **said: Any) -> list[Event]:
        """The running restart is reported on."""
        return self.report("restart", component_id, rev=self[component_id].restart.rev, ok=ok, **said)

    def probe(
        self, outcome: str = "ok", component_id: str = "a", detail: str = "", ms: float = 10, generation: int = -1
    ) -> list[Event]:
        """The result of a probe is reported, by default one of the breaker's present generation."""
        generation = self[component_id].breaker.generation if generation < 0 else generation
        return self.control(probed(self.now_ms, ProbeReport(component_id, generation, outcome, ms, detail)))

    def control(self, *entries: Entry) -> list[Event]:
        """Read these entries of evidence, each under the next id, and judge at once."""
        for _, fields_ in entries:
            self._seq += 1
            assert fold_report(self.table, (f"{self.now_ms}-{self._seq}".encode(), fields_))
        return self._round()

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

    def register(self, component_id: str = "a", **policy: object) -> list[Event]:
        """An operator gives a known component another policy in the place of its own."""
        self._seq += 1
        given = parse_policy(policy, self.defaults).to_json()
        command = Command(f"{self.now_ms}-{self._seq}", "register", id=component_id, policy=given, replace=True)
        events = register(self[component_id], command, self.defaults)
        for event in events:
            assert self.table.apply(event, self.moment)
        return self._round(list(events))

    def forget(self, component_id: str = "a") -> list[Event]:
        """An operator has a component forgotten."""
        self._seq += 1
        event = forget(self[component_id], Command(f"{self.now_ms}-{self._seq}", "forget", id=component_id))
        assert self.table.apply(event, self.moment)
        return self._round([event])

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
    """Everything stored of a record; what only makes the next fold cheap, from `repeat` to `differs`, is left out."""
    settle(component)
    names = [one.name for one in fields(Component)]
    stored = names[: names.index("repeat")] + names[names.index("differs") + 1 :]
    return {name: copy.copy(getattr(component, name)) for name in stored}
