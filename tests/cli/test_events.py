from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.cli.conftest import ROOT, Command
from tests.cli.fleet import Fleet
from tests.servers import FreshServer
from tests.waiting import eventually


@pytest.fixture
def told(fleet: Fleet) -> Fleet:
    """Two components, of which one falls silent: eight events after the election."""
    fleet.beat("api-1", "api-2", role="api")
    fleet.passes(100, beating=("api-2",), role="api")
    fleet.store()
    return fleet


def entries(healthmon: Command, *words: str) -> list[dict[str, str]]:
    said = healthmon("events", "-o", "jsonl", *words)
    assert said.code == 0
    return [json.loads(line) for line in said.lines]


@pytest.mark.usefixtures("told")
def test_events_are_told_in_order_with_when_who_what_and_why(healthmon: Command) -> None:
    said = healthmon("events")
    assert said.code == 0
    assert "mon-a             leads, epoch " in said.lines[0]
    assert said.lines[-1].endswith("Degraded → Unhealthy: no heartbeat for 90.0 s (unhealthy after 90 s)")
    assert said.lines[-1].split()[1:3] == ["◆", "api-1"]


@pytest.mark.usefixtures("told")
def test_the_latest_are_shown_oldest_first(healthmon: Command) -> None:
    assert [one["to"] for one in entries(healthmon, "--limit", "2")] == ["degraded", "unhealthy"]
    assert entries(healthmon, "--limit", "0") == []


@pytest.mark.usefixtures("told")
def test_events_are_filtered_by_component_and_type(healthmon: Command) -> None:
    assert {one["id"] for one in entries(healthmon, "--id", "api-1")} == {"api-1"}
    assert [one["type"] for one in entries(healthmon, "--type", "leader,registered")] == [
        "leader",
        "registered",
        "registered",
    ]
    assert [one["to"] for one in entries(healthmon, "--id", "api-1", "--type", "transition", "--limit", "1")] == [
        "unhealthy"
    ]


@pytest.mark.usefixtures("told")
def test_two_calls_with_since_miss_and_repeat_nothing(healthmon: Command) -> None:
    every = entries(healthmon, "--limit", "100")
    first = every[3]["stream_id"]
    assert entries(healthmon, "--since", first) == every[4:]
    assert entries(healthmon, "--since", every[-1]["stream_id"]) == []


@pytest.mark.usefixtures("told")
def test_since_and_a_limit_are_the_latest_of_those_after_it(healthmon: Command) -> None:
    every = entries(healthmon, "--limit", "100")
    third = every[2]["stream_id"]
    assert entries(healthmon, "--since", third, "--limit", "2") == every[-2:]
    assert entries(healthmon, "--since", third, "--limit", "100") == every[3:]


@pytest.mark.usefixtures("told")
def test_since_takes_a_duration(healthmon: Command) -> None:
    assert len(entries(healthmon, "--since", "1h")) == 7
    said = healthmon("events", "--since", "yesterday")
    assert said.code == 2
    assert "90s, 15m, 2h or 1d" in said.err


@pytest.mark.usefixtures("told")
def test_json_is_one_array_and_name_is_the_ids_to_go_on_from(healthmon: Command) -> None:
    values = json.loads(healthmon("events", "-o", "json").out)
    assert [one["stream_id"] for one in values] == healthmon("events", "-o", "name").lines
    alert = next(one["json"] for one in values if "json" in one)
    assert alert["specversion"] == "1.0"


def test_trimmed_events_are_said_to_be_missing(healthmon: Command, told: Fleet) -> None:
    first = entries(healthmon)[0]["stream_id"]
    told.do("XTRIM", told.keys.events, "MAXLEN", "=", 3)
    said = healthmon("events", "--since", first, "-o", "jsonl")
    assert (said.code, len(said.lines)) == (0, 3)
    assert said.err == "healthmon: events after that id were trimmed: at most 4 events missed\n"


def test_a_stream_that_is_not_the_one_the_id_is_from_is_told_from_its_beginning(
    healthmon: Command, told: Fleet
) -> None:
    said = healthmon("events", "--since", "9999999999999-0", "-o", "jsonl")
    assert len(said.lines) == 7
    assert "the data was lost or is another" in said.err


@pytest.mark.usefixtures("told")
def test_an_unknown_component_or_type_is_refused(healthmon: Command) -> None:
    said = healthmon("events", "--id", "api-3")
    assert said.code == 3
    assert "did you mean api-" in said.err
    assert healthmon("events", "--type", "transitions").code == 2


def test_a_forgotten_component_still_has_its_events(healthmon: Command, told: Fleet) -> None:
    told.do("DEL", told.keys.component("api-1"), told.keys.history("api-1"))
    assert len(entries(healthmon, "--id", "api-1")) == 4


# -- following -------------------------------------------------------------------------------------------------------


class Follower:
    """`events -f` as a program of its own, with what it has said so far."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        command = [sys.executable, "-m", "healthmon", "events", "-f", *words]
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT)

    def said(self) -> str:
        return self._out.read_text()

    def told(self) -> str:
        return self._err.read_text()

    def waits_for(self, text: str, *, beside: bool = False) -> None:
        anyio.run(eventually, lambda: text in (self.told() if beside else self.said()), 10.0)


def append(fleet: Fleet, reason: str) -> None:
    fleet.do("XADD", fleet.keys.events, "*", "type", "operator", "reason", reason)


def test_following_begins_with_the_latest_and_goes_on(told: Fleet, tmp_path: Path) -> None:
    follower = Follower(tmp_path, "-o", "jsonl", "--limit", "1")
    try:
        follower.waits_for("unhealthy after 90 s")
        append(told, "one")
        follower.waits_for('"one"')
        append(told, "two")
        follower.waits_for('"two"')
        assert len(follower.said().splitlines()) == 3
    finally:
        follower.process.kill()
        follower.process.wait()


def test_following_goes_on_when_redis_comes_back_and_misses_nothing(
    fresh_server: Callable[..., FreshServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fresh_server(keep=True)
    anyio.run(server.start)
    monkeypatch.setenv("HEALTH_REDIS_URL", server.url)
    fleet = Fleet(server.url, "healthmon")
    append(fleet, "before")
    follower = Follower(tmp_path)
    try:
        follower.waits_for("before")
        anyio.run(server.stop)
        follower.waits_for("trying again", beside=True)
        anyio.run(server.start)
        append(fleet, "after")
        follower.waits_for("after")
        assert "Redis answers again" in follower.told()
        assert follower.process.poll() is None
    finally:
        follower.process.kill()
        follower.process.wait()


def test_following_notices_that_the_data_was_lost(told: Fleet, tmp_path: Path) -> None:
    follower = Follower(tmp_path, "-o", "jsonl")
    try:
        follower.waits_for("unhealthy after 90 s")
        told.do("DEL", told.keys.events)
        told.do("XADD", told.keys.events, "5-1", "type", "operator", "reason", "anew")
        follower.waits_for('"anew"')
        assert "the data was lost or is another" in follower.told()
    finally:
        follower.process.kill()
        follower.process.wait()
