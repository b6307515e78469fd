"""`config`, `keys`, `acl`, `doctor` and `beat`."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest

from healthmon.core.heartbeat import Heartbeat
from healthmon.settings import ServingSettings, Settings
from healthmon.store.acl import Role
from healthmon.store.codec import decode_heartbeats
from healthmon.store.keys import STATES, Keys, rows_of
from healthmon.store.runtime_folder import write_url
from tests.cli.conftest import ROOT, Command, wait
from tests.cli.fleet import Fleet
from tests.servers import FreshServer

EVERY_SETTING = Settings.model_fields.keys() | ServingSettings.model_fields.keys()
# What has no default that a file could hold.
UNSET = {
    *("alerts_file", "config", "replica_id", "webhook_secret"),
    *("token", "tokens_file", "heartbeat_dirs", "http_tls_cert", "http_tls_key", "http_cors"),
}

# -- config ----------------------------------------------------------------------------------------------------------


def test_config_shows_each_setting_with_its_source_and_no_password(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://ann:secret@db:6379/0")
    said = healthmon("config")
    assert said.code == 0
    assert "secret" not in said.out
    rows = {row["id"]: row for row in json.loads(healthmon("config", "-o", "json").out)}
    assert set(rows) == {f"HEALTH_{name.upper()}" for name in EVERY_SETTING}
    assert rows["HEALTH_REDIS_URL"]["origin"] == "environment"
    assert rows["HEALTH_REDIS_URL"]["value"] == "redis://ann:***@db:6379/0"
    assert (rows["HEALTH_DEAD_THRESHOLD"]["value"], rows["HEALTH_DEAD_THRESHOLD"]["origin"]) == ("180", "default")


def test_config_says_which_server_commands_find_where_none_is_set(healthmon: Command) -> None:
    assert healthmon("config").err == ""
    write_url("redis://127.0.0.1:7001/0")
    said = healthmon("config").err
    assert said.endswith("commands use redis://127.0.0.1:7001/0 of your `healthmon up`\n")
    assert healthmon("config", "--defaults").err == ""


def test_the_defaults_are_a_file_that_may_be_named_in_health_config(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = healthmon("config", "--defaults").out
    said = tomllib.loads(text)
    assert said["dead_threshold"] == 180
    assert said.keys() == EVERY_SETTING - UNSET
    (tmp_path / "healthmon.toml").write_text(text.replace("dead_threshold = 180", "dead_threshold = 190"))
    monkeypatch.setenv("HEALTH_CONFIG", str(tmp_path / "healthmon.toml"))
    rows = {row["id"]: row for row in json.loads(healthmon("config", "-o", "json").out)}
    assert (rows["HEALTH_DEAD_THRESHOLD"]["value"], rows["HEALTH_DEAD_THRESHOLD"]["origin"]) == ("190", "file")


# -- keys ------------------------------------------------------------------------------------------------------------


def test_keys_lists_every_key_under_the_own_prefix_and_the_lines_for_redis_cli(healthmon: Command, prefix: str) -> None:
    said = healthmon("keys", "--prefix", prefix)
    assert said.code == 0
    assert f"{prefix}:{{0}}:component:<id>" in said.out
    assert f"redis-cli -3 HGETALL '{prefix}:{{0}}:counts'" in said.out
    rows = json.loads(healthmon("keys", "--prefix", prefix, "-o", "json").out)
    assert {"key", "type", "expires", "meaning"} == set(rows[0])


def test_every_key_that_a_fleet_leaves_is_listed_with_its_type(fleet: Fleet) -> None:
    fleet.beat("api-1", "api-2")
    fleet.passes(100, beating=("api-2",))
    fleet.send("id", "api-1", "p", "no msgpack")
    fleet.store()
    fleet.announce("mon-a")
    named = {row.name: row.type for row in rows_of(Keys(fleet.prefix))}
    patterns = {"component:api-": "component:<id>", "history:api-": "history:<id>", "monitor:mon-": "monitor:<replica>"}

    def listed(key: str) -> str:
        for begin, pattern in patterns.items():
            if f":{begin}" in key:
                return f"{fleet.keys.root}:{pattern}"
        state = key.rpartition(":")[2]
        return f"{fleet.keys.root}:state:<state>" if ":state:" in key and state in STATES else key

    _, found = fleet.do("SCAN", 0, "COUNT", 1000)
    for key in (raw.decode() for raw in found):
        kind = fleet.do("TYPE", key).decode()
        assert named.get(listed(key)) == kind, key


# -- acl -------------------------------------------------------------------------------------------------------------


def test_acl_prints_one_line_for_redis_cli_per_role(healthmon: Command, prefix: str) -> None:
    said = healthmon("acl", "--prefix", prefix)
    assert said.code == 0
    assert [shlex.split(line)[:4] for line in said.lines] == [
        ["redis-cli", "ACL", "SETUSER", f"{prefix}-{role.value}"] for role in Role
    ]
    (one,) = healthmon("acl", "--role", "component", "--user", "sensors").lines
    assert shlex.split(one)[3:6] == ["sensors", "reset", "on"]
    assert healthmon("acl", "--role", "admin").code == 2


# -- doctor ----------------------------------------------------------------------------------------------------------


def grades(healthmon: Command) -> dict[str, str]:
    return {one["check"]: one["grade"] for one in json.loads(healthmon("doctor", "-o", "json").out)}


def healthy(fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store()
    fleet.announce("mon-a", role="leader")
    fleet.announce("mon-b")
    fleet.do("XADD", fleet.keys.heartbeats, "*", "canary", "test")


def test_doctor_finds_a_fleet_in_order(healthmon: Command, fleet: Fleet) -> None:
    healthy(fleet)
    said = healthmon("doctor")
    assert said.code == 0
    assert "problem" not in said.out
    found = grades(healthmon)
    assert found.pop("persistence") == "warning"  # the server of the tests saves nothing
    assert found.pop("eviction") in ("ok", "warning")
    assert set(found.values()) == {"ok"}, found
    assert "user default may act as monitor, component, agent, reader, operator" in said.out


def test_doctor_ends_with_1_on_any_problem_and_names_the_fix(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.store(led=False)
    said = healthmon("doctor")
    assert said.code == 1
    lines = [line.split(maxsplit=2) for line in said.lines]
    at = next(n for n, words in enumerate(lines) if words[:2] == ["problem", "leader"])
    assert lines[at + 1][0] == "fix:"
    assert healthmon("doctor", "-o", "jsonl").code == 1


def test_doctor_reads_the_alerts_file_as_a_replica_would(
    healthmon: Command, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    healthy(fleet)
    file = tmp_path / "alerts.toml"
    monkeypatch.setenv("HEALTH_ALERTS_FILE", str(file))
    for text, grade, fact in (
        ('[sinks.chat]\nkind = "log"', "ok", "names 1 sink: chat"),
        ('[sinks.chat]\nkind = "pigeon"', "problem", f"{file}:2"),
    ):
        file.write_text(text)
        said = healthmon("doctor", "-o", "json")
        (found,) = [one for one in json.loads(said.out) if one["check"] == "alerts"]
        assert (found["grade"], fact in found["fact"], said.code) == (grade, True, int(grade == "problem")), found
    file.unlink()
    assert "cannot be read" in healthmon("doctor").out


def test_doctor_counts_alerts_that_nobody_took(healthmon: Command, fleet: Fleet) -> None:
    healthy(fleet)
    fleet.do("XADD", fleet.keys.alerts_dead, f"{fleet.server_ms - 4_000_000}-0", "sink", "chat")
    assert grades(healthmon)["deliveries"] == "ok"
    fleet.do("XADD", fleet.keys.alerts_dead, "*", "sink", "chat", "reason", "410 Gone")
    assert "1 alert became a dead letter in the last hour" in healthmon("doctor").out


def test_doctor_counts_refusals_and_blind_time_of_the_last_hour(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1")
    fleet.now_ms += 20_000
    fleet.passes(1)
    fleet.send("status", "ok")
    fleet.send("id", "api-1", "p", "no msgpack")
    healthy(fleet)
    said = healthmon("doctor")
    assert said.code == 0
    assert "in the last hour 1 no_id, 1 not_a_map" in said.out
    assert "21 s in 1 stretch in the last hour" in said.out


def test_doctor_looks_at_what_keeps_restarts_from_being_made(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1", "api-2", "api-3")
    healthy(fleet)
    day_ago = f"{fleet.server_ms - 90_000_000}-0"
    hold = ("type", "operator", "rule", "hold", "reason", "automatic restarts held by ann")
    for one in ("api-1", "api-3"):
        fleet.do("HSET", fleet.keys.component(one), "held", "by ann")
    fleet.do("XADD", fleet.keys.history("api-1"), day_ago, *hold)
    fleet.do("XADD", fleet.keys.history("api-3"), "*", *hold)
    fleet.do("HSET", fleet.keys.component("api-2"), "restart_method", "handler", "circuit_breaker_state", "open")
    said = healthmon("doctor")
    assert said.code == 1
    assert "problem  handlers     api-2 is restarted by a handler, and no process offers one" in said.out
    assert "warning  breakers     open: api-2" in said.out
    assert "warning  held         for more than a day: api-1, the longest for 1 d 1 h" in said.out
    assert "fix: healthmon resume api-1" in said.out
    assert f"fix: redis-cli -p {urlsplit(fleet.url).port} CONFIG SET" in said.out


def test_doctor_names_settings_that_nobody_knows(healthmon: Command, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_OF_THE_NATION", "1")
    said = healthmon("doctor")
    assert "HEALTH_OF_THE_NATION is no setting" in said.out
    assert said.err == ""
    monkeypatch.setenv("HEALTH_LEASE_TTLL", "1")
    said = healthmon("doctor")
    assert said.code == 1
    assert said.lines[0].startswith("problem  settings")


def test_doctor_says_what_is_wrong_with_the_server(healthmon: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://127.0.0.1:1/0")
    said = healthmon("doctor")
    assert said.code == 1
    assert "problem  reachable  Redis is not reachable" in said.out
    assert said.err == ""


def test_doctor_refuses_a_server_that_evicts(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch, fresh_server: Callable[..., FreshServer]
) -> None:
    server = fresh_server()
    anyio.run(server.start)
    monkeypatch.setenv("HEALTH_REDIS_URL", server.url)
    fleet = Fleet(server.url, "healthmon")
    for setting in (("maxmemory-policy", "allkeys-lru"), ("maxmemory", "100mb")):
        fleet.do("CONFIG", "SET", *setting)
    said = healthmon("doctor")
    assert said.code == 1
    assert "evicts keys" in said.out
    assert "CONFIG SET maxmemory-policy noeviction" in said.out


# -- beat ------------------------------------------------------------------------------------------------------------


def sent(fleet: Fleet) -> list[dict[str, object]]:
    entries = fleet.do("XRANGE", fleet.keys.heartbeats, "-", "+")
    return [
        {"entry": entry_id.decode(), "id": beat.id, "status": beat.status, "msg": beat.msg, "metrics": beat.metrics}
        for entry_id, fields in entries
        for beat in decode_heartbeats(fields)
        if isinstance(beat, Heartbeat)
    ]


def test_beat_sends_one_heartbeat_and_prints_its_entry(healthmon: Command, fleet: Fleet) -> None:
    said = healthmon("beat", "job-1", "--status", "degraded", "--msg", "slow", "-m", "latency_ms=12", "-m", "m.queue=3")
    assert (said.code, said.err) == (0, "")
    assert sent(fleet) == [
        {
            "entry": said.out.strip(),
            "id": "job-1",
            "status": "degraded",
            "msg": "slow",
            "metrics": {"latency_ms": 12.0, "m.queue": 3.0},
        }
    ]


@pytest.mark.usefixtures("at")
@pytest.mark.parametrize(
    "words", [(), (".bad",), ("x", "-m", "latency"), ("x", "--status", "well"), ("x", "--every", "0")]
)
def test_a_beat_that_says_nothing_sensible_is_a_usage_error(healthmon: Command, words: tuple[str, ...]) -> None:
    said = healthmon("beat", *words)
    assert (said.code, said.out) == (2, "")
    assert said.err


def test_a_beat_takes_its_id_from_the_environment(
    healthmon: Command, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_COMPONENT_ID", "job-2")
    assert healthmon("beat").code == 0
    assert sent(fleet)[0]["id"] == "job-2"


def test_a_beat_that_goes_on_says_once_that_it_is_heard_and_ends_with_a_goodbye(fleet: Fleet, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "healthmon", "beat", "job-3", "--every", "0.05"]
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(words, stderr=err, stdout=subprocess.PIPE, cwd=ROOT)
        wait(lambda: len(sent(fleet)) > 3 and (tmp_path / "err").read_text())
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10)[0] == b""
    assert process.returncode == 0
    told = (tmp_path / "err").read_text()
    assert told == f"healthmon: {fleet.url} takes a heartbeat of job-3 every 0.05 s; Ctrl-C says goodbye\n"
    assert sent(fleet)[-1]["status"] == "stopping"
