"""`status`, `ls`, `show` and `why` against a fleet with a past."""

from __future__ import annotations

import json
from typing import Any

import pytest

from healthmon.core.alert import rfc3339
from tests.cli.conftest import Command
from tests.cli.fleet import Fleet


@pytest.fixture
def busy(fleet: Fleet) -> Fleet:
    """One dead, one degraded by its latency, two healthy; one of them in another role."""
    fleet.beat("j_prime", interval=10, host="web-03", pid=4121, role="jarvis_prime")
    fleet.passes(200, beating=("api-1", "api-2"), role="api", interval=1)
    fleet.beat("worker-7", role="batch", latency_ms=450, interval=30, host="web-03", msg="slow disk")
    fleet.passes(30, beating=("api-1", "api-2"), role="api", interval=1)
    fleet.store()
    fleet.announce("mon-a", role="leader")
    fleet.announce("mon-b")
    return fleet


# -- status ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("busy")
def test_status_tells_counts_then_who_watches_then_problems_the_worst_first(healthmon: Command) -> None:
    said = healthmon("status")
    assert said.code == 0
    assert said.err == ""
    assert said.lines[:2] == ["2 of 4 components need attention", "  ✖ 1 Dead   ▲ 1 Degraded   ✔ 2 Healthy"]
    assert said.lines[2].startswith("  mon-a leads for ")
    assert said.lines[2].endswith(", 2 replicas")
    assert said.lines[4].split() == ["STATE", "ID", "ROLE", "FOR", "LAST", "BEAT", "REASON"]
    assert [line.split()[2] for line in said.lines[5:]] == ["j_prime", "worker-7"]
    assert said.lines[5].endswith("no heartbeat for 180.0 s (dead after 180 s)")


@pytest.mark.usefixtures("busy")
def test_status_in_json_has_all_counts_and_the_records_of_the_problems(healthmon: Command) -> None:
    value = json.loads(healthmon("status", "-o", "json").out)
    assert value["leader"] == "mon-a"
    assert value["counts"] == {
        **dict.fromkeys(("permanently_failed", "unhealthy", "restarting", "initializing", "unknown"), 0),
        "dead": 1,
        "degraded": 1,
        "healthy": 2,
    }
    assert [one["id"] for one in value["problems"]] == ["j_prime", "worker-7"]
    assert value["problems"][1]["metrics"] == {"latency_ms": 450.0}
    assert healthmon("status", "-o", "name").lines == ["j_prime", "worker-7"]
    assert "\n" not in healthmon("status", "-o", "jsonl").out.strip()


@pytest.mark.usefixtures("busy")
def test_status_says_how_many_more_problems_there_are(healthmon: Command) -> None:
    said = healthmon("status", "--limit", "1")
    assert "worker-7" not in said.out
    assert "1 more problem" in said.err


def test_status_of_nothing_says_how_to_begin(healthmon: Command, at: str) -> None:
    said = healthmon("status")
    assert (said.code, said.lines[0]) == (0, "no components yet")
    assert "healthmon up" in said.err


def test_reads_need_no_leader_and_say_how_old_the_data_is(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store(led=False)
    # The lease is gone, and the last sign of a leader with it.
    fleet.do("DEL", fleet.keys.events)
    for words in (("status",), ("ls",), ("show", "api-1"), ("why", "api-1")):
        said = healthmon(*words)
        assert said.code == 0
        assert "no leader: the data is 4 m old" in said.err, words
    assert json.loads(healthmon("status", "-o", "json").out)["age_ms"] > 200_000


# -- ls --------------------------------------------------------------------------------------------------------------


def ids(healthmon: Command, *words: str) -> list[str]:
    said = healthmon("ls", "-o", "name", *words)
    assert said.code == 0
    return said.lines


@pytest.mark.usefixtures("busy")
def test_ls_lists_the_worst_first(healthmon: Command) -> None:
    assert ids(healthmon) == ["j_prime", "worker-7", "api-1", "api-2"]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--state", "dead"), ["j_prime"]),
        (("--state", "healthy,degraded"), ["worker-7", "api-1", "api-2"]),
        (("-l", "role:api"), ["api-1", "api-2"]),
        (("-l", "host:web-03 score:<0.5"), ["j_prime"]),
        (("-l", "slow"), ["worker-7"]),
        (("-l", "state:dead,degraded host:web-03"), ["j_prime", "worker-7"]),
        (("-l", "role:nothing"), []),
    ],
)
def test_ls_finds_what_is_looked_for(healthmon: Command, words: tuple[str, ...], found: list[str]) -> None:
    assert ids(healthmon, *words) == found


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("search", [(), ("-l", "role:api,batch,jarvis_prime")])
def test_pages_join_without_a_gap(healthmon: Command, search: tuple[str, ...]) -> None:
    whole = ids(healthmon, *search)
    pages = [one for page in ("1", "2", "3") for one in ids(healthmon, *search, "--limit", "2", "--page", page)]
    assert pages == whole
    first = healthmon("ls", "--limit", "2", *search)
    assert "--page 2" in first.err
    assert "--page" not in healthmon("ls", "--limit", "2", "--page", "2", *search).err


def test_what_does_not_fit_on_a_page_is_said_and_nothing_is_cut_off_silently(healthmon: Command, fleet: Fleet) -> None:
    for n in range(60):
        fleet.beat(f"c-{n:02}")
    fleet.store()
    said = healthmon("ls", "-o", "jsonl")
    assert len(said.lines) == 50
    assert said.err == "healthmon: 50 of 60 shown: --page 2 shows the next, --limit 0 all\n"
    assert len(ids(healthmon, "--limit", "0")) == 60


def test_a_component_that_changes_its_state_meanwhile_is_listed_once(healthmon: Command, busy: Fleet) -> None:
    busy.do("ZADD", busy.keys.state("healthy"), 1, "j_prime")
    assert ids(healthmon) == ["j_prime", "worker-7", "api-1", "api-2"]


@pytest.mark.usefixtures("busy")
def test_an_empty_answer_is_no_failure_but_is_said(healthmon: Command) -> None:
    said = healthmon("ls", "-l", "role:nothing", "-o", "json")
    assert (said.code, said.out) == (0, "[]\n")
    assert "nothing found among 4 components" in said.err


@pytest.mark.usefixtures("at")
def test_a_wrong_search_is_a_usage_error(healthmon: Command) -> None:
    assert healthmon("ls", "--state", "deda").code == 2
    assert "there is no state 'deda'" in healthmon("ls", "--state", "deda").err


@pytest.mark.usefixtures("busy")
def test_wide_adds_columns_and_keeps_the_rows(healthmon: Command) -> None:
    head, *rows = healthmon("ls", "-o", "wide").lines
    assert {"SCORE", "HOST", "PID", "BEATS", "MISSED"} <= set(head.split())
    assert len(rows) == 4


def test_the_index_is_believed_where_it_heard_later_than_the_record(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    fleet.do("ZADD", fleet.keys.components, fleet.server_ms, "api-1")
    (record,) = json.loads(healthmon("ls", "-o", "json").out)
    assert record["last_heartbeat"] > record["since"]


# -- show ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("busy")
def test_show_has_every_field_and_the_history(healthmon: Command) -> None:
    said = healthmon("show", "j_prime")
    assert said.code == 0
    assert said.lines[0] == "✖ Dead  j_prime"
    for part in ("State", "Heartbeats", "Identity", "History"):
        assert part in said.lines
    assert any(line.split() == ["host", "web-03"] for line in said.lines)
    value = json.loads(healthmon("show", "j_prime", "-o", "json").out)
    assert (value["state"], value["total_heartbeats"], value["interval_s"]) == ("dead", 1, 10.0)
    assert [entry["to"] for entry in value["history"]] == ["dead", "unhealthy", "degraded"]
    assert "folded" in healthmon("show", "j_prime", "-o", "wide").out


def test_show_tells_numbers_without_empty_fractions_and_the_last_failure(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1", **{"m.queue": 7, "latency_ms": 12.5})
    fleet.store()
    failure = '{"code": 3, "lines": "loading\\nno model", "at_ms": 1795462262000}'
    fleet.do("HSET", fleet.keys.component("api-1"), "failure", failure, "depends_on", "db 7")
    said = healthmon("show", "api-1")
    (metrics,) = [line for line in said.lines if line.split()[:1] == ["metrics"]]
    assert sorted(metrics.split()[1:]) == ["latency_ms=12.5", "m.queue=7"]
    assert "Last failure" in said.lines
    assert any(line.endswith(": exited with code 3") for line in said.lines)
    value = json.loads(healthmon("show", "api-1", "-o", "json").out)
    assert value["failure"]["lines"] == "loading\nno model"
    assert (value["depends_on"], value["restart_max"]) == (["db", "7"], None)


def test_a_row_says_what_comes_next(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1", "api-2")
    fleet.passes(200)
    fleet.store()
    due = rfc3339(fleet.server_ms + 3_600_000)
    key = fleet.keys.component("api-1")
    fleet.do("HSET", key, "next_restart_at", due, "restart_attempt", "2", "restart_max", "5", "held", "by ann")
    rows = {line.split()[2]: line for line in healthmon("ls").lines}
    assert "(dead after 180 s); restart attempt 3/5 in " in rows["api-1"]
    assert rows["api-1"].endswith("; held by ann")
    assert rows["api-2"].endswith("(dead after 180 s)")
    assert "2/5" in healthmon("ls", "-o", "wide").out


def test_a_field_of_a_later_version_is_shown_too(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    fleet.do("HSET", fleet.keys.component("api-1"), "mood", "sunny")
    assert any(line.split() == ["mood", "sunny"] for line in healthmon("show", "api-1").lines)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("command", ["show", "why"])
def test_a_misspelt_id_is_exit_code_3_with_the_nearest_one(healthmon: Command, command: str) -> None:
    said = healthmon(command, "j_prme")
    assert (said.code, said.out) == (3, "")
    assert said.err == "healthmon: no component j_prme; did you mean j_prime?\n"
    assert "`healthmon ls` lists them" in healthmon(command, "zzz").err


def test_a_key_of_a_wrong_type_is_a_sentence(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1", "api-2")
    fleet.store()
    fleet.do("DEL", fleet.keys.component("api-1"))
    fleet.do("SET", fleet.keys.component("api-1"), "text")
    said = healthmon("show", "api-1")
    assert said.code == 1
    assert "wrong type" in said.err
    assert healthmon("ls").code == 0


# -- why -------------------------------------------------------------------------------------------------------------


def why_of(healthmon: Command, component: str) -> dict[str, Any]:
    said = healthmon("why", component, "-o", "json")
    assert said.code == 0
    value: dict[str, Any] = json.loads(said.out)
    return value


@pytest.mark.usefixtures("busy")
def test_why_says_because_last_before_next_and_decided(healthmon: Command) -> None:
    said = healthmon("why", "j_prime")
    assert said.code == 0
    assert said.lines[0].startswith("✖ j_prime is Dead since ")
    assert [line.split()[0] for line in said.lines[1:]] == ["because", "last", "before", "next", "decided"]
    assert said.lines[1] == "  because  no heartbeat for 180.0 s (dead after 180 s)"
    assert said.lines[2].endswith("status=ok from web-03 pid 4121")
    assert said.lines[5].startswith("  decided  mon-a, epoch ")


@pytest.mark.usefixtures("busy")
def test_why_in_json_has_the_chain_of_states(healthmon: Command) -> None:
    value = why_of(healthmon, "j_prime")
    assert [one["state"] for one in value["before"]] == ["unhealthy", "degraded", "healthy"]
    assert value["replica"] == "mon-a"
    assert value["blind_ms"] == 0


def test_why_deducts_the_blind_time_that_is_stored(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.now_ms += 20_000
    fleet.passes(10)
    fleet.store()
    value = why_of(healthmon, "api-1")
    assert value["blind_ms"] == pytest.approx(20_000, abs=1500)
    assert value["silent_ms"] + value["blind_ms"] >= 30_000


def test_why_tells_of_heartbeats_that_are_refused(healthmon: Command, fleet: Fleet) -> None:
    fleet.age_s = 60
    fleet.now_ms = fleet.server_ms - 60_000
    fleet.beat("api-1")
    fleet.passes(50)
    fleet.send("id", "api-1", "p", "no msgpack")
    fleet.store()
    said = healthmon("why", "api-1")
    assert "  but      it sends, but is refused: not_a_map: " in said.out
    assert "1 heartbeat so far" in said.out


def test_why_goes_by_the_leaders_rules_where_it_tells_them(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    fleet.announce("mon-a", role="leader", rules='{"heartbeat_timeout_ms": 1000, "novelty": 1}')
    steps = why_of(healthmon, "api-1")["next"]
    last = fleet.now_ms
    assert steps[0]["at"] == rfc3339(last + 1000)
    fleet.announce("mon-a", role="leader", rules="", digest="another")
    assert "by other settings than this shell's" in healthmon("why", "api-1").err


def test_a_record_that_misses_fields_is_explained_as_far_as_it_goes(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    key = fleet.keys.component("api-1")
    fleet.do("HDEL", key, "born", "rev", "memory", "policy", "since")
    assert healthmon("why", "api-1").code == 0
    fleet.do("HSET", key, "state", "quarantined")
    said = healthmon("why", "api-1")
    assert said.code == 1
    assert "can't be read" in said.err
    assert healthmon("show", "api-1").code == 0
