from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from healthmon.views.diagnosis import (
    Finding,
    Refusals,
    Rights,
    ServerFacts,
    StreamUse,
    addressed,
    judge_blindness,
    judge_clock,
    judge_cluster,
    judge_names,
    judge_refusals,
    judge_rights,
    judge_server,
    judge_stream,
    redis_cli,
)
from healthmon.views.picture import Replica, replica_of

NOW = 1_795_521_600_000
SERVER = ServerFacts("9.1.2", "valkey", "master", 0, "noeviction", "aof")


def replica(name: str, **said: str) -> Replica:
    return replica_of(name, NOW, NOW, {"version": "0.1.0", "digest": "d1", "lag_ms": "3", **said})


def grades(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.check: finding.grade for finding in findings}


def test_a_server_in_order_has_no_remark() -> None:
    assert set(grades(judge_server(SERVER)).values()) == {"ok"}


def test_a_server_that_saves_nothing_or_could_evict_is_a_warning_with_the_command() -> None:
    server = replace(SERVER, persistence="none", policy="allkeys-lru")
    found = {finding.check: finding for finding in judge_server(server)}
    assert (found["persistence"].grade, found["eviction"].grade) == ("warning", "warning")
    assert "appendonly yes" in found["persistence"].fix
    assert "noeviction" in found["eviction"].fix


def test_rights_are_a_problem_only_where_one_cannot_even_read() -> None:
    assert judge_rights(Rights("ann", {"reader": [], "monitor": ["eval"]})).fact == "user ann may act as reader"
    assert judge_rights(Rights("ann", {"reader": ["xread"], "monitor": ["eval"]})).grade == "problem"
    assert "not checked" in judge_rights(Rights("ann", None, "it may not ask")).fact


@pytest.mark.parametrize(
    ("skew_ms", "grade", "word"), [(500, "ok", "agree"), (61_000, "warning", "ahead of"), (-9000, "warning", "behind")]
)
def test_the_hosts_calendar_is_compared_with_the_servers(skew_ms: int, grade: str, word: str) -> None:
    finding = judge_clock(NOW + skew_ms, NOW)
    assert (finding.grade, word in finding.fact) == (grade, True)


def test_two_equal_replicas_and_a_leader_are_in_order() -> None:
    found = grades(judge_cluster([replica("a"), replica("b")], "a", 0))
    assert found == dict.fromkeys(("leader", "replicas", "versions", "rules", "lag"), "ok")


def test_no_leader_other_rules_and_lag_are_problems_and_one_replica_is_a_warning() -> None:
    found = grades(judge_cluster([replica("a"), replica("b", digest="d2", version="2", lag_ms="9000")], "", 12_000))
    assert found == {"leader": "problem", "replicas": "ok", "versions": "warning", "rules": "problem", "lag": "problem"}
    assert grades(judge_cluster([replica("a")], "a", 0))["replicas"] == "warning"
    assert grades(judge_cluster([], "", 0)) == {"leader": "problem", "replicas": "problem"}


def test_a_stream_without_recent_entries_is_a_problem_since_canaries_are_missing() -> None:
    assert grades(judge_stream(StreamUse(10, 100, NOW - 300), NOW, led=True)) == {"heartbeats": "ok", "room": "ok"}
    assert grades(judge_stream(StreamUse(95, 100, NOW - 9000), NOW, led=True)) == {
        "heartbeats": "problem",
        "room": "problem",
    }
    assert grades(judge_stream(StreamUse(0, 100, 0), NOW, led=False))["heartbeats"] == "warning"


def test_refusals_are_counted_by_reason() -> None:
    assert judge_refusals(Refusals()).grade == "ok"
    finding = judge_refusals(Refusals(Counter({"bad_id": 3, "too_large": 12}), all_kept=False))
    assert (finding.grade, finding.fact) == ("warning", "in the last hour 12 too_large, 3 bad_id and more")


def test_blind_time_counts_within_the_last_hour_only() -> None:
    assert judge_blindness([(NOW - 7_300_000, NOW - 7_200_000)], NOW).grade == "ok"
    finding = judge_blindness([(NOW - 3_700_000, NOW - 3_590_000), (NOW - 5000, NOW - 1000)], NOW)
    assert finding.grade == "warning"
    assert finding.fact.startswith("14 s in 2 stretches in the last hour")


def test_unknown_names_are_a_warning() -> None:
    assert judge_names(()).grade == "ok"
    assert judge_names(("HEALTH_X is no setting",)).fact == "HEALTH_X is no setting"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1:6379/0", "redis-cli"),
        ("redis://localhost:7391/2", "redis-cli -p 7391"),
        ("redis://ann:secret@db-1:6380/0", "redis-cli -h db-1 -p 6380 --user ann --askpass"),
        ("rediss://:secret@db-1", "redis-cli -h db-1 --tls --askpass"),
        ("unix:///run/a b.sock?db=1", "redis-cli -s '/run/a b.sock'"),
        ("", "redis-cli"),
    ],
)
def test_redis_cli_is_told_where_the_server_is_and_never_a_password(url: str, words: str) -> None:
    assert redis_cli(url) == words


def test_a_fix_can_be_typed_as_it_stands() -> None:
    finding = Finding(
        "x", "warning", "fact", "redis-cli CONFIG SET appendonly yes; `healthmon why ID`, or `healthmon keys`"
    )
    assert addressed(finding, "redis-cli -p 7", "--prefix a").fix == (
        "redis-cli -p 7 CONFIG SET appendonly yes; `healthmon why --prefix a ID`, or `healthmon keys`"
    )
    assert addressed(finding, "redis-cli", "") == finding
