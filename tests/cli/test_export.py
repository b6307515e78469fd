from __future__ import annotations

import json
from pathlib import Path

import pytest

from healthmon.views.exporting import EXPORTS, UNITS
from tests.cli.conftest import Command


@pytest.mark.parametrize("what", EXPORTS)
def test_each_export_is_printed_and_needs_no_redis(healthmon: Command, what: str) -> None:
    said = healthmon("export", what)
    assert (said.code, said.err) == (0, "")
    assert not any(word in said.out for word in ("RUNBOOKS", "EXECUTABLE"))


def test_a_dashboard_is_json(healthmon: Command) -> None:
    assert json.loads(healthmon("export", "grafana").out)["title"] == "healthmon"


def test_files_are_written_into_a_folder_that_is_made_for_them(healthmon: Command, tmp_path: Path) -> None:
    said = healthmon("export", "systemd", "--to", str(tmp_path / "units"))
    assert (said.code, said.out) == (0, "")
    assert [path.name for path in sorted((tmp_path / "units").iterdir(), reverse=True)] == list(UNITS)
    assert said.err.count("healthmon: wrote ") == len(UNITS)


def test_the_runbooks_may_be_elsewhere(healthmon: Command) -> None:
    text = healthmon("export", "prometheus-rules", "--runbooks", "https://wiki.example/health").out
    assert 'runbook_url: "https://wiki.example/health#noleader"' in text


def test_a_folder_that_cannot_be_written_to_is_one_sentence(healthmon: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = healthmon("export", "compose", "--to", str(tmp_path / "file"))
    assert (said.code, said.out) == (2, "")
    assert "give another --to" in said.err


def test_an_unknown_export_is_a_usage_error_that_names_the_known_ones(healthmon: Command) -> None:
    said = healthmon("export", "nagios")
    assert said.code == 2
    assert all(what in said.err for what in EXPORTS)
