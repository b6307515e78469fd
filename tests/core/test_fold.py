"""What one heartbeat changes in a record."""

from __future__ import annotations

import pytest

from healthmon.core.component import Component, HealthState, Status
from healthmon.core.fold import fold_heartbeat, fold_metrics, missed_in, settled
from healthmon.core.heartbeat import Heartbeat
from healthmon.core.policy import Defaults, Policy

DEFAULTS = Defaults()
BORN_MS = 1_000_000


def record(**policy: float) -> Component:
    given = Policy(**policy)  # type: ignore[arg-type]  # numbers only
    return Component("a", BORN_MS, given, given.limits(DEFAULTS))


def hear(component: Component, after_ms: int, blind_ms: int = 0, **said: object) -> Component:
    beat = Heartbeat("a", **said)  # type: ignore[arg-type]  # as the tests name them
    fold_heartbeat(component, beat, BORN_MS + after_ms, blind_ms, DEFAULTS)
    return component


@pytest.mark.parametrize(
    ("gap_ms", "blind_ms", "interval_ms", "missed"),
    [
        *((1_000, 0, 1_000, 0), (1_499, 0, 1_000, 0), (1_500, 0, 1_000, 1), (2_000, 0, 1_000, 1), (0, 0, 1_000, 0)),
        *((5_000, 0, 1_000, 4), (5_000, 3_000, 1_000, 1), (5_000, 5_000, 1_000, 0), (5_000, 0, 0, 0)),
    ],
)
def test_a_gap_swallowed_what_was_due_in_it_less_blind_time(
    gap_ms: int, blind_ms: int, interval_ms: int, missed: int
) -> None:
    assert missed_in(gap_ms, blind_ms, interval_ms) == missed


def test_the_gap_counts_by_the_interval_that_was_announced_before_it() -> None:
    component = hear(hear(record(), 0, interval_ms=1_000), 5_000, interval_ms=100)
    assert component.missed_heartbeats == 4
    assert hear(component, 5_500).missed_heartbeats == 8


def test_missed_heartbeats_count_by_the_policys_interval_where_none_is_announced() -> None:
    assert hear(hear(record(interval=2), 0), 6_000).missed_heartbeats == 2
    assert hear(hear(record(interval=2), 0, interval_ms=1_000), 6_000).missed_heartbeats == 5
    assert hear(hear(record(), 0), 60_000).missed_heartbeats == 0


def test_nothing_is_missed_between_two_incarnations() -> None:
    component = hear(hear(record(), 0, interval_ms=1_000, incarnation="i1"), 9_000, incarnation="i2")
    assert component.missed_heartbeats == 0


def test_totals_and_clocks_follow_every_heartbeat() -> None:
    component = hear(hear(record(), 10), 30)
    assert (component.total_heartbeats, component.last_heartbeat_ms) == (2, BORN_MS + 30)
    assert component.alive_since_ms == BORN_MS + 10


def test_an_arrival_never_goes_back() -> None:
    assert hear(hear(record(), 30), 10).last_heartbeat_ms == BORN_MS + 30


def test_the_first_incarnation_is_no_restart_and_each_change_after_is() -> None:
    component = hear(record(), 0, incarnation="i1")
    assert (component.restart_count, component.respawn_count) == (0, 0)
    hear(component, 10, incarnation="i1")
    hear(component, 20, incarnation="i2")
    assert (component.restart_count, component.respawn_count, component.respawns) == (1, 1, (BORN_MS + 20,))
    assert component.alive_since_ms == BORN_MS + 20, "uptime runs from the first heartbeat of the incarnation"


def test_a_restart_after_a_goodbye_counts_and_is_not_told() -> None:
    component = hear(record(), 0, incarnation="i1")
    hear(component, 10, incarnation="i1", status=Status.STOPPING)
    hear(component, 20, incarnation="i2")
    assert (component.restart_count, component.respawn_count, component.respawns) == (1, 0, ())


def test_a_heartbeat_without_an_incarnation_says_nothing_of_one() -> None:
    component = hear(hear(record(), 0, incarnation="i1"), 10)
    assert (component.incarnation, component.restart_count) == ("i1", 0)


def test_only_the_latest_restarts_are_remembered() -> None:
    component = record()
    for number in range(40):
        hear(component, number, incarnation=f"i{number}")
    assert (component.restart_count, len(component.respawns)) == (39, 16)


def test_what_is_not_said_again_is_kept() -> None:
    component = hear(record(), 0, host="h", pid="1", version="2", role="db", interval_ms=5)
    hear(component, 1)
    assert (component.host, component.pid, component.version, component.beat_role, component.interval_ms) == (
        *("h", "1", "2", "db"),
        5,
    )


def test_status_and_words_are_only_the_latest() -> None:
    component = hear(hear(record(), 0, status=Status.FAILING, msg="no disk"), 1)
    assert (component.status, component.msg) == (Status.OK, "")


def test_an_announced_interval_sets_the_limits() -> None:
    assert hear(record(), 0, interval_ms=60_000).limits.timeout_ms == 120_000


def test_starting_counts_from_its_first_heartbeat_and_anew_after_another_status() -> None:
    component = hear(hear(record(), 10, status=Status.STARTING), 20, status=Status.STARTING)
    assert component.starting_ms == BORN_MS + 10
    assert hear(component, 30).starting_ms == 0
    assert hear(component, 40, status=Status.STARTING).starting_ms == BORN_MS + 40


def test_the_senders_clock_only_reports_skew() -> None:
    component = hear(record(), 500, sent_ms=BORN_MS)
    assert (component.skew_ms, component.last_heartbeat_ms) == (-500, BORN_MS + 500)


def scores(component: Component, *latencies: float) -> list[tuple[int, int]]:
    seen = []
    for latency in latencies:
        fold_metrics(component, {"latency_ms": latency}, BORN_MS)
        seen.append((component.band, component.good_streak))
    return seen


def test_a_bad_score_fires_at_once_and_clears_after_two_good_ones() -> None:
    assert scores(record(), 10, 450, 10, 10) == [(0, 0), (1, 0), (1, 1), (0, 0)]


def test_a_bad_one_in_between_begins_the_streak_anew() -> None:
    assert scores(record(), 5_000, 10, 5_000, 10, 10) == [(2, 0), (2, 1), (2, 0), (2, 1), (0, 0)]


def test_from_very_bad_it_clears_to_what_the_last_one_says() -> None:
    assert scores(record(), 5_000, 450, 450, 10, 10) == [(2, 0), (2, 1), (1, 0), (1, 1), (0, 0)]


def test_a_policy_sets_how_many_good_ones_it_takes() -> None:
    assert scores(record(recovery_heartbeats=1), 450, 10) == [(1, 0), (0, 0)]
    assert scores(record(recovery_heartbeats=3), 450, 10, 10, 10) == [(1, 0), (1, 1), (1, 2), (0, 0)]


def test_a_heartbeat_with_metrics_replaces_the_earlier_ones() -> None:
    component = hear(hear(record(), 0, metrics={"latency_ms": 450.0}), 1, metrics={"memory_mb": 5.0})
    assert component.metrics == {"memory_mb": 5.0}
    assert (component.score, component.worst_metric) == (1.0, "")


def test_a_heartbeat_without_metrics_keeps_them_for_one_timeout_and_is_neither_good_nor_bad() -> None:
    component = hear(record(), 0, metrics={"latency_ms": 450.0})
    hear(component, 20_000)
    hear(component, 44_999)
    assert (component.metrics, component.band, component.good_streak) == ({"latency_ms": 450.0}, 1, 0)
    hear(component, 45_000)
    assert (component.metrics, component.metrics_ms, component.band, component.score) == ({}, 0, 0, 1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", HealthState.DEGRADED),
        ("status", Status.STARTING),
        ("band", 1),
        ("good_streak", 1),
        ("respawn_count", 1),
        ("rev", 0),
    ],
)
def test_only_a_healthy_record_with_nothing_to_tell_is_settled(name: str, value: object) -> None:
    component = record()
    component.state, component.rev = HealthState.HEALTHY, 2
    assert settled(component)
    setattr(component, name, value)
    assert not settled(component)
