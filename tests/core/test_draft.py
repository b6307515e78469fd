"""Events in the making: each follows from the one before, and the record that was given stays as it was."""

from __future__ import annotations

from healthmon.core.component import HealthState
from healthmon.core.draft import REASON_MAX, Draft, bounded
from healthmon.core.event import EventType
from tests.core.shard import Shard, evidence
from tests.core.supervised import shard_of


def record() -> Shard:
    shard = shard_of()
    shard.say()
    return shard


def test_each_event_follows_from_the_one_before_and_the_record_given_stays_as_it_was() -> None:
    shard = record()
    before = evidence(shard["a"])
    draft = Draft(shard["a"], shard.now_ms, shard.defaults, "77-0")
    draft.say(EventType.OPERATOR, "held", "hold", held="by alice")
    draft.move(HealthState.UNHEALTHY, "it ended", "exit")
    draft.move(HealthState.DEAD, "it ended", "exit", incident="a@1")
    events = draft.done()
    rev = shard["a"].rev
    assert [one.rev for one in events] == [rev + 1, rev + 2, rev + 3]
    assert [(one.source, one.target) for one in events] == [("", ""), ("healthy", "unhealthy"), ("unhealthy", "dead")]
    assert [one.cause for one in events] == ["77-0", "", ""]
    assert {(one.id, one.born_ms, one.at_ms) for one in events} == {("a", shard["a"].born_ms, shard.now_ms)}
    assert (draft.record.state, draft.record.held, draft.record.incident) == (HealthState.DEAD, "by alice", "a@1")
    assert evidence(shard["a"]) == before
    for event in events:
        assert shard.table.apply(event, shard.moment)
    assert evidence(shard["a"]) == evidence(draft.record)


def test_without_an_event_there_is_nothing_to_commit() -> None:
    shard = record()
    draft = Draft(shard["a"], shard.now_ms, shard.defaults)
    assert draft.done() == ()
    assert draft.record is shard["a"]


def test_no_event_is_earlier_than_the_one_before_it() -> None:
    shard = record()
    shard["a"].since_ms = shard.now_ms + 500
    draft = Draft(shard["a"], shard.now_ms, shard.defaults)
    draft.move(HealthState.DEGRADED, "so", "score")
    assert draft.done()[0].at_ms == shard.now_ms + 500


def test_a_reason_is_cut_to_what_a_person_reads() -> None:
    assert bounded("x" * REASON_MAX) == "x" * REASON_MAX
    assert bounded("x" * 500) == "x" * (REASON_MAX - 1) + "…"
    shard = record()
    draft = Draft(shard["a"], shard.now_ms, shard.defaults)
    draft.say(EventType.RESTART, "y" * 500, "waits")
    assert len(draft.done()[0].reason) == REASON_MAX
