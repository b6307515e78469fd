from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from tests.cli.conftest import ROOT, Command
from tests.cli.fleet import Fleet
from tests.servers import FreshServer
from tests.waiting import eventually


@pytest.fixture
def busy(fleet: Fleet) -> Fleet:
    """One dead, one healthy."""
    fleet.beat("j_prime", interval=10)
    fleet.passes(200, beating=("api-1",), interval=100)
    fleet.store()
    return fleet


class Waiter:
    """A `wait` in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "healthmon", "wait", *words], stdout=out, stderr=err, cwd=ROOT
            )

    def until_connected(self, fleet: Fleet) -> None:
        """Until it blocks on the events: what happens from now on happens while it waits."""

        def blocks() -> bool:
            told = fleet.do("CLIENT", "LIST").decode()
            return any("name=healthmon-cli" in line and "cmd=xread" in line for line in told.splitlines())

        async def holds() -> object:
            return await anyio.to_thread.run_sync(blocks)

        anyio.run(eventually, holds, 15.0)


Wait = Callable[..., Waiter]


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Wait]:
    made: list[Waiter] = []

    def start(*words: str) -> Waiter:
        made.append(Waiter(tmp_path, *words))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


@pytest.mark.usefixtures("busy")
def test_what_holds_already_is_not_waited_for(healthmon: Command) -> None:
    said = healthmon("wait", "api-1", "j_prime", "--for", "healthy,dead")
    assert (said.code, said.err) == (0, "")
    assert [line.split(" after ")[0] for line in said.lines] == ["api-1: Healthy", "j_prime: Dead"]
    assert healthmon("wait", "j_prime", "--for", "registered").code == 0
    assert healthmon("wait", "nobody", "--for", "deleted").code == 0


def test_the_end_of_the_wait_is_seen_by_its_event(waiting: Wait, busy: Fleet) -> None:
    waiter = waiting("j_prime", "api-1", "--timeout", "30")
    waiter.until_connected(busy)
    busy.becomes("j_prime", "healthy", "heard from again")
    assert waiter.process.wait(5) == 0
    assert waiter.out.read_text().splitlines()[1].endswith(": heard from again")


def test_a_state_that_is_over_again_counts(waiting: Wait, busy: Fleet) -> None:
    waiter = waiting("api-1", "--for", "degraded", "--timeout", "30", "-o", "json")
    waiter.until_connected(busy)
    busy.becomes("api-1", "degraded", "slow")
    busy.becomes("api-1", "healthy", "well again")
    assert waiter.process.wait(5) == 0
    (value,) = json.loads(waiter.out.read_text())
    assert (value["id"], value["state"], value["reached"]) == ("api-1", "degraded", True)


def test_one_that_is_forgotten_is_gone(waiting: Wait, busy: Fleet) -> None:
    waiter = waiting("api-1", "--for", "deleted", "--timeout", "30")
    waiter.until_connected(busy)
    busy.do("DEL", busy.keys.component("api-1"))
    busy.do("XADD", busy.keys.events, "*", "type", "forgotten", "id", "api-1")
    assert waiter.process.wait(5) == 0
    assert waiter.out.read_text().startswith("api-1: gone after ")


def test_one_that_is_not_there_yet_can_be_waited_for(waiting: Wait, busy: Fleet) -> None:
    waiter = waiting("new", "--create", "--timeout", "30")
    waiter.until_connected(busy)
    busy.do("HSET", busy.keys.component("new"), "state", "healthy", "rev", "1")
    busy.do("XADD", busy.keys.events, "*", "type", "registered", "id", "new")
    assert waiter.process.wait(5) == 0


@pytest.mark.usefixtures("busy")
def test_when_it_takes_too_long_it_says_how_it_is_and_ends_with_124(healthmon: Command) -> None:
    said = healthmon("wait", "j_prime", "api-1", "--timeout", "0.3")
    assert said.code == 124
    assert said.lines[0].startswith("api-1: Healthy")
    assert "j_prime is not Healthy after 0.3 s: it is Dead, no heartbeat for 180.0 s" in said.err
    assert healthmon("wait", "j_prime", "--timeout", "0").code == 124
    assert healthmon("wait", "api-1", "--timeout", "0").code == 0
    assert healthmon("wait", "j_prime", "api-1", "--timeout", "0", "-o", "name").lines == ["api-1"]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("jprime",), 3, "did you mean j_prime?"),
        (("api-1", "--for", "fine"), 2, "there is no state 'fine'"),
        (("api-1", "--for", ","), 2, "--for takes"),
        ((), 2, "ID is missing"),
    ],
)
def test_a_mistake_is_said_at_once(healthmon: Command, words: tuple[str, ...], code: int, says: str) -> None:
    said = healthmon("wait", *words)
    assert said.code == code
    assert says in said.err


def test_redis_may_go_and_come_back_while_it_waits(
    waiting: Wait, fresh_server: Callable[..., FreshServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fresh_server(directory=tmp_path / "data", keep=True)
    monkeypatch.setenv("HEALTH_REDIS_URL", anyio.run(server.start))
    fleet = Fleet(server.url, "healthmon")
    fleet.beat("api-1", interval=300)
    fleet.store()
    waiter = waiting("api-1", "--for", "degraded", "--timeout", "60")
    waiter.until_connected(fleet)
    anyio.run(server.stop)
    anyio.run(eventually, lambda: "trying again" in waiter.err.read_text(), 15.0)
    anyio.run(server.start)
    fleet.becomes("api-1", "degraded", "slow")
    assert waiter.process.wait(15) == 0


def test_when_redis_is_away_from_the_start_it_ends_at_once(healthmon: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://127.0.0.1:1/0")
    assert healthmon("wait", "api-1", "--create").code == 5
