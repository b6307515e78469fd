"""The files of `healthmon export`, as the programs read them that they are for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from healthmon.views.exporting import EXPORTS, UNITS, Wanted
from healthmon.views.series import SERIES, page

ROOT = Path(__file__).parent.parent.parent
WANTED = Wanted(executable=sys.executable, runbooks="docs/runbooks.md")
ALERTS = {
    *("ComponentDead", "ComponentGaveUp", "RoleBelowQuorum", "RestartLoop", "Flapping", "NoLeader", "TwoLeaders"),
    *("LoopStalled", "StreamLag", "RedisDown", "ClockSkew", "AlertDeliveryFailing", "MassFailure", "Down", "Watchdog"),
}


def exported(what: str) -> dict[str, str]:
    return EXPORTS[what](WANTED)


def written(what: str, folder: Path) -> list[Path]:
    paths = [folder / name for name in exported(what)]
    for path, text in zip(paths, exported(what).values(), strict=True):
        path.write_text(text)
    return paths


def run(*words: str | Path, cwd: Path) -> str:
    """What a program says, all of it; it must have succeeded."""
    ran = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def names_in(text: str) -> set[str]:
    """The series that a query or a file of queries names; the suffixes of a histogram taken off."""
    found = set(re.findall(r"\bhealthmon_\w+", text))
    return {re.sub("_(bucket|sum|count)$", "", name) for name in found}


def test_every_rule_is_there_and_names_only_series_that_are_exported() -> None:
    (text,) = exported("prometheus-rules").values()
    assert set(re.findall(r"- alert: (\w+)", text)) == ALERTS
    assert names_in(text) <= SERIES.keys()
    for part in text.split("- alert: ")[1:]:
        assert all(word in part for word in ("severity:", "summary:", "runbook_url:")), part


def test_every_rule_has_its_runbook_and_every_runbook_its_rule() -> None:
    (text,) = exported("prometheus-rules").values()
    titles = re.findall("^## (.+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert set(titles) == ALERTS
    assert re.findall(r"docs/runbooks\.md#(\w+)", text) == [
        name.lower() for name in re.findall(r"- alert: (\w+)", text)
    ]


def test_the_reference_of_metrics_is_the_codes_own() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == page(), "run: healthmon export metrics > docs/metrics.md"


def test_the_dashboard_shows_every_kind_of_thing_by_names_that_are_exported() -> None:
    (text,) = exported("grafana").values()
    board: dict[str, Any] = json.loads(text)
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert names_in(" ".join(queries)) <= SERIES.keys()
    unseen = SERIES.keys() - names_in(text)
    assert unseen <= {
        *("healthmon_component_health_score_ratio", "healthmon_component_last_heartbeat_timestamp_seconds"),
        *("healthmon_component_restarts_total", "healthmon_component_breaker_open", "healthmon_component_silenced"),
        *("healthmon_component_info", "healthmon_heartbeat_folders"),
    }
    assert {panel["type"] for panel in board["panels"]} == {"stat", "table", "timeseries", "state-timeline"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_no_two_panels_of_the_dashboard_lie_on_each_other() -> None:
    (text,) = exported("grafana").values()
    taken = set[tuple[int, int]]()
    for panel in json.loads(text)["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.needs("promtool")
def test_promtool_finds_the_rules_right_and_each_fires_when_it_should(tmp_path: Path) -> None:
    (rules,) = written("prometheus-rules", tmp_path)
    assert f"{len(ALERTS)} rules found" in run("promtool", "check", "rules", rules, cwd=tmp_path)
    shutil.copy(Path(__file__).with_name("rules.yml"), tmp_path)
    assert "SUCCESS" in run("promtool", "test", "rules", "rules.yml", cwd=tmp_path)


@pytest.mark.needs("promtool")
def test_every_query_of_the_dashboard_is_one_that_prometheus_understands(tmp_path: Path) -> None:
    (text,) = exported("grafana").values()
    queries = [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(queries)} rules found" in run("promtool", "check", "rules", "queries.yml", cwd=tmp_path)


@pytest.mark.needs("systemd-analyze")
def test_systemd_finds_the_unit_files_right(tmp_path: Path) -> None:
    paths = written("systemd", tmp_path)
    assert [path.name for path in paths] == list(UNITS)
    said = run("systemd-analyze", "verify", "--man=no", *paths, cwd=tmp_path)
    assert not any(unit in said for unit in UNITS), said


@pytest.mark.needs("docker-compose")
def test_docker_compose_finds_the_compose_file_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_TOKEN", "a-token-for-the-tests")
    (path,) = written("compose", tmp_path)
    run("docker-compose", "-f", path, "config", "-q", cwd=tmp_path)
