"""Which settings are accepted, and in what words single values and contradictions are refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from healthmon.settings import Settings, load_settings
from tests.settings.refusals import FIFTY_TIMES_FASTER, SPECIFIED, refusal

if TYPE_CHECKING:
    from pathlib import Path


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
