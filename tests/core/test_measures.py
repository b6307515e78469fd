from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from healthmon.core.event import Event, EventType
from healthmon.core.heartbeat import Rejection
from healthmon.core.measures import OTHER, ROLES_MAX, Buckets, Measures
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.errors import Fenced, HealthmonError, NotPermitted, StoreUnavailable, UnfitServer
from healthmon.store.codec import Wire
from tests.core.shard import START_MS, Shard, batch, canary, entry, flat
from tests.core.supervised import QUICK, RESTART, take

COMMIT_MS = 7


class CountedTable(Table):
    """Counts each event as the leader does: committed a little later, and before it is applied."""

    measures: Measures

    def apply(self, event: Event, moment: Moment) -> bool:
        before = self.components.get(event.id)
        if before is not None:
            self.measures.note_event(before, event, moment, moment.now_ms + COMMIT_MS)
        return super().apply(event, moment)


@dataclass
class CountedShard(Shard):
    measures: Measures = field(default_factory=Measures)

    def __post_init__(self) -> None:
        table = CountedTable(self.defaults, Wire())
        self.table, table.measures = table, self.measures
        self.hear(canary(self.now_ms))


def counted(**policy: Any) -> CountedShard:
    shard = CountedShard(QUICK)
    shard.declare(role="prime", **policy)
    shard.say(incarnation="i1")
    return shard


def test_a_value_is_counted_in_the_bucket_of_the_least_bound_that_holds_it() -> None:
    buckets = Buckets((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        buckets.observe(value)
    assert (buckets.counts, buckets.sum) == ([2, 1, 1], 7.65)


def test_a_quantile_is_estimated_within_its_bucket_and_is_never_beyond_the_last_bound() -> None:
    buckets = Buckets((1.0, 2.0, 4.0))
    assert buckets.quantile(0.99) == 0
    for value in (0.5, 1.5, 1.6, 3.0):
        buckets.observe(value)
    assert [buckets.quantile(share) for share in (0.25, 0.5, 0.75, 1.0)] == [1.0, 1.5, 2.0, 4.0]
    buckets.observe(9.0)
    assert buckets.quantile(0.99) == 4.0


def test_transitions_are_counted_by_role_and_both_states() -> None:
    shard = counted()
    shard.watch(4.1)
    assert shard.measures.transitions == {
        ("prime", "unknown", "healthy"): 1,
        ("prime", "healthy", "degraded"): 1,
        ("prime", "degraded", "unhealthy"): 1,
        ("prime", "unhealthy", "dead"): 1,
    }


def test_detection_is_measured_from_the_threshold_to_the_commit_for_each_stage() -> None:
    shard = counted()
    shard.watch(4.1)
    assert sum(shard.measures.detection.counts) == 3
    assert shard.measures.detection.sum == pytest.approx(3 * COMMIT_MS / 1000)


def test_blind_time_and_a_lifted_brake_delay_nothing() -> None:
    shard = counted()
    shard.go_blind(60)
    shard.watch(4.1)
    assert shard.state() == "dead"
    assert shard.measures.detection.sum == pytest.approx(3 * COMMIT_MS / 1000)


def test_a_restart_that_brings_it_back_succeeded_and_took_from_its_claim_on() -> None:
    shard = counted(restart=RESTART)
    shard.watch(9)
    assert shard.state() == "restarting"
    take(shard)
    shard.watch(1)
    shard.finish()
    assert shard.measures.restarts == {}
    shard.say(after_s=0.5, incarnation="i2")
    assert shard.measures.restarts == {("prime", "succeeded"): 1}
    assert shard.measures.restarting.sum == pytest.approx(1.5, abs=0.01)


def test_a_restart_that_is_reported_as_failed_is_a_failed_one() -> None:
    shard = counted(restart=RESTART)
    shard.watch(9)
    take(shard)
    shard.finish(ok=0, detail="no such file")
    assert shard.measures.restarts == {("prime", "failed"): 1}
    assert sum(shard.measures.restarting.counts) == 0


def test_one_that_reported_success_and_is_not_heard_from_failed_once() -> None:
    shard = counted(restart=RESTART)
    shard.watch(9)
    take(shard)
    shard.finish()
    shard.watch(QUICK.startup_timeout_ms / 1000 + 0.1)
    assert shard.state() == "dead"
    assert shard.measures.restarts == {("prime", "failed"): 1}


def test_a_restart_that_nobody_takes_is_untaken() -> None:
    shard = counted(restart=RESTART)
    shard.watch(9 + 8.1)
    assert shard.measures.restarts == {("prime", "untaken"): 1}


def test_of_many_roles_the_later_ones_share_a_name() -> None:
    measures = Measures()
    named = [measures.role_of(f"role-{number}") for number in range(ROLES_MAX + 5)]
    assert named[:ROLES_MAX] == [f"role-{number}" for number in range(ROLES_MAX)]
    assert set(named[ROLES_MAX:]) == {OTHER}
    assert measures.role_of("role-0") == "role-0"


def test_errors_of_redis_are_sorted_by_who_must_act_and_others_are_none() -> None:
    measures = Measures()
    for error in (StoreUnavailable("x"), UnfitServer("x"), NotPermitted("x"), HealthmonError("x"), Fenced("x")):
        measures.note_error(error)
    assert measures.redis_errors == {"unavailable": 1, "unfit": 1, "not_permitted": 1, "other": 1}


def test_refused_heartbeats_are_counted_by_reason_and_commands_are_no_heartbeats() -> None:
    measures = Measures()
    refused = [Rejection("1-0", "no_id", ""), Rejection("2-0", "bad_command", "", channel="control")]
    measures.note_batch(refused, 3, [(0, 1500), (2000, 2500)])
    assert measures.rejected == {"no_id": 1, "not_kept": 3}
    assert measures.blind_s == 2.0


def test_an_alert_is_counted_by_what_became_of_the_component_or_by_the_shards_rule() -> None:
    measures = Measures()
    died = Event(EventType.TRANSITION, "a", rev=2, born_ms=1, at_ms=1, source="unhealthy", target="dead")
    measures.note_alerts(died, "{}")
    measures.note_alerts(died, "")
    measures.note_alerts(Event(EventType.FLAPPING, "a", rev=3, born_ms=1, at_ms=1, rule="starts"), "{}")
    measures.note_alerts(Event(EventType.GUARD, "", rev=0, born_ms=0, at_ms=1, rule="mass_failure"), "{}")
    assert measures.alerts_published == {"component.dead": 1, "component.flapping": 1, "shard.mass_failure": 1}


def test_the_table_knows_how_many_heartbeats_it_has_read_and_counts_no_canary_and_no_second_reading() -> None:
    shard = Shard()
    at_ms = START_MS + 100
    entries = [flat(at_ms + number, f"c-{number % 3}") for number in range(30)]
    shard.hear(*entries, canary(at_ms + 40), batch(at_ms + 50, {"id": "x"}, {"id": "y"}, {"id": "c-0"}))
    assert shard.table.heard == 33
    shard.hear(entry(at_ms + 60, "name", "none"))
    assert shard.table.heard == 34
    shard.table.refold(entries, {"c-1"})
    assert shard.table.heard == 34
