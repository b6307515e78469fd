from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.alerts.receiver import Receiver
from tests.cli.conftest import Command, Start, wait


@pytest.fixture
def alerts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "alerts.toml"
    monkeypatch.setenv("HEALTH_ALERTS_FILE", str(path))
    return path


def test_a_trial_goes_to_every_sink_and_says_what_each_answered(healthmon: Command, alerts_file: Path) -> None:
    with Receiver().serving() as up, Receiver(status=500).serving() as down:
        alerts_file.write_text(
            f'[sinks.up]\nkind = "webhook"\nurl = "{up.url}?token=s3cret"\n'
            f'[sinks.down]\nkind = "webhook"\nurl = "{down.url}?token=s3cret"\n'
        )
        said = healthmon("alerts", "test")
        assert said.code == 1
        assert [line.split()[:3] for line in said.lines] == [["up", "webhook", "taken"], ["down", "webhook", "NOT"]]
        assert "answered 500" in said.out
        assert "s3cret" not in said.out + said.err
        assert up.taken[0]["type"] == "io.healthmon.test"
        one = healthmon("alerts", "test", "up", "-o", "json")
        assert one.code == 0
        assert [(result["sink"], result["taken"]) for result in json.loads(one.out)] == [("up", True)]


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ('[sinks.log]\nkind = "log"', ("test", "lug"), "there is no sink 'lug': log"),
        ('[sinks.log]\nkind = "lag"', ("test",), "alerts.toml:2:1: there is no kind 'lag'"),
        ('[sinks.log]\nkind = "log"', ("list", "log"), "did you mean `healthmon alerts test log`?"),
    ],
)
def test_what_is_wrong_is_told_and_is_a_usage_error(
    healthmon: Command, alerts_file: Path, text: str, words: tuple[str, ...], says: str
) -> None:
    alerts_file.write_text(text)
    said = healthmon("alerts", *words)
    assert (said.code, says in said.err) == (2, True), said.err


def test_without_a_file_there_is_nothing_to_try(healthmon: Command) -> None:
    said = healthmon("alerts", "test")
    assert (said.code, "HEALTH_ALERTS_FILE" in said.err) == (2, True)


def test_what_fires_who_was_told_and_what_no_sink_took_are_listed(
    healthmon: Command, start: Start, alerts_file: Path
) -> None:
    with Receiver(refuses='"bad"').serving() as receiver:
        alerts_file.write_text(f'[sinks.pager]\nkind = "webhook"\nurl = "{receiver.url}"\n')
        start("mon-a")
        for name in ("api", "bad"):
            assert healthmon("beat", name, "--status", "failing").code == 0
        wait(lambda: json.loads(healthmon("alerts", "-o", "json").out)["dead"] == 1)
        wait(lambda: receiver.told("api"))
        value = json.loads(healthmon("alerts", "-o", "json").out)
        api = next(one for one in value["firing"] if one["alert"]["subject"] == "api")
        assert api["sinks"]["pager"]["told_at"]
        assert value["dead_letters"][0]["component_id"] == "bad"
        assert value["sinks"] == [{"sink": "pager", "kind": "webhook"}]
        table = healthmon("alerts").out
        assert "api is" in table
        assert "pager: told" in table
        assert "1 dead letter" in table
        assert "sinks: pager (webhook)" in table
