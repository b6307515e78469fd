"""The runner against a real server: what it takes, carries out, reports, and leaves alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from healthmon.restarts.attempt import Attempt, Outcome
from healthmon.restarts.exec import NOT_ALLOWED
from healthmon.restarts.handler import Handlers
from healthmon.restarts.method import methods_of
from healthmon.restarts.runner import STOPPED, Runner
from healthmon.settings import load_settings
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from healthmon.store.restarts import NotTaken, Restarts
from healthmon.store.scripts import Scripts
from tests.restarts.claims import Claims
from tests.restarts.programs import STUBBORN, alive, noted, pids_in, python
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def claims(url: str, prefix: str) -> AsyncIterator[Claims]:
    client = open_raw(url, name="leader")
    yield Claims(client, Keys(prefix, 0))
    await client.aclose()


@dataclass
class Gated:
    """A method that waits until it is let go on."""

    running: list[str] = field(default_factory=list)
    most: int = 0
    opened: anyio.Event = field(default_factory=anyio.Event)

    def serves(self, component_id: str) -> bool:
        return bool(component_id)

    async def run(self, attempt: Attempt) -> Outcome:
        self.running.append(attempt.id)
        self.most = max(self.most, len(self.running))
        await self.opened.wait()
        self.running.remove(attempt.id)
        return Outcome(ok=True, detail="let go on")


@asynccontextmanager
async def running(
    url: str, keys: Keys, name: str = "mon-a", handlers: Handlers | None = None, more: Any = None, **settings: Any
) -> AsyncIterator[None]:
    """A runner, as a replica has one."""
    given = load_settings(redis_url=url, prefix=keys.prefix, replica_id=name, **{"allow_exec": True, **settings})
    methods = {**methods_of(given, handlers or Handlers()), **(more or {})}
    restarts = Restarts(url, keys, Scripts(), name)
    runner = Runner(name, restarts, methods, given.restart_timeout, given.restarts_concurrent)
    async with anyio.create_task_group() as group:
        group.start_soon(runner.run)
        yield
        group.cancel_scope.cancel()


async def test_an_order_is_carried_out_and_reported_with_who_and_how_long(
    url: str, claims: Claims, tmp_path: Path
) -> None:
    async with running(url, claims.keys):
        order = await claims.claim("a", method="exec", command=["touch", str(tmp_path / "done")])
        told = await claims.outcome("a")
    assert (tmp_path / "done").exists()
    assert 0 < int(told.pop("ms")) < 5000
    said = {"cmd": "report", "kind": "restart", "id": "a", "rev": str(order.rev), "ok": "1", "detail": "exit code 0"}
    assert told == {**said, "by": "mon-a"}
    taken, _ = await claims.reports("a")
    assert taken["taken"] == "mon-a"


async def test_each_method_gets_what_the_policy_says(url: str, claims: Claims) -> None:
    seen: list[Attempt] = []

    class Seeing(Gated):
        async def run(self, attempt: Attempt) -> Outcome:
            seen.append(attempt)
            return Outcome(ok=False, detail="seen")

    async with running(url, claims.keys, more={"webhook": Seeing()}, restart_timeout=33):
        order = await claims.claim("a", method="webhook", url="http://host/x", timeout=12)
        assert (await claims.outcome("a"))["ok"] == "0"
        await claims.claim("b", method="webhook", url="http://host/y")
        await claims.outcome("b")
        await claims.claim("c", method="webhook", url="http://host/y", timeout=600, within_s=5)
        await claims.outcome("c")
    expected = Attempt("a", order.rev, 2, "no heartbeat for 180.0 s", "old", 12.0, (), "http://host/x")
    assert seen[0] == expected
    assert seen[1].timeout_s == 33
    assert 4 < seen[2].timeout_s <= 5, "beyond its deadline the next attempt may begin"


async def test_orders_for_others_and_those_that_nobody_here_serves_are_left_alone(
    url: str, claims: Claims, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(url, claims.keys):
        await claims.claim("other", method="exec", command=["true"], runner="mon-b")
        await claims.claim("agent", method="agent", runner="agent")
        await claims.claim("unserved", method="handler")
        await claims.claim("strange", method="exec", said={"method": "ritual"})
        await claims.claim("mine", method="exec", command=["true"])
        await claims.outcome("mine")
        for name in ("other", "agent", "unserved", "strange"):
            assert (await claims.record(name))["restart_taken"] == "", name
    assert "restart of unserved is not taken: this process has no handler for it" in caplog.text


async def test_a_handler_of_this_process_is_called_whoever_leads(url: str, claims: Claims) -> None:
    handlers, called = Handlers(), []

    async def restart(component_id: str) -> bool:
        called.append(component_id)
        if component_id == "sick":
            raise ValueError("no such unit")
        return component_id == "a"

    handlers.register(restart)
    async with running(url, claims.keys, handlers=handlers):
        for name in ("a", "b", "sick"):
            await claims.claim(name, method="handler")
        told = [await claims.outcome(name) for name in ("a", "b", "sick")]
    assert [(one["ok"], one["detail"]) for one in told] == [
        ("1", "the handler returned True"),
        ("0", "the handler returned False"),
        ("0", "the handler raised ValueError: no such unit"),
    ]
    assert sorted(called) == ["a", "b", "sick"]


async def test_without_leave_nothing_is_run_and_the_report_names_the_setting(
    url: str, claims: Claims, tmp_path: Path
) -> None:
    async with running(url, claims.keys, allow_exec=False):
        await claims.claim("a", method="exec", command=["touch", str(tmp_path / "done")])
        told = await claims.outcome("a")
    assert (told["ok"], told["detail"]) == ("0", NOT_ALLOWED)
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("{", "it is no JSON"),
        ("[]", "it is no JSON object"),
        ('{"restart": {"method": "exec", "command": "rm -rf /"}}', "must be a list of 1 to 64 strings"),
        ('{"restart": {"method": "exec", "command": [7]}}', "must hold strings"),
        ('{"restart": {"timeout": -1}}', "between 1 ms and 10 years"),
        ('{"restart": []}', "must be an object"),
    ],
)
async def test_a_policy_that_somebody_broke_is_a_failed_attempt_with_the_reason(
    url: str, claims: Claims, policy: str, why: str
) -> None:
    await claims.store("a", rev=7)
    await call(claims.client, "HSET", claims.keys.component("a"), "policy", policy)
    await claims.order("a", rev=7)
    async with running(url, claims.keys):
        told = await claims.outcome("a")
    assert told["ok"] == "0"
    assert told["detail"].startswith("its policy can't be carried out: ")
    assert why in told["detail"]


async def test_a_method_that_fails_in_its_own_code_ends_neither_runner_nor_replica(url: str, claims: Claims) -> None:
    class Broken(Gated):
        async def run(self, attempt: Attempt) -> Outcome:
            raise KeyError(f"no {attempt.id}")

    async with running(url, claims.keys, more={"webhook": Broken()}):
        await claims.claim("a", method="webhook", url="http://host/")
        assert (await claims.outcome("a"))["detail"] == "webhook raised KeyError: 'no a'"
        await claims.claim("b", method="exec", command=["true"])
        assert (await claims.outcome("b"))["ok"] == "1"


async def test_no_more_than_so_many_run_at_once_and_the_others_have_their_turn(url: str, claims: Claims) -> None:
    gated = Gated()
    async with running(url, claims.keys, more={"webhook": gated}, restarts_concurrent=3):
        for n in range(10):
            await claims.claim(f"c{n}", method="webhook", url="http://host/")
        await eventually(lambda: len(gated.running) == 3)
        gated.opened.set()
        for n in range(10):
            assert (await claims.outcome(f"c{n}"))["ok"] == "1"
    assert gated.most == 3


async def test_an_order_that_is_taken_after_its_deadline_is_not_carried_out(
    url: str, claims: Claims, tmp_path: Path
) -> None:
    await claims.claim("a", method="exec", command=["touch", str(tmp_path / "done")], within_s=-1)
    async with running(url, claims.keys):
        told = await claims.outcome("a")
    assert (told["ok"], told["detail"]) == ("0", "it was taken too late: its deadline had come")
    assert not (tmp_path / "done").exists()


async def test_two_runners_of_one_name_carry_out_an_order_once(url: str, claims: Claims, tmp_path: Path) -> None:
    async with running(url, claims.keys), running(url, claims.keys):
        for n in range(5):
            command = python("import sys; open(sys.argv[1], 'a').write('once ')", tmp_path / f"c{n}")
            await claims.claim(f"c{n}", method="exec", command=list(command))
        for n in range(5):
            await claims.outcome(f"c{n}")
    assert [(tmp_path / f"c{n}").read_text() for n in range(5)] == ["once "] * 5


async def test_what_a_runner_took_before_it_was_killed_is_not_carried_out_again(
    url: str, claims: Claims, tmp_path: Path
) -> None:
    program = (
        "import sys, anyio\n"
        "from healthmon.restarts.exec import Exec\n"
        "from healthmon.restarts.runner import Runner\n"
        "from healthmon.store.keys import Keys\n"
        "from healthmon.store.restarts import Restarts\n"
        "from healthmon.store.scripts import Scripts\n"
        "url, prefix = sys.argv[1:]\n"
        "restarts = Restarts(url, Keys(prefix, 0), Scripts(), 'mon-a')\n"
        "anyio.run(Runner('mon-a', restarts, {'exec': Exec(True)}, 60, 5).run)\n"
    )

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", program, url, claims.keys.prefix], cwd=ROOT)

    first = start()
    order = await claims.claim("a", method="exec", command=list(python(STUBBORN, tmp_path)))
    pids = await noted(tmp_path, "command", "sibling", "daemon")
    first.kill()
    first.wait()
    await eventually(lambda: alive(pids) == [], 10)
    before = pids_in(tmp_path)
    second = start()
    try:
        await claims.claim("b", method="exec", command=["true"])
        assert (await claims.outcome("b"))["ok"] == "1", "the second runner reads what the first had read"
        assert pids_in(tmp_path) == before, "it was carried out again"
        assert [entry for entry in await claims.reports("a") if "ok" in entry] == []
        restarts = Restarts(url, claims.keys, Scripts(), "late")
        assert await restarts.take(order, "mon-a") == NotTaken("it was taken by mon-a")
        await restarts.close()
    finally:
        second.terminate()
        second.wait()


async def test_an_order_that_came_while_nobody_ran_is_carried_out_by_the_next_in_time(url: str, claims: Claims) -> None:
    await claims.claim("a", method="exec", command=["true"])
    await claims.claim("late", method="exec", command=["true"], said={"not_after_ms": 1})
    async with running(url, claims.keys):
        assert (await claims.outcome("a"))["ok"] == "1"
        await claims.claim("b", method="exec", command=["true"])
        await claims.outcome("b")
    assert await claims.reports("late") == []


async def test_a_runner_that_is_stopped_ends_what_it_runs_and_says_so(url: str, claims: Claims, tmp_path: Path) -> None:
    async with running(url, claims.keys):
        await claims.claim("a", method="exec", command=list(python(STUBBORN, tmp_path)))
        pids = await noted(tmp_path, "command", "sibling", "daemon")
    assert alive(pids) == []
    told = await claims.outcome("a")
    assert (told["ok"], told["detail"]) == ("0", STOPPED.detail)


async def test_a_restart_that_outlasts_an_outage_of_redis_is_reported_afterwards(
    fresh_server: Callable[..., FreshServer], prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    server, gated = fresh_server(keep=True), Gated()
    url, keys = await server.start(), Keys(prefix, 0)
    async with running(url, keys, more={"webhook": gated}):
        client = open_raw(url, name="leader")
        await Claims(client, keys).claim("a", method="webhook", url="http://host/")
        await eventually(lambda: gated.running == ["a"])
        await client.aclose()
        await server.stop()
        await eventually(lambda: "can't be read" in caplog.text)
        gated.opened.set()
        await eventually(lambda: gated.running == [])
        await server.start()
        client = open_raw(url, name="leader")
        told = await Claims(client, keys).outcome("a")
        assert (told["ok"], told["detail"]) == ("1", "let go on")
        await Claims(client, keys, 8).claim("b", method="exec", command=["true"])
        assert (await Claims(client, keys).outcome("b"))["ok"] == "1"
        await client.aclose()
