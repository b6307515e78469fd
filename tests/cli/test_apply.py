"""`healthmon apply` against a real leader: what it shows, what it writes, what it refuses, how it ends."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from redis.asyncio import Redis

from healthmon.store.acl import Role, setuser
from healthmon.store.calls import call
from tests.cli.conftest import Command, Said
from tests.cli.fleet import Fleet
from tests.inprocess import replicas
from tests.waiting import eventually

FLEET = """\
[defaults]
interval = 10

[roles.worker]
restart = { method = "agent", max_retries = 3 }

[components.db]
probe.url = "tcp://127.0.0.1:5432"

[components.worker-1]
role = "worker"
depends_on = ["db"]
"""
CALM = {"heartbeat_timeout": 45.0, "degraded_threshold": 90.0, "dead_threshold": 180.0}


class Place:
    """A fleet file, the command that applies it, and a look at what is stored."""

    def __init__(self, healthmon: Command, fleet: Fleet, path: Path) -> None:
        self.healthmon, self.fleet, self.path = healthmon, fleet, path

    def apply(self, text: str, *words: str) -> Said:
        self.path.write_text(text)
        return self.healthmon("apply", str(self.path), *words)

    def policy(self, component: str) -> dict[str, Any]:
        said = json.loads(self.healthmon("show", component, "-o", "json").out)["policy"]
        found: dict[str, Any] = json.loads(said) if isinstance(said, str) else said
        return found

    def commands(self) -> int:
        return int(self.fleet.do("XLEN", self.fleet.keys.control))

    def ids(self) -> list[str]:
        return sorted(self.healthmon("ls", "-o", "name", "--limit", "0").out.split())

    def beat(self, component: str) -> None:
        """A heartbeat, and the wait until the component is stored for it."""
        assert self.healthmon("beat", component).code == 0

        async def is_stored(client: Redis) -> None:
            await eventually(lambda: call(client, "EXISTS", self.fleet.keys.component(component)))

        self.fleet.run(is_stored)


@pytest.fixture
def place(healthmon: Command, fleet: Fleet, tmp_path: Path) -> Place:
    return Place(healthmon, fleet, tmp_path / "fleet.toml")


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings of the leader beyond those of the environment; a test may have its own."""
    return {}


@pytest.fixture
def led(place: Place, at: str, prefix: str, settings: dict[str, Any]) -> Iterator[Place]:
    """The same with a real leader in a thread."""
    with start_blocking_portal() as portal:
        made = replicas(at, "mon-a", prefix=prefix, **{**CALM, **settings})
        with portal.wrap_async_context_manager(made):
            yield place


def test_a_fleet_is_registered_as_the_file_says_and_a_second_time_nothing_is_written(led: Place) -> None:
    said = led.apply(FLEET, "--by", "ann", "--reason", "rollout")
    assert said.code == 0, said.err
    assert said.lines == [
        "+ db        new: interval 10, probe.url tcp://127.0.0.1:5432",
        "+ worker-1  new: depends_on [db], interval 10, restart.method agent, role worker, 1 more (-o wide)",
        "2 new",
        "done: 2 registered",
    ]
    assert led.policy("worker-1") == {
        "role": "worker",
        "interval": 10.0,
        "depends_on": ["db"],
        "restart": {"method": "agent", "max_retries": 3},
    }
    before = led.commands()
    again = led.apply(FLEET)
    assert (again.code, again.out, again.err) == (0, "nothing to change: 2 unchanged\n", "")
    assert led.commands() == before


def test_what_the_file_sets_no_longer_goes_from_the_policy(led: Place) -> None:
    led.apply(FLEET)
    said = led.apply(FLEET.replace("max_retries = 3", "timeout = 20").replace('depends_on = ["db"]', ""))
    assert said.code == 0, said.err
    assert said.lines[:2] == [
        "~ worker-1  depends_on [db] -> unset, restart.max_retries 3 -> unset, restart.timeout unset -> 20",
        "1 changed, 1 unchanged",
    ]
    assert led.policy("worker-1") == {
        "role": "worker",
        "interval": 10.0,
        "restart": {"method": "agent", "timeout": 20.0},
    }


def test_a_dry_run_shows_the_same_writes_nothing_and_needs_no_leader(place: Place) -> None:
    said = place.apply(FLEET, "--dry-run")
    assert (said.code, said.lines[-1], len(said.lines)) == (0, "2 new", 3)
    assert place.fleet.do("DBSIZE") == 0


def test_an_error_tells_every_line_and_nothing_is_written(led: Place) -> None:
    text = FLEET.replace('method = "agent"', 'method = "agnet"').replace("interval = 10", 'interval = "10s"')
    said = led.apply(text)
    assert (said.code, said.out) == (2, "")
    lines = said.err.splitlines()
    assert lines[0].startswith(f"{led.path}:2:1: defaults: interval is '10s'")
    assert lines[1].startswith(f"{led.path}:5:13: roles.worker: restart method is 'agnet'")
    assert lines[2] == f"healthmon: {led.path} has 2 errors: nothing was changed"
    assert led.commands() == 0


def test_a_wrong_file_is_told_also_when_redis_is_away_and_a_right_one_ends_with_5(
    healthmon: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://127.0.0.1:1/0")
    file = tmp_path / "fleet.toml"
    file.write_text("components.a.interval = 0\n")
    said = healthmon("apply", str(file))
    assert said.code == 2
    assert f"{file}:1:14: components.a: interval is 0 s" in said.err
    file.write_text("components.a.interval = 1\n")
    assert healthmon("apply", str(file), "--dry-run").code == 5


def test_without_a_leader_nothing_is_written_and_the_code_is_6(place: Place) -> None:
    said = place.apply(FLEET)
    assert said.code == 6
    assert "nobody leads" in said.err
    assert place.commands() == 0


def test_a_leader_that_does_not_answer_is_exit_code_124(place: Place) -> None:
    place.fleet.beat("api-1")
    place.fleet.store()  # holds a lease, and is nobody
    said = place.apply(FLEET, "--wait", "0.1")
    assert said.code == 124
    assert "no answer within 0.1 s for 2 of 2 components: 2 wait for the next leader, 0 were not sent" in said.err


class TestWithRoomForOne:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"max_components": 1}

    def test_a_refusal_is_told_with_its_reason_and_the_rest_is_done(self, led: Place) -> None:
        said = led.apply(FLEET)
        assert said.code == 1
        assert said.lines[-1] == "done: 1 registered"
        assert said.err.splitlines() == [
            "healthmon: worker-1: refused: there are 1 components (max_components)",
            "healthmon: 1 of 2 components refused",
        ]
        (_, other) = json.loads(led.apply(FLEET, "-o", "json").out)
        assert (other["result"], other["reason"]) == ("refused", "there are 1 components (max_components)")


class TestWithAQuickLeader:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"heartbeat_timeout": 5.0, "degraded_threshold": 10.0}

    def test_the_leaders_thresholds_judge_the_file_and_not_this_shells(self, led: Place) -> None:
        assert led.apply("components.a.dead_threshold = 20\n").code == 0
        said = led.apply("components.a.heartbeat_timeout = 15\n")
        assert said.code == 2
        assert "but they are 15, 10, 180 s; degraded_threshold and dead_threshold by the monitor's settings" in said.err


def test_pruning_forgets_what_was_declared_and_leaves_what_registered_itself(led: Place) -> None:
    led.apply(FLEET)
    led.beat("stray")
    less = FLEET.partition("[components.worker-1]")[0]
    kept = led.apply(less, "--prune", "--dry-run")
    assert "- worker-1  not in the file: it and its history go, for good" in kept.lines
    assert "? worker-1  not in the file: it stays (--prune forgets it)" in led.apply(less).lines
    assert led.ids() == ["db", "stray", "worker-1"]
    said = led.apply(less, "--prune")
    assert (said.code, said.lines[-1]) == (0, "done: 1 forgotten"), said.err
    assert "the forgotten are gone" in said.err
    assert led.ids() == ["db", "stray"]


def test_a_file_without_components_prunes_nothing(led: Place) -> None:
    led.apply(FLEET)
    said = led.apply("# nothing yet\n", "--prune")
    assert said.code == 2
    assert "--prune would forget all" in said.err
    assert led.ids() == ["db", "worker-1"]


def test_a_person_is_asked_before_anything_is_forgotten(led: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    led.apply(FLEET)
    less = FLEET.partition("[components.worker-1]")[0]
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert led.apply(less, "--prune").code == 1
    assert led.ids() == ["db", "worker-1"]
    assert led.apply(less, "--prune", "--yes").code == 0
    assert led.ids() == ["db"]


def test_one_that_registered_itself_is_declared_once_it_stands_in_the_file(led: Place) -> None:
    led.beat("db")
    said = led.apply("[components.db]\n")
    assert said.lines[0] == "~ db  declared, it had registered itself", said.err
    assert led.apply("[components.db]\n").out == "nothing to change: 1 unchanged\n"


def test_a_cycle_over_a_component_that_is_not_in_the_file_is_refused_with_its_name(led: Place) -> None:
    led.apply(FLEET)
    said = led.apply("[components.db]\ndepends_on = ['worker-1']\n")
    assert said.code == 2
    assert f"{led.path}:2:15: components.db: depends_on makes a cycle: db -> worker-1 -> db" in said.err
    assert led.commands() == 2


def test_a_component_that_is_pruned_makes_no_cycle_any_more(led: Place) -> None:
    led.apply(FLEET)
    said = led.apply("[components.db]\ndepends_on = ['worker-1']\n", "--prune")
    assert said.code == 0, said.err
    assert "warning:" in said.err
    assert led.ids() == ["db"]


def test_a_dependency_may_be_turned_round_in_one_go(led: Place) -> None:
    assert led.apply("[components]\nb.depends_on = ['a']\na.interval = 5\n").code == 0
    said = led.apply("[components]\na.depends_on = ['b']\nb.interval = 5\n")
    assert said.code == 0, said.err
    assert (led.policy("a"), led.policy("b")) == ({"depends_on": ["b"]}, {"interval": 5.0})


def test_an_unknown_dependency_is_a_warning_unless_it_is_stored(led: Place) -> None:
    led.beat("elsewhere")
    said = led.apply("[components.a]\ndepends_on = ['elsewhere', 'ghost']\n")
    assert said.code == 0
    assert said.err.splitlines()[0] == (
        f"warning: {led.path}:2:28: components.a: depends_on names ghost, which is neither in the file nor known; "
        "until it is registered it holds nothing"
    )
    assert "names elsewhere" not in said.err


def test_programs_get_the_changes_with_the_result_of_each(led: Place) -> None:
    (first, second) = json.loads(led.apply(FLEET, "-o", "json").out)
    assert first == {
        "id": "db",
        "action": "new",
        "changes": [
            {"part": "interval", "old": None, "new": 10.0},
            {"part": "probe.url", "old": None, "new": "tcp://127.0.0.1:5432"},
        ],
        "result": "done",
        "reason": None,
    }
    assert (second["id"], second["result"]) == ("worker-1", "done")
    lines = led.apply(FLEET.replace("5432", "5433"), "--dry-run", "-o", "jsonl").lines
    assert [(one["action"], one["result"]) for one in map(json.loads, lines)] == [
        ("changed", None),
        ("unchanged", None),
    ]
    assert led.apply(FLEET.replace("5432", "5433"), "--dry-run", "-o", "name").out == "db\n"


def test_no_password_of_an_address_is_shown(place: Place) -> None:
    text = "[components.a]\nprobe.url = 'redis://me:hidden@h:1'\n"
    for form in ("table", "json"):
        said = place.apply(text, "--dry-run", "-o", form)
        assert said.code == 0
        assert "redis://me:***@h:1" in said.out
        assert "hidden" not in said.out + said.err


def test_the_example_is_printed_and_can_be_applied(led: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    example = led.healthmon("apply", "--example")
    assert example.code == 0
    assert example.lines[0] == "# A fleet file: what a fleet shall be."
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(example.out.encode()), isatty=lambda: False))
    said = led.healthmon("apply", "-")
    assert (said.code, said.lines[-1]) == (0, "done: 5 registered"), said.err
    assert led.apply(example.out).out == "nothing to change: 5 unchanged\n"


def test_a_file_that_cannot_be_read_is_a_usage_error(healthmon: Command, tmp_path: Path) -> None:
    assert "which fleet file?" in healthmon("apply").err
    for path in (tmp_path / "none.toml", tmp_path):
        said = healthmon("apply", str(path))
        assert said.code == 2
        assert f"{path} cannot be read" in said.err


def test_an_operator_needs_no_more_rights_than_the_roles_grant(led: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    words = setuser(Role.OPERATOR, led.fleet.prefix, "op", ">secret")
    led.fleet.do(*words)
    monkeypatch.setenv("HEALTH_REDIS_URL", led.fleet.url.replace("://", "://op:secret@"))
    try:
        assert led.apply(FLEET).code == 0
        reader = setuser(Role.READER, led.fleet.prefix, "op", ">secret")
        led.fleet.do(*reader)
        assert led.apply(FLEET.replace("10", "11"), "--dry-run").code == 0
        assert led.apply(FLEET.replace("10", "11")).code == 4
    finally:
        led.fleet.do("ACL", "DELUSER", "op")
