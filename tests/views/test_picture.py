from __future__ import annotations

import pytest

from healthmon.views.picture import (
    Freshness,
    Replica,
    cluster_headline,
    cluster_warnings,
    counts_of,
    headline,
    json_of,
    replica_of,
)

NOW = 1_795_521_600_000


def test_stored_fields_become_json_values_under_their_own_names() -> None:
    value = json_of(
        {
            "total_heartbeats": "12",
            "score": "0.61",
            "metrics": '{"latency_ms":450.0}',
            "last_heartbeat": "",
            "since": "2026-11-23T19:31:02.114Z",
            "id": "j_prime",
            "pid": "4121",
        }
    )
    assert value == {
        "id": "j_prime",
        "since": "2026-11-23T19:31:02.114Z",
        "score": 0.61,
        "last_heartbeat": None,
        "metrics": {"latency_ms": 450.0},
        "pid": "4121",
        "total_heartbeats": 12,
    }
    assert list(value)[:2] == ["id", "since"]


def test_what_somebody_else_wrote_into_a_field_is_shown_as_it_is() -> None:
    assert json_of({"rev": "many", "policy": "{no json"}) == {"rev": "many", "policy": "{no json"}


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, "no components yet"),
        ({"healthy": "1"}, "the one component is healthy"),
        ({"healthy": "9988"}, "all 9 988 components are healthy"),
        ({"healthy": "3", "unknown": "1"}, "no problems among 4 components"),
        ({"healthy": "3", "dead": "1"}, "1 of 4 components needs attention"),
        ({"dead": "1", "degraded": "2", "permanently_failed": "1"}, "4 of 4 components need attention"),
    ],
)
def test_the_headline_says_whether_anything_is_wrong(counts: dict[str, str], said: str) -> None:
    assert headline(counts_of(counts)) == said


def test_counts_are_ordered_and_keep_states_of_a_later_version() -> None:
    counts = counts_of({"healthy": "3", "dead": "1", "quarantined": "2"})
    assert list(counts)[:2] == ["permanently_failed", "dead"]
    assert counts["quarantined"] == 2


@pytest.mark.parametrize(
    ("age_ms", "led", "word"),
    [
        (4000, True, ""),
        (14_000, True, ""),
        (22_000, True, "the leader has written nothing for 22 s"),
        (4000, False, "no leader right now"),
        (22_000, False, "no leader: the data is 22 s old"),
    ],
)
def test_data_beyond_five_seconds_is_said_to_be_old(age_ms: int, led: bool, word: str) -> None:
    remark = Freshness(NOW, NOW - age_ms, led).remark()
    assert remark.startswith(word)
    assert bool(remark) == bool(word)


def test_where_nothing_was_ever_stored_the_remark_says_how_to_begin() -> None:
    assert "healthmon up" in Freshness(NOW, 0, led=False).remark()
    assert Freshness(NOW, 0, led=True).remark() == ""


def replica(name: str, *, ago_ms: int = 500, **said: str) -> Replica:
    given = {"version": "0.1.0", "digest": "d1", "lag_ms": "3"}
    return replica_of(name, NOW - ago_ms, NOW, {**given, **said})


def warnings(*replicas: Replica, leader: str = "a", leaderless_ms: int = 0) -> list[str]:
    return cluster_warnings(replicas, leader, leaderless_ms)


def test_two_equal_replicas_need_no_warning() -> None:
    assert warnings(replica("a"), replica("b")) == []


def test_each_thing_to_know_of_a_cluster_is_one_warning() -> None:
    assert "only one replica" in warnings(replica("a"))[0]
    assert "versions differ" in warnings(replica("a"), replica("b", version="0.2.0"))[0]
    assert warnings(replica("a"), replica("b", digest="d2")) == [
        "settings that decide differ: a failover would change the rules (d1: a; d2: b)"
    ]
    assert "b reads 8 s behind" in warnings(replica("a"), replica("b", lag_ms="8000"))
    assert "nobody leads for 12 s" in warnings(replica("a"), replica("b"), leader="", leaderless_ms=12_000)[0]
    assert "a leads and is not among the replicas" in warnings(replica("b"), replica("c"))[0]


def test_a_replica_that_is_silent_or_said_nothing_is_not_counted() -> None:
    gone = replica("c", ago_ms=6000)
    expired = replica_of("d", NOW, NOW, {})
    assert "only one replica" in warnings(replica("a"), gone, expired)[0]
    assert warnings(replica("a"), replica("b"), replica_of("c", NOW, NOW, {"version": ""})) == []


def test_the_cluster_headline_says_who_leads_since_when() -> None:
    two = [replica("a"), replica("b")]
    assert cluster_headline(two, "a", 17, 7_440_000) == "a leads for 2 h 4 m, epoch 17, 2 replicas"
    assert cluster_headline(two[:1], "", 0, 0) == "nobody leads, 1 replica"
