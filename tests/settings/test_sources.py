"""Where values come from, which win, which names are refused, and what is told about them."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from healthmon.errors import ConfigurationError
from healthmon.settings import Settings, describe, load_client_settings, load_settings
from tests.settings.refusals import FIFTY_TIMES_FASTER, SECRET, refusal

if TYPE_CHECKING:
    from pathlib import Path


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
