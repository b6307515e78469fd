"""With reports and commands too: a cold replica decides as a hot one, and a follower ends as its leader."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.event import Event
from healthmon.core.marks import Entry
from healthmon.core.reporting import fold_report
from healthmon.core.table import Table
from healthmon.store.codec import Wire, event_fields, hash_fields, read_component, read_event
from tests.core.histories import DECLARED, DEFAULTS, FEW, HISTORIES, NAMES, Leader, Step
from tests.core.shard import Shard, evidence
from tests.core.test_cold_and_hot import Store


@dataclass
class Storing(Leader):
    """A leader whose commits are stored; what heartbeats and reports move is stored now and then, in parts."""

    store: Store = field(default_factory=lambda: Store(DEFAULTS))

    def _take(self, events: list[Event], *, applied: bool = True) -> list[Event]:
        super()._take(events, applied=applied)
        self.store.commit(self.table, events)
        return events

    @property
    def read(self) -> list[Entry]:
        """The entries that were read: heartbeats and evidence; commands are done with their events."""
        return [one for one in self.log if not isinstance(one, Event)]


def fold(table: Table, one: Entry) -> None:
    if one[1][0] == b"cmd":
        assert fold_report(table, one)
    else:
        table.fold([one])


def play_stored(leader: Storing, steps: list[Step], parts: bytes) -> None:
    for number, step in enumerate(steps):
        leader.play([step])
        part = parts[number % len(parts)]
        stored = set(NAMES[: part % 4]) if part % 8 else set(NAMES)
        if part > 100:
            leader.store.checkpoint(leader.table, len(leader.read), stored)


@FEW
@given(HISTORIES, st.integers(0, 60), st.binary(min_size=1, max_size=12))
def test_a_replica_loaded_cold_decides_as_one_that_was_hot_throughout(
    steps: list[Step], cold_at: int, parts: bytes
) -> None:
    cold_at %= len(steps)
    hot = Storing()
    hot.begin()
    play_stored(hot, steps[:cold_at], parts)
    cold = Leader(hot.store.load(), hot.now_ms, seq=hot.seq)
    for one in hot.read[hot.store.cursor :]:
        fold(cold.table, one)
    began = len(hot.events)
    rest = [*steps[cold_at:], Step(12_000, 0, "a", 0), Step(12_000, 0, "b", 0)]
    cold.play(rest)
    hot.play(rest)
    for name in NAMES:
        assert [one for one in cold.events if one.id == name] == [one for one in hot.events[began:] if one.id == name]
    assert {one: evidence(record) for one, record in cold.table.components.items()} == {
        one: evidence(record) for one, record in hot.table.components.items()
    }


def followed(leader: Leader, lags: bytes) -> Table:
    """The table of a follower that folds what it reads at once, and learns of events only after so many entries."""
    table, late = Table(DEFAULTS, Wire()), deque[tuple[int, Event]]()
    for number, one in enumerate(leader.log):
        if isinstance(one, Event):
            lag = lags[number % len(lags)] % 16 if one.id not in DECLARED or one.rev > 1 else 0
            late.append((number + lag, one))
        else:
            fold(table, one)
        while late and late[0][0] <= number:
            learn(table, leader, late.popleft()[1])
    for _, event in late:
        learn(table, leader, event)
    return table


def learn(table: Table, leader: Leader, event: Event) -> None:
    """Apply an event as it is read from the stream; a declared component's record is read from its hash at first."""
    read = read_event(f"{event.at_ms}-0", event_fields(event))
    assert read is not None
    if not table.apply(read, table.moment(table.seen_ms)):
        assert event.rev == 1
        blank = hash_fields(leader.table.components[event.id])
        born = {name: blank[name] for name in ("id", "born", "policy")}
        table.put(read_component({**born, "rev": "0", "state": "unknown"}, DEFAULTS))
        assert table.apply(read, table.moment(table.seen_ms))


@FEW
@given(HISTORIES, st.binary(min_size=1, max_size=20))
def test_a_follower_that_folds_evidence_ahead_of_events_ends_equal_to_its_leader(
    steps: list[Step], lags: bytes
) -> None:
    leader = Leader()
    leader.begin()
    leader.play([*steps, Step(3_000, 0, "c", 0)])
    table = followed(leader, lags)
    assert table.components.keys() == leader.table.components.keys()
    for name, record in leader.table.components.items():
        mine, theirs = evidence(table.components[name]), evidence(record)
        # Of several heartbeats since a death the last one folded before the event is taken for the first.
        del mine["alive_since_ms"], theirs["alive_since_ms"]
        assert mine == theirs


def test_a_replica_loaded_cold_counts_attempts_anew_as_early_as_one_that_was_hot() -> None:
    """A well component that beats is looked at once a time-out, but not while time alone can change something."""
    shard = Shard()
    shard.declare(restart={"method": "handler"})
    shard.ask("restart")
    shard.finish()
    for _ in range(118):
        shard.say(after_s=5, interval=10)
    cold = Shard(now_ms=shard.now_ms)
    cold.table.put(read_component(hash_fields(shard["a"]), shard.defaults))
    for one in (shard, cold):
        one.say(after_s=9, interval=10)
        one.watch(6)
    reset = [[event for event in one.events if event.rule == "reset"] for one in (shard, cold)]
    assert reset[0] == reset[1]
    assert len(reset[0]) == 1
