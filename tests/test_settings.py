"""Which settings are accepted, which win, and in what words the others are refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from healthmon.errors import ConfigurationError
from healthmon.settings import Settings, describe, load_client_settings, load_settings, masked_url

if TYPE_CHECKING:
    from pathlib import Path

SPECIFIED = {"check_interval": 1.0, "heartbeat_timeout": 5.0, "degraded_threshold": 10.0, "dead_threshold": 20.0}
FIFTY_TIMES_FASTER = {
    "check_interval": 0.02,
    "heartbeat_timeout": 0.1,
    "degraded_threshold": 0.2,
    "dead_threshold": 0.4,
}
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def environment_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.upper().startswith("HEALTH_")]:
        monkeypatch.delenv(name)


def refusal(**given: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**given)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, (
        "a person would see pydantic's own words"
    )
    assert caught.value.exit_code == 2
    return str(caught.value)


# --- defaults and what must be accepted


def test_the_defaults_are_the_specifications() -> None:
    settings = load_settings()
    assert (settings.check_interval, settings.heartbeat_timeout) == (15, 45)
    assert (settings.degraded_threshold, settings.dead_threshold) == (90, 180)
    assert (settings.max_retries, settings.base_delay, settings.max_delay, settings.exponential_base) == (5, 5, 300, 2)
    assert (settings.failure_threshold, settings.recovery_timeout, settings.success_threshold) == (5, 60, 2)
    assert (settings.enable_auto_restart, settings.enable_circuit_breakers, settings.broadcast_events) == (
        True,
        True,
        True,
    )


def test_the_other_defaults_are_the_documented_ones() -> None:
    settings = load_settings()
    assert (settings.redis_url, settings.prefix, settings.shards) == ("redis://127.0.0.1:6379/0", "healthmon", 1)
    assert (settings.lease_ttl, settings.takeover_grace, settings.coalesce) == (3, 0.15, 0.03)
    assert (settings.startup_timeout, settings.restart_timeout, settings.probe_timeout) == (120, 60, 5)
    assert (settings.probes_concurrent, settings.restarts_concurrent, settings.restarts_per_minute) == (50, 5, 20)
    assert (settings.reset_after, settings.max_components, settings.new_components_per_minute) == (600, 1_000_000, 0)
    assert (settings.events_retention, settings.restarts_retention) == (604_800, 86_400)
    assert (settings.forget_after, settings.forget_after_unknown) == (604_800, 3600)
    assert (settings.checkpoint_interval, settings.checkpoint_components, settings.recovery_heartbeats) == (5, 1, 2)
    assert (settings.auto_register, settings.mass_failure) == (True, True)
    assert (settings.log_level, settings.log_format, settings.config) == ("info", "text", None)


@pytest.mark.parametrize("given", [SPECIFIED, FIFTY_TIMES_FASTER])
def test_the_specifications_own_test_is_accepted_also_fifty_times_faster(given: dict[str, float]) -> None:
    settings = load_settings(**given)
    assert {name: getattr(settings, name) for name in given} == given


def test_a_default_slice_shrinks_with_the_timeout_and_a_given_one_does_not() -> None:
    assert load_settings().coalesce_effective == 0.03
    assert load_settings(**FIFTY_TIMES_FASTER).coalesce_effective == pytest.approx(0.1 / 6)
    assert load_settings(heartbeat_timeout=0.05).coalesce_effective == pytest.approx(0.05 / 6)
    assert load_settings(**FIFTY_TIMES_FASTER, coalesce=0.02).coalesce_effective == 0.02


def test_a_replica_is_named_after_its_host_and_each_one_differently() -> None:
    first, second = load_settings().replica_id, load_settings().replica_id
    assert re.fullmatch(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]*-[a-z0-9]{4}", first)
    assert first != second


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().shards = 1


# --- where values come from


def test_arguments_win_over_the_environment_which_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "healthmon.toml"
    file.write_text("heartbeat_timeout = 11\nHEALTH_DEGRADED_THRESHOLD = 70\ndead_threshold = 170\n")
    monkeypatch.setenv("HEALTH_CONFIG", str(file))
    monkeypatch.setenv("HEALTH_HEARTBEAT_TIMEOUT", "12")
    monkeypatch.setenv("HEALTH_DEGRADED_THRESHOLD", "71")
    settings = load_settings(heartbeat_timeout=13)
    assert (settings.heartbeat_timeout, settings.degraded_threshold, settings.dead_threshold) == (13, 71, 170)
    names = ("heartbeat_timeout", "degraded_threshold", "dead_threshold", "check_interval")
    assert [settings.origin(name) for name in names] == ["argument", "environment", "file", "default"]


def test_none_as_an_argument_and_an_empty_variable_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_HEARTBEAT_TIMEOUT", "44")
    monkeypatch.setenv("HEALTH_LEASE_TTL", "")
    settings = load_settings(heartbeat_timeout=None)
    assert (settings.heartbeat_timeout, settings.lease_ttl) == (44, 3)
    assert settings.origin("lease_ttl") == "default"


def test_the_file_may_be_named_by_an_argument(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("lease_ttl = 4\nmass_failure = false\n")
    settings = load_settings(config=file)
    assert (settings.lease_ttl, settings.mass_failure, settings.config) == (4, False, file)


def test_the_file_may_be_in_the_home_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("lease_ttl = 4\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HEALTH_CONFIG", "~/a.toml")
    assert load_settings().lease_ttl == 4


def test_surrounding_space_is_no_part_of_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://h:1/0\n")
    monkeypatch.setenv("HEALTH_LOG_FORMAT", "JSON")
    settings = load_settings()
    assert (settings.redis_url, settings.log_format) == ("redis://h:1/0", "json")


# --- single values that are refused


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CHECK_INTERVAL", "15s", "is '15s', which is no number; give seconds, such as 15"),
        ("EXPONENTIAL_BASE", "two", "is 'two', which is no number; give one, such as 2"),
        ("DEAD_THRESHOLD", "nan", "is 'nan', which is no number; give seconds, such as 180"),
        ("MAX_DELAY", "inf", "is 'inf', which is no number; give seconds, such as 300"),
        ("MAX_RETRIES", "2.5", "is '2.5', which is no whole number; give one, such as 5"),
        ("MASS_FAILURE", "maybe", "is 'maybe'; give true or false"),
        ("LOG_FORMAT", "xml", "is 'xml'; give 'text' or 'json'"),
        ("LOG_LEVEL", "loud", "is 'loud'; give 'debug', 'info', 'warning', 'error' or 'critical'"),
        ("LEASE_TTL", "0.4", "is 0.4 s, below 0.5 s: ordinary pauses would end leadership; give 0.5 to 60"),
        ("COALESCE", "3", "is 3 s, above 1 s: nothing is gained beyond 0.05; give 0 to 1"),
        ("EXPONENTIAL_BASE", "0.5", "is 0.5, below 1: delays would shrink into a restart storm; give 1 to 100"),
        ("MAX_RETRIES", "-1", "is -1, below 0: there are no fewer than none; give 0 to 1000"),
        (
            "RECOVERY_TIMEOUT",
            "601",
            "is 601 s, above 600 s: each reopening doubles it, to 600 s at most; give 0.01 to 600",
        ),
        ("SHARDS", "4", "is 4, above 1: several shards are not served yet; leave it at 1"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_the_fault_and_the_fix(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"HEALTH_{name}", value)
    assert refusal() == f"HEALTH_{name} {told}"


@pytest.mark.parametrize("prefix", ["a{b}", "a b", "a*", ":a", "a:", "x" * 65, "ä", "a\x00"])
def test_a_prefix_that_would_break_keys_or_acls_is_refused(prefix: str) -> None:
    assert "which cannot stand before hash tags and in ACL patterns; give 1 to 64 of" in refusal(prefix=prefix)


@pytest.mark.parametrize("prefix", ["healthmon", "prod:eu-1", "a", "x" * 64])
def test_an_ordinary_prefix_is_accepted(prefix: str) -> None:
    assert load_settings(prefix=prefix).prefix == prefix


@pytest.mark.parametrize("replica_id", [".hidden", "a|b", "a b", "x" * 129, "a\nb"])
def test_a_replica_id_outside_the_alphabet_of_ids_is_refused(replica_id: str) -> None:
    assert refusal(replica_id=replica_id).startswith("replica_id is ")


@pytest.mark.parametrize("name", ["heartbeat_timeout", "max_retries", "prefix"])
def test_true_is_no_number_and_no_text(name: str) -> None:
    assert refusal(**{name: True}) == f"{name} is true, but this is no switch; give its value"


def test_a_setting_is_named_as_the_person_wrote_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('lease_ttl = "long"\n')
    monkeypatch.setenv("HEALTH_BASE_DELAY", "soon")
    lines = refusal(config=str(file), max_delay="late").splitlines()
    assert {line.split(" is ")[0] for line in lines} == {f"lease_ttl in {file}", "HEALTH_BASE_DELAY", "max_delay"}


def test_every_problem_has_its_line() -> None:
    assert len(refusal(base_delay=-1, max_delay="x", prefix="{", nonsense=1).splitlines()) == 4


# --- the URL, and secrets in it


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"redis://:{SECRET}@h:99999/0", "has no readable host and port"),
        (f"redis://:{SECRET}/x@h:6379", "has no readable host and port"),
        (f"redis://u:{SECRET}@h/first", "does not end with a database number"),
        (f"redis://u:{SECRET}@h:0/0", "has port 0"),
        (f"u:{SECRET}@h:6379", "does not begin with a scheme that is served"),
        (f"http://u:{SECRET}@h", "does not begin with a scheme that is served"),
        (
            f"redis+sentinel://:{SECRET}@h/mymaster/0",
            "which is not served yet; give redis://HOST:PORT/DB of the master",
        ),
        (f"redis+cluster://:{SECRET}@h", "which is not served yet"),
        (f"unix://:{SECRET}@socket", "names no socket; give unix:///PATH"),
    ],
)
def test_a_url_that_cannot_be_served_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", url)
    text = refusal()
    assert text.startswith(f"HEALTH_REDIS_URL {told}") or told in text
    assert SECRET not in text


def test_a_password_in_the_wrong_setting_is_not_told_either() -> None:
    assert SECRET not in refusal(prefix=f"redis://:{SECRET}@h", replica_id=f"redis://{SECRET}@h")
    with pytest.raises(ValidationError) as caught:
        Settings(redis_url=f"u:{SECRET}@h")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://h",
        "rediss://u:p@h:1/15?ssl_cert_reqs=none",
        "unix:///run/r.sock?db=1",
        "embedded://",
        "embedded:///d",
    ],
)
def test_a_url_that_can_be_served_is_accepted(url: str) -> None:
    assert load_settings(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        (f"redis://u:{SECRET}@h:1/0", "redis://u:***@h:1/0"),
        (f"redis://:{SECRET}@h", "redis://:***@h"),
        (f"redis://:a@{SECRET}:b@h", "redis://:***@h"),
        (f"redis://{SECRET}@h", "redis://***@h"),
        (f"{SECRET}@h", "***@h"),
        (f"redis://h/0?db=1&password={SECRET}&x=1", "redis://h/0?db=1&password=***&x=1"),
    ],
)
def test_a_masked_url_shows_where_and_hides_secrets(url: str, masked: str) -> None:
    assert masked_url(url) == masked


# --- relations


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"heartbeat_timeout": 90},
            "heartbeat_timeout (90 s) must be below HEALTH_DEGRADED_THRESHOLD (90 s by default), because silence makes",
        ),
        (
            {"degraded_threshold": 200, "dead_threshold": 180},
            "degraded_threshold (200 s) must be below dead_threshold (180 s), because silence makes unhealthy before",
        ),
        (
            {"lease_ttl": 0.5, "takeover_grace": 0.2},
            "takeover_grace (0.2 s) must be below a third of lease_ttl (0.5 s)",
        ),
        ({"base_delay": 301}, "base_delay (301 s) must not be above HEALTH_MAX_DELAY (300 s by default)"),
        ({"reset_after": 165}, "reset_after (165 s) must be above HEALTH_STARTUP_TIMEOUT (120 s by default) plus"),
        (
            {"restarts_retention": 60},
            "restarts_retention (60 s) must be above HEALTH_RESTART_TIMEOUT (60 s by default)",
        ),
        (
            {**FIFTY_TIMES_FASTER, "coalesce": 0.04},
            "coalesce (0.04 s) must be below a third of heartbeat_timeout (0.1 s)",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_with_the_reason(given: dict[str, Any], told: str) -> None:
    text = refusal(**given)
    assert text.startswith(told)
    assert re.search(r", because [^;]+; (lower|raise) the first", text)
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"heartbeat_timeout": 89.9},
        {"lease_ttl": 0.5, "takeover_grace": 0.16},
        {"base_delay": 300},
        {"reset_after": 165.1},
        {"restarts_retention": 60.1},
        {**FIFTY_TIMES_FASTER, "coalesce": 0.033},
    ],
)
def test_settings_just_within_a_relation_are_accepted(given: dict[str, Any]) -> None:
    load_settings(**given)


def test_each_broken_relation_has_its_line() -> None:
    assert len(refusal(heartbeat_timeout=200, dead_threshold=80, base_delay=400).splitlines()) == 3


def test_settings_made_without_loading_refuse_contradictions_too() -> None:
    with pytest.raises(ValidationError, match="silence makes unhealthy before it makes dead"):
        Settings(dead_threshold=80)


# --- names that nobody knows


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("HEALTH_CHEKC_INTERVAL", "HEALTH_CHECK_INTERVAL"),
        ("HEALTH_CHEKC_INTREVAL", "HEALTH_CHECK_INTERVAL"),
        ("HEALTH_DEAD_TRESHOLDS", "HEALTH_DEAD_THRESHOLD"),
        ("HEALTH_REDISURL", "HEALTH_REDIS_URL"),
        ("HEALTH_TOKNE", "HEALTH_TOKEN"),
        ("HEALTH_COMPONENTID", "HEALTH_COMPONENT_ID"),
    ],
)
def test_a_name_within_two_edits_of_a_known_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str, meant: str
) -> None:
    monkeypatch.setenv(written, SECRET)
    assert refusal() == f"{written} is no setting; did you mean {meant}?"
    monkeypatch.delenv(written)
    file = tmp_path / "a.toml"
    file.write_text(f'{written.lower()} = "x"\n')
    assert refusal(config=file) == f"{written.lower()} in {file} is no setting; did you mean {meant}?"


def test_other_unknown_names_are_warnings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("something_else = 1\n[a_table]\nx = 1\n")
    monkeypatch.setenv("HEALTH_SERVICE_HOST", "10.0.0.1")
    assert load_settings(config=file).warnings == (
        f"something_else in {file} is no setting of healthmon and is ignored",
        f"a_table in {file} is no setting of healthmon and is ignored",
        "HEALTH_SERVICE_HOST is no setting of healthmon and is ignored",
    )


@pytest.mark.parametrize(
    "name",
    [
        "COMPONENT_ID",
        "INTERVAL",
        "INCARNATION",
        "DISABLED",
        "HTTP_HOST",
        "HTTP_PORT",
        "HEARTBEAT_DIRS",
        "TOKEN",
        "TOKENS_FILE",
    ],
)
def test_names_of_other_parts_are_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"HEALTH_{name}", "1")
    assert load_settings().warnings == ()


def test_an_unknown_argument_is_refused_whatever_it_resembles() -> None:
    assert refusal(check_intervall=1) == "check_intervall is no setting; did you mean check_interval?"
    assert refusal(colour="red") == "colour is no setting; `healthmon config` lists them"


# --- the file


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert refusal(config=tmp_path / "none.toml").startswith(
        f"the settings file {tmp_path}/none.toml cannot be read: No such file"
    )


@pytest.mark.parametrize(
    ("content", "told"), [(b"lease_ttl =\n", "Invalid value"), (b"\xff\xfe", "it is no UTF-8 text")]
)
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(content)
    assert refusal(config=file).startswith(f"the settings file {file} is no TOML: {told}")


def test_a_file_may_not_name_another_nor_a_setting_twice(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('config = "b.toml"\nlease_ttl = 4\nHEALTH_LEASE_TTL = 5\n')
    second, twice = refusal(config=file).splitlines()
    assert second == f"config in {file} would name a second file, and only one is read; remove it"
    assert twice == f"HEALTH_LEASE_TTL in {file} is there twice, with and without HEALTH_; remove one"


# --- what is told about settings


def test_every_setting_is_described_with_its_origin_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", f"redis://u:{SECRET}@h:1/0")
    settings = load_settings(max_retries=3)
    rows = {row.name: row for row in describe(settings)}
    assert list(rows) == [f"HEALTH_{name.upper()}" for name in Settings.model_fields]
    assert all(row.description for row in rows.values())
    url, retries, forget = (rows[f"HEALTH_{name}"] for name in ("REDIS_URL", "MAX_RETRIES", "FORGET_AFTER"))
    assert (url.value, url.origin, url.default) == ("redis://u:***@h:1/0", "environment", "redis://127.0.0.1:6379/0")
    assert (retries.value, retries.origin, retries.default) == ("3", "argument", "5")
    assert (forget.value, forget.origin) == ("604800", "default")
    assert (rows["HEALTH_REPLICA_ID"].value, rows["HEALTH_REPLICA_ID"].default) == (
        settings.replica_id,
        "<host>-<4 random>",
    )
    assert (rows["HEALTH_MASS_FAILURE"].value, rows["HEALTH_CONFIG"].value) == ("true", "")
    assert SECRET not in repr(settings)
    assert SECRET not in str(list(rows.values()))


def test_what_is_described_can_be_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(**FIFTY_TIMES_FASTER, mass_failure=False, log_level="DEBUG")
    for row in describe(settings):
        monkeypatch.setenv(row.name, row.value)
    assert load_settings().model_dump() == settings.model_dump()


def test_the_digest_is_the_same_where_the_rules_are() -> None:
    digest = load_settings().rules_digest()
    assert re.fullmatch(r"[0-9a-f]{12}", digest)
    other = load_settings(
        redis_url="redis://h:1/0", replica_id="b", log_level="debug", lease_ttl=4, coalesce=0.02, heartbeat_timeout="45"
    )
    assert other.rules_digest() == digest


@pytest.mark.parametrize(
    "given",
    [
        {"heartbeat_timeout": 44},
        {"degraded_threshold": 91},
        {"dead_threshold": 181},
        {"max_retries": 4},
        {"failure_threshold": 4},
        {"recovery_heartbeats": 3},
        {"startup_timeout": 121},
        {"mass_failure": False},
        {"auto_register": False},
    ],
)
def test_the_digest_changes_with_each_rule(given: dict[str, Any]) -> None:
    assert load_settings(**given).rules_digest() != load_settings().rules_digest()


def test_the_digest_changes_with_rules_beside_the_settings() -> None:
    settings = load_settings()
    assert settings.rules_digest("latency_ms 50/200/1000") != settings.rules_digest()


# --- a component's side


def test_a_component_reads_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_COMPONENT_ID", "j_prime")
    monkeypatch.setenv("HEALTH_DISABLED", "1")
    monkeypatch.setenv("HEALTH_HEARTBEAT_TIMEOUT", "is the monitor's")
    client = load_client_settings(interval=2)
    assert (client.component_id, client.interval, client.incarnation, client.disabled) == ("j_prime", 2, None, True)
    assert (client.redis_url, client.prefix) == ("redis://127.0.0.1:6379/0", "healthmon")


def test_a_components_wrong_settings_are_refused_in_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_COMPONENT_ID", "no id")
    with pytest.raises(ConfigurationError) as caught:
        load_client_settings(interval=3601)
    first, second = str(caught.value).splitlines()
    assert first.startswith("HEALTH_COMPONENT_ID is 'no id', which is no id; give 1 to 128 of")
    assert second.startswith(
        "interval is 3601 s, above 3600 s: a monitor takes an announced interval for an hour at most"
    )


def test_settings_bring_in_nothing_heavy_beyond_pydantic() -> None:
    ours = "import sys, healthmon.settings; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    pydantics = ours.replace("healthmon.settings", "pydantic_settings")
    loaded, needed = (
        set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
        for code in (ours, pydantics)
    )
    assert not loaded - needed - {"healthmon"} - set(sys.stdlib_module_names)
