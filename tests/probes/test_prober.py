"""The prober at work: real probes in its own process, and what it reports of them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from healthmon.errors import StoreUnavailable
from healthmon.probes.prober import NO_EXEC, Prober
from tests.probes.listeners import answering, closed_port, listening, silent
from tests.probes.wishes import Wishes, probing
from tests.servers import is_alive
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


def pid_of(prober: Prober) -> int:
    process = prober._process.process
    return process.pid if process is not None else 0


async def test_every_kind_is_probed_and_reported(url: str) -> None:
    wishes = Wishes()
    async with listening(answering("503 x")) as web, listening(silent) as port:
        wishes.want_at_once("web", {"url": f"http://127.0.0.1:{web}/"})
        wishes.want_at_once("port", {"url": f"tcp://127.0.0.1:{port}"})
        wishes.want_at_once("closed", {"url": f"tcp://127.0.0.1:{closed_port()}"})
        wishes.want_at_once("redis", {"url": url})
        wishes.want_at_once("program", {"exec": ["echo", "fine"]})
        wishes.want_at_once("function", {"callable": True})
        async with probing(wishes, allow_exec=True) as prober:
            prober.callables["function"] = lambda: False
            await eventually(lambda: len(wishes.reports) == 6, 10)
    seen = {report[0]: (report[1], report[2], report[4]) for report in wishes.reports}
    assert seen == {
        "web": (7, "failed", "HTTP 503 Service Unavailable"),
        "port": (7, "ok", "connected"),
        "closed": (7, "refused", "connection refused"),
        "redis": (7, "ok", "PONG"),
        "program": (7, "ok", "fine"),
        "function": (7, "failed", "returned False"),
    }
    assert all(isinstance(report[3], int) and report[3] >= 0 for report in wishes.reports)


async def test_one_is_probed_again_after_its_interval_and_not_before() -> None:
    wishes, asked = Wishes(), []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(asyncio.get_running_loop().time())
        await silent(reader, writer)

    async with listening(note) as port:
        wishes.want("a", {"url": f"tcp://127.0.0.1:{port}"}, interval_s=1.2)
        async with probing(wishes):
            await eventually(lambda: len(asked) == 4, 20)
    # The first waits for the process that makes the probes. A report may wait for a second, and counts when it comes.
    apart = [later - earlier for earlier, later in pairwise(asked)][1:]
    assert all(1.15 <= one < 1.2 * 1.1 + 2 for one in apart), apart


async def test_without_an_answer_from_the_core_the_interval_holds_too() -> None:
    wishes = Wishes(folds=False)
    async with listening(silent) as port:
        wishes.want("a", {"url": f"tcp://127.0.0.1:{port}"}, interval_s=0.4, urgent=True)
        async with probing(wishes):
            await eventually(lambda: len(wishes.reports) >= 3, 10)
    assert len(wishes.reports) <= 4


async def test_a_component_that_hangs_is_never_probed_twice_at_once() -> None:
    wishes = Wishes(folds=False)
    open_now, most = 0, 0

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await silent(reader, writer)
        open_now -= 1

    async with listening(hold) as port:
        part = {"url": f"http://127.0.0.1:{port}/"}
        wishes.want("a", part, interval_s=0.1, timeout_s=0.5, urgent=True)
        async with probing(wishes) as prober:
            for _ in range(3):
                wishes.reports.clear()
                wishes.want("a", part, interval_s=0.1, timeout_s=0.5, urgent=True)
                prober.look_at("a")
                await eventually(lambda: wishes.reports, 5)
    assert most == 1


async def test_the_urgent_goes_out_at_once_and_the_others_once_a_second() -> None:
    wishes = Wishes()
    async with listening(silent) as port:
        for number in range(200):
            wishes.want(f"c{number}", {"url": f"tcp://127.0.0.1:{port}"}, interval_s=2)
        async with probing(wishes) as prober:
            await eventually(lambda: len(wishes.reports) >= 200, 15)
            entries = len(wishes.sent)
            wishes.want("now", {"url": f"tcp://127.0.0.1:{port}"}, urgent=True)
            prober.look_at("now")
            begun = asyncio.get_running_loop().time()
            await eventually(lambda: wishes.of("now"), 3)
            assert asyncio.get_running_loop().time() - begun < 0.5
    assert entries <= 6
    assert all(len(pack) <= 16_384 for _, pack in wishes.sent)


async def test_what_the_breaker_forbids_is_not_probed_until_it_is_wanted_again() -> None:
    wishes, asked = Wishes(), []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)

    async with listening(note) as port:
        wishes.want("a", {"url": f"tcp://127.0.0.1:{port}"}, interval_s=0.1)
        wishes.forbid("a")
        wishes.want("b", {"url": f"tcp://127.0.0.1:{port}"}, interval_s=0.1)
        async with probing(wishes) as prober:
            await eventually(lambda: len(wishes.of("b")) >= 2, 10)
            assert wishes.of("a") == []
            wishes.want("a", {"url": f"tcp://127.0.0.1:{port}"}, urgent=True)
            prober.look_at("a")
            await eventually(lambda: wishes.of("a"), 2)


async def test_a_forgotten_component_is_probed_no_more_and_a_new_one_soon() -> None:
    wishes = Wishes()
    async with listening(silent) as port:
        wishes.want("old", {"url": f"tcp://127.0.0.1:{port}"}, interval_s=0.2)
        async with probing(wishes) as prober:
            await eventually(lambda: wishes.of("old"), 5)
            del wishes.wanted["old"]
            wishes.want("new", {"url": f"tcp://127.0.0.1:{port}"}, interval_s=0.2)
            await eventually(lambda: prober._schedule.ids == ["new"], 5)
            seen = len(wishes.of("old"))
            await eventually(lambda: len(wishes.of("new")) >= 2, 8)
            assert len(wishes.of("old")) <= seen + 1


async def test_programs_run_only_where_they_are_allowed(tmp_path: Path) -> None:
    wishes, mark = Wishes(), tmp_path / "mark"
    wishes.want("a", {"exec": ["touch", str(mark)]}, urgent=True)
    async with probing(wishes):
        await eventually(lambda: wishes.of("a"))
    assert wishes.of("a") == [("a", 7, "failed", 0, NO_EXEC)]
    assert "HEALTH_ALLOW_EXEC" in NO_EXEC
    assert not mark.exists()


async def test_a_follower_probes_only_what_it_alone_can_call() -> None:
    wishes = Wishes(leading=False)
    async with listening(silent) as port:
        wishes.want("port", {"url": f"tcp://127.0.0.1:{port}"}, urgent=True)
        wishes.want("elsewhere", {"callable": True}, urgent=True)
        wishes.want("mine", {"callable": True}, urgent=True)
        async with probing(wishes) as prober:
            prober.callables["mine"] = lambda: True
            await eventually(lambda: wishes.of("mine"))
            assert [report[0] for report in wishes.reports] == ["mine"]
            assert pid_of(prober) == 0
            wishes.leading = True
            await eventually(lambda: wishes.of("port"), 5)
    assert wishes.of("elsewhere") == []


async def test_the_end_of_a_term_ends_its_probes() -> None:
    wishes, ended = Wishes(), anyio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent(reader, writer)
        ended.set()

    async with listening(hold) as port:
        wishes.want("a", {"url": f"http://127.0.0.1:{port}/"}, timeout_s=30, urgent=True)
        wishes.want("b", {"callable": True}, interval_s=0.1, urgent=True)
        wishes.want_at_once("c", {"url": f"tcp://127.0.0.1:{port}"})
        async with probing(wishes) as prober:
            prober.callables["b"] = lambda: True
            await eventually(lambda: len(prober._schedule._running) == 1 and wishes.of("c"), 5)
            wishes.leading = False
            with anyio.fail_after(5):
                await ended.wait()
            seen = len(wishes.of("b"))
            await eventually(lambda: len(wishes.of("b")) > seen + 10, 5)  # longer than results are looked after
            assert prober._schedule.ids == ["b"]
            assert wishes.of("a") == []


async def test_a_function_that_never_returns_holds_one_place_and_leaves_the_others() -> None:
    wishes, end, calls = Wishes(), threading.Event(), []

    def hangs() -> bool:
        calls.append(1)
        return end.wait(30)

    wishes.want("hangs", {"callable": True}, interval_s=0.2, timeout_s=0.3)
    wishes.want("well", {"callable": True}, interval_s=0.2, timeout_s=0.3)
    async with probing(wishes, places=2) as prober:
        prober.callables.update(hangs=hangs, well=lambda: True)
        await eventually(lambda: len(wishes.of("hangs")) >= 2 and len(wishes.of("well")) >= 2, 15)
    end.set()
    assert {report[2] for report in wishes.of("hangs")} == {"failed"}
    first, second, *_ = (report[4] for report in wishes.of("hangs"))
    assert (first, second) == ("did not return within 0.3 s", "the call of an earlier probe has not returned yet")
    assert {report[2] for report in wishes.of("well")} == {"ok"}
    assert len(calls) == 1


async def test_the_process_is_started_again_when_it_dies_and_says_nothing_of_what_it_probed(tmp_path: Path) -> None:
    wishes, pid = Wishes(), tmp_path / "pid"
    async with listening(silent) as port:
        wishes.want("hangs", {"url": f"http://127.0.0.1:{port}/"}, timeout_s=30, urgent=True)
        async with probing(wishes, allow_exec=True) as prober:
            await eventually(lambda: prober._flights and pid_of(prober), 5)
            first = pid_of(prober)
            os.kill(first, signal.SIGKILL)
            await eventually(lambda: pid_of(prober) != first and not prober._flights, 5)
            wishes.want("port", {"url": f"tcp://127.0.0.1:{port}"}, urgent=True)
            prober.look_at("port")
            await eventually(lambda: wishes.of("port"), 10)
            second = pid_of(prober)
            wishes.want(
                "program",
                {"exec": ["sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 60"]},
                timeout_s=60,
                urgent=True,
            )
            prober.look_at("program")
            await eventually(pid.exists, 5)
    assert wishes.of("hangs") == []
    assert first != second
    # What was begun ends with the prober.
    assert not is_alive(second)
    assert not is_alive(int(pid.read_text()))


async def test_a_process_that_stood_still_says_nothing_of_that_time() -> None:
    wishes, asked, stopped, runs = Wishes(), anyio.Event(), anyio.Event(), anyio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await stopped.wait()
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await runs.wait()
        await anyio.sleep(0.1)  # the rest comes after it has read the beginning
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(answer) as port:
        wishes.want("web", {"url": f"http://127.0.0.1:{port}/"}, interval_s=1, timeout_s=2, urgent=True)
        async with probing(wishes) as prober:
            with anyio.fail_after(10):
                await asked.wait()
            os.kill(pid_of(prober), signal.SIGSTOP)
            stopped.set()
            await anyio.sleep(2.5)  # that it stands still beyond the time-out is what is tested
            os.kill(pid_of(prober), signal.SIGCONT)
            runs.set()
            await eventually(lambda: wishes.of("web"), 10)
    assert {report[2] for report in wishes.of("web")} == {"ok"}


async def test_it_imports_from_where_its_parent_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("redis", "httpx", "healthmon"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    wishes = Wishes()
    wishes.want_at_once("closed", {"url": f"tcp://127.0.0.1:{closed_port()}"})
    async with probing(wishes):
        await eventually(lambda: wishes.of("closed"))


async def test_while_redis_is_away_the_newest_of_each_is_kept_and_then_sent_once() -> None:
    wishes = Wishes(folds=False, fails_with=StoreUnavailable("away"))
    async with listening(silent) as port:
        wishes.want("often", {"url": f"tcp://127.0.0.1:{port}"}, interval_s=3, urgent=True)
        async with probing(wishes) as prober:
            await eventually(lambda: len(prober._outbox._waiting) == 1, 5)
            wishes.fails_with = None
            await eventually(lambda: wishes.of("often"), 8)
    assert len(wishes.of("often")) <= 2
    assert len(wishes.sent) == len(wishes.reports)
