from __future__ import annotations

import json

from tests.cli.conftest import Command
from tests.cli.fleet import Fleet


def test_the_cluster_shows_leader_lease_election_and_replicas(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    fleet.announce("mon-a", role="leader", rtt_ms="0.31")
    fleet.announce("mon-b")
    said = healthmon("cluster")
    assert (said.code, said.err) == (0, "")
    assert said.lines[0].startswith("mon-a leads for ")
    assert said.lines[1].split()[0] == "lease"
    assert "mon-a" in said.lines[2]
    assert said.lines[2].endswith("no leader")
    assert said.lines[4].split()[:4] == ["ROLE", "REPLICA", "SEEN", "LAG"]
    assert [line.split()[:2] for line in said.lines[5:]] == [["leader", "mon-a"], ["follower", "mon-b"]]


def test_the_cluster_in_json_has_the_fields_that_replicas_say(healthmon: Command, fleet: Fleet) -> None:
    fleet.store()
    fleet.announce("mon-a", role="leader", rtt_ms="0.31", lag_ms="7")
    value = json.loads(healthmon("cluster", "-o", "json").out)
    assert value["leader"] == "mon-a"
    assert 0 < value["lease_left_ms"] <= 60_000
    assert value["last_election"]["type"] == "leader"
    (replica,) = value["replicas"]
    assert (replica["id"], replica["here"], replica["rtt_ms"], replica["lag_ms"]) == ("mon-a", True, 0.31, 7)
    assert len(value["warnings"]) == 1
    assert healthmon("cluster", "-o", "name").lines == ["mon-a"]


def test_what_to_know_of_a_cluster_stands_below_it(healthmon: Command, fleet: Fleet) -> None:
    fleet.store()
    work = {"round_p99_ms": "4.97", "lag_entries": "12", "skew_ms": "-31", "fenced_writes": "2"}
    fleet.announce("mon-a", seen_ago_s=0.2, role="leader", epoch="17", incarnation="ab12", **work)
    fleet.announce("mon-b", digest="d2", version="0.2.0")
    fleet.announce("mon-c", seen_ago_s=40)
    said = healthmon("cluster", "-o", "wide")
    assert "warning  versions differ" in said.out
    assert "warning  settings that decide differ" in said.out
    assert any(line.startswith("gone      mon-c") for line in said.lines)
    assert {"RULES", "EPOCH", "INCARNATION"} <= set(said.lines[4].split())
    assert " ".join(said.lines[5].split()).endswith("4.97 ms 12 -31 ms 2 ab12 web-01")


def test_a_cluster_without_a_leader_says_for_how_long(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store(led=False)
    fleet.do("DEL", fleet.keys.events)
    said = healthmon("cluster")
    assert said.code == 0
    assert said.lines[0] == "nobody leads, 0 replicas"
    assert "nobody leads for 4 m: states are frozen; start `healthmon monitor`" in said.out


def test_the_cluster_tells_who_offers_handlers_and_that_the_brake_is_on(healthmon: Command, fleet: Fleet) -> None:
    fleet.store()
    fleet.announce("mon-a", role="leader", handlers='["*"]', rules='{"max_retries": 5}', pid="4121")
    fleet.announce("mon-b", handlers='["api-1", "api-2"]')
    fleet.do("HSET", fleet.keys.guard, "mass_since_ms", fleet.server_ms - 40_000)
    said = healthmon("cluster")
    assert "  handlers  mon-a for all; mon-b for api-1, api-2" in said.lines
    (brake,) = [line for line in said.lines if line.startswith("  brake")]
    assert brake.endswith("; if it is real: healthmon resume --mass-failure")
    value = json.loads(healthmon("cluster", "-o", "json").out)
    mine = value["replicas"][0]
    assert (mine["pid"], mine["handlers"], mine["rules"]) == (4121, ["*"], {"max_retries": 5})
    assert value["mass_failure_since"].endswith("Z")
    assert "mass failure since" in healthmon("status").out
