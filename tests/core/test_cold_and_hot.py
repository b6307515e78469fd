"""A replica loaded cold decides as one that was hot throughout, and a follower holds what its leader decided."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.blindness import Stretch
from healthmon.core.command import Command, register
from healthmon.core.component import HealthState, legal
from healthmon.core.decide import decide
from healthmon.core.event import Event, EventType
from healthmon.core.marks import Entry
from healthmon.core.policy import Defaults
from healthmon.core.table import Table
from healthmon.store.codec import Wire, event_fields, hash_fields, read_component, read_event
from tests.core.shard import START_MS, evidence, lead
from tests.core.streams import CUTS, IDS, slices, stream_of

# One pace of canaries for all: whether an old gap was blind is stored, and not asked again with the fleet of today.
DEFAULTS = Defaults(
    heartbeat_timeout_ms=6_000,
    degraded_threshold_ms=12_000,
    dead_threshold_ms=24_000,
    startup_timeout_ms=4_000,
    reset_after_ms=20_000,
    max_retries=1,
    forget_after_ms=60_000,
    forget_after_unknown_ms=30_000,
)
POLICIES = ('{"heartbeat_timeout":7}', '{"expected":"always","role":"db"}', '{"score":{"latency_ms":[5,400,4000]}}')
DECIDED = (
    *("state", "since_ms", "reason", "rule", "previous", "rev", "epoch", "incident", "role", "respawns_told"),
    *("control_folded", "policy", "limits", "declared", "born_ms"),
)


@dataclass
class Store:
    """What Redis would hold: a hash a component, and where a cold replica begins to read."""

    defaults: Defaults = DEFAULTS
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    gone: dict[str, tuple[int, str]] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=list)
    cursor: int = 0
    cursor_ms: int = 0
    dirty: set[str] = field(default_factory=set)

    def commit(self, table: Table, events: list[Event]) -> None:
        """The records that events changed are stored whole, the others at a checkpoint."""
        for event in events:
            component = table.get(event.id)
            if component is None:
                self.hashes.pop(event.id, None)
            else:
                self.hashes[event.id] = hash_fields(component)
        self.gone = dict(table.gone)
        self.stretches = list(table.blindness.stretches)

    def checkpoint(self, table: Table, position: int, stored: set[str]) -> None:
        """Some records are stored; the cursor moves once all are."""
        self.dirty |= {component.id for component in table.touched()}
        for one in sorted(self.dirty & stored):
            component = table.get(one)
            if component is not None and component.rev:
                self.hashes[one] = hash_fields(component)
        self.dirty -= stored
        if not self.dirty:
            self.cursor, self.cursor_ms = position, table.seen_ms

    def load(self) -> Table:
        """The table of a replica that starts from this."""
        table = Table(self.defaults, Wire())
        for said in self.hashes.values():
            table.put(read_component(said, self.defaults))
        table.gone.update(self.gone)
        for stretch in self.stretches:
            table.blindness.add(*stretch)
        table.seen_ms = self.cursor_ms
        return table


def register_one(table: Table, who: str, policy: str) -> list[Event]:
    """An operator gives a component another policy."""
    component = table.get(who)
    if component is None or not component.rev:
        return []
    command = Command(f"{table.seen_ms}-0", "register", id=who, policy=policy, by="alice")
    events = list(register(component, command, DEFAULTS))
    for event in events:
        assert table.apply(event, table.moment(table.seen_ms))
    return events


@dataclass(frozen=True)
class Plan:
    """One stream, the slices the leader reads it in, and what else happens after each."""

    parts: list[list[Entry]]
    orders: list[tuple[str, str] | None]
    stored: list[set[str]]
    early_ms: list[int]


def plan_of(stream: bytes, cuts: bytes, extras: bytes) -> Plan:
    """Noughts mean: nothing ordered, everything stored, the clock asked with the last entry."""
    parts = slices(stream_of(stream, steps_ms=(0, 1, 100, 700, 1000, 1000, 1000, 2900, 2900, 2900, 4000)), cuts)
    extra = [extras[index % len(extras)] for index in range(len(parts))]
    orders = [(IDS[one % 3], POLICIES[one // 16 % 3]) if one > 200 else None for one in extra]
    stored = [set(IDS[: one % 4]) if one % 8 else set(IDS) for one in extra]
    return Plan(parts, orders, stored, [(0, 0, 1, 500)[one // 4 % 4] for one in extra])


PLANS = st.builds(
    plan_of,
    st.binary(min_size=60, max_size=240),
    st.binary(min_size=5, max_size=20),
    st.binary(min_size=1, max_size=20),
)


def play(table: Table, plan: Plan, start: int = 0, store: Store | None = None) -> list[list[Event]]:
    """Lead from one part of the stream on; the events of each round."""
    rounds = []
    for index in range(start, len(plan.parts)):
        table.fold(plan.parts[index])
        order = plan.orders[index]
        events = register_one(table, *order) if order else []
        # The clock was asked before the entries were read: some of them may be later than the moment of judging.
        now_ms = max(START_MS, table.seen_ms - plan.early_ms[index])
        events += lead(table, now_ms)
        rounds.append(sorted(events, key=lambda event: (event.id, event.rev)))
        if store is not None:
            store.commit(table, events)
            store.checkpoint(table, sum(map(len, plan.parts[: index + 1])), plan.stored[index])
    return rounds


@given(PLANS, st.integers(0, 20))
def test_a_replica_loaded_cold_decides_as_one_that_was_hot(plan: Plan, cold_at: int) -> None:
    cold_at %= len(plan.parts)
    hot, store = Table(DEFAULTS, Wire()), Store()
    before = Plan(plan.parts[:cold_at], plan.orders, plan.stored, plan.early_ms)
    play(hot, before, store=store)
    cold = store.load()
    cold.fold([one for part in before.parts for one in part][store.cursor :])
    assert play(cold, plan, cold_at) == play(hot, plan, cold_at)
    assert {one: evidence(record) for one, record in cold.components.items()} == {
        one: evidence(record) for one, record in hot.components.items()
    }
    assert cold.blindness.stretches == hot.blindness.stretches


@given(PLANS)
def test_every_event_is_a_legal_edge_and_revs_are_contiguous(plan: Plan) -> None:
    states: dict[tuple[str, int], HealthState] = {}
    revs: dict[tuple[str, int], int] = {}
    for event in (event for events in play(Table(DEFAULTS, Wire()), plan) for event in events):
        who = (event.id, event.born_ms)
        assert event.rev == revs.get(who, 0) + 1
        assert (event.rev == 1) == (event.type is EventType.REGISTERED)
        assert len(event.reason) <= 120
        revs[who] = event.rev
        if event.type is EventType.TRANSITION:
            source, target = HealthState(event.source), HealthState(event.target)
            assert source is states.get(who, HealthState.UNKNOWN)
            assert legal(source, target)
            states[who] = target


@given(PLANS, CUTS)
def test_a_follower_in_other_slices_holds_what_the_leader_decided(plan: Plan, cuts: bytes) -> None:
    leader, follower = Table(DEFAULTS, Wire()), Table(DEFAULTS, Wire())
    events = [event for events in play(leader, plan) for event in events]
    for part in slices([one for read in plan.parts for one in read], cuts):
        follower.fold(part)
    forgotten = set[str]()
    for number, event in enumerate(events):
        read = read_event(f"{event.at_ms}-{number}", event_fields(event))
        assert read is not None
        if event.type is EventType.FORGOTTEN:
            forgotten.add(event.id)
        if not follower.apply(read, follower.moment(follower.seen_ms)):
            # It had folded the heartbeats of a later registration already, and reads the record back.
            assert event.id in forgotten
            if event.id in leader.components:
                follower.put(read_component(hash_fields(leader.components[event.id]), DEFAULTS))
    assert follower.components.keys() == leader.components.keys()
    assert follower.gone.keys() == leader.gone.keys()
    for one, record in leader.components.items():
        assert {name: getattr(follower.components[one], name) for name in DECIDED} == {
            name: getattr(record, name) for name in DECIDED
        }


@given(PLANS)
def test_nothing_is_left_to_decide_when_a_round_is_over(plan: Plan) -> None:
    table = Table(DEFAULTS, Wire())
    play(table, plan)
    moment = table.moment(table.seen_ms)
    for _ in range(8):
        lead(table, moment.now_ms)
    for component in table.components.values():
        left = decide(component, moment, DEFAULTS)
        assert not left or component.id in table.changed or (table.next_look_ms() or 0) > moment.now_ms
