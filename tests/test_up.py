"""`healthmon up` as its user meets it: a process with children, ended in every way there is."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys
from tests.servers import is_alive
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
KEYS = Keys()
# It takes one or two seconds alone on a machine; the tests of a whole suite may share it.
LEADER_S = 10.0
GONE_S = 5.0


class Up:
    """A running `healthmon up` with a runtime folder and a temporary folder of its own."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.runtime, self.temporary = folder / "run", folder / "tmp"
        for each in (self.runtime, self.temporary):
            each.mkdir(exist_ok=True)
        own = {"XDG_RUNTIME_DIR": str(self.runtime), "TMPDIR": str(self.temporary), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "healthmon", "up", "--http-port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | own,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.family: list[psutil.Process] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    @property
    def url(self) -> str:
        return (self.runtime / "healthmon" / "url").read_text().strip()

    async def says(self, pattern: str, within_s: float = LEADER_S) -> re.Match[str]:
        """The first line that the pattern is found in."""

        def look() -> list[re.Match[str]]:
            found = [match for line in list(self.lines) if (match := re.search(pattern, line))]
            assert found, self.text
            return found

        return (await eventually(look, within_s))[0]

    def meet_family(self) -> list[psutil.Process]:
        """Every process that it has now, remembered for `assert_gone`."""
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        return self.family

    def signal(self, number: signal.Signals) -> None:
        """As a terminal does: to the whole process group, of which the children are no part."""
        os.killpg(self.process.pid, number)

    async def ends(self, code: int) -> None:
        await eventually(lambda: self.process.poll() is not None, 10)
        self._reader.join(5)
        assert self.process.returncode == code, self.text

    async def leaves_nothing(self) -> None:
        """No process, no temporary folder, no URL, within the promised time."""
        await eventually(lambda: not [one for one in self.family if is_alive(one.pid)], GONE_S)
        await eventually(lambda: not os.listdir(self.temporary) and not os.listdir(self.runtime), GONE_S)

    def clear(self) -> None:
        """Whatever a failed test left."""
        for one in [*self.family, *self._family_now()]:
            if one.is_running():
                one.kill()
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _family_now(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*arguments: str, **environment: str) -> Up:
        started.append(Up(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.clear()


async def test_the_demo_has_a_leader_and_then_troubles_and_ctrl_c_ends_all_of_it(up: Callable[..., Up]) -> None:
    demo = up("--demo")
    await demo.says(r"kill -9 \d+")
    begun_s = monotonic()
    assert urlsplit(demo.url).port
    await demo.says("12 components are healthy", 15)
    await demo.says(r"j_prime +Healthy (->|→) Degraded: latency_ms 450 above 200", 15 - (monotonic() - begun_s))
    names = [" ".join(one.cmdline()) for one in demo.meet_family()]
    assert sum("healthmon.up.replica" in name for name in names) == 3
    assert sum("healthmon.demo.component" in name for name in names) == 12
    assert not [line for line in demo.lines if re.match(r"[\d:]+ !", line)], "a child complained"
    async with open_raw(demo.url, name="test") as client:
        policy = json.loads(await call(client, "HGET", KEYS.component("reactor_core"), "policy"))
    assert policy["heartbeat_timeout"] == 2, "whoever asks must see when it is called silent"
    assert policy["depends_on"] == ["j_prime"]
    demo.signal(signal.SIGINT)
    await demo.ends(0)
    await demo.leaves_nothing()


async def test_a_killed_component_comes_back_by_itself_and_a_crash_loop_ends_until_it_is_revived(
    up: Callable[..., Up],
) -> None:
    demo = up("--demo")
    pid = int((await demo.says(r"kill -9 (\d+)  # worker-1 +it comes back by itself"))[1])
    await demo.says("12 components are healthy", 15)
    demo.meet_family()
    os.kill(pid, signal.SIGKILL)
    await demo.says(r"worker-1 +Unhealthy \S+ Dead: killed by SIGKILL")
    await demo.says(r"worker-1 +restart 1 taken by up")
    await demo.says(r"worker-1 +Starting \S+ Healthy: heard from after restart 1 of 3", 15)
    await demo.says(
        r"search +Dead \S+ Gave up: gave up after 3 of 3 restarts: exited with code 1: OSError: no disk", 60
    )
    async with open_raw(demo.url, name="test") as client:
        failure = json.loads(await call(client, "HGET", KEYS.component("search"), "failure"))
        assert failure["lines"] == "opening /srv/data\nOSError: no disk"
    await demo.says(r"search +Gave up \S+ Restarting: .* asked by the demo: its disk is there again", 60)
    await demo.says(r"search +Starting \S+ Healthy: heard from after restart 1 of 3", 15)
    assert not [line for line in demo.lines if "mass failure" in line]
    demo.meet_family()
    demo.signal(signal.SIGINT)
    await demo.ends(0)
    await demo.leaves_nothing()


async def test_a_leader_that_is_killed_is_replaced_and_there_are_three_again(up: Callable[..., Up]) -> None:
    it = up(HEALTH_REDIS_URL="redis://:secret@192.0.2.1:6379/0")
    pid = int((await it.says(r"kill -9 (\d+)  # mon"))[1])
    it.meet_family()
    name = re.search(r"# (\S+) +another one leads", it.text)
    assert name
    os.kill(pid, signal.SIGKILL)
    await it.says(rf"{name[1]} +\(pid {pid}\) was ended by SIGKILL \(kill -9\); it is started again in \d")
    successor = await it.says(r"(\S+) +leads \(pid \d+\): the leader's process is gone")
    assert successor[1] != name[1]
    async with open_raw(it.url, name="test") as client:

        async def roles() -> list[bytes]:
            return [await call(client, "HGET", KEYS.monitor(f"mon-{n}"), "role") for n in (1, 2, 3)]

        async def is_back() -> bool:
            pids = [await call(client, "HGET", KEYS.monitor(f"mon-{n}"), "pid") for n in (1, 2, 3)]
            return str(pid).encode() not in pids and sorted(await roles()) == [b"follower", b"follower", b"leader"]

        await eventually(is_back)
    assert "HEALTH_REDIS_URL (redis://:***@192.0.2.1:6379/0) is not used" in it.text
    assert f"status --redis-url {it.url}" in it.text
    it.meet_family()
    it.process.send_signal(signal.SIGTERM)
    await it.ends(0)
    await it.leaves_nothing()


async def test_kill_9_of_the_parent_leaves_nothing_even_of_a_stopped_child(up: Callable[..., Up]) -> None:
    demo = up("--demo")
    await demo.says(r"kill -9 \d+")
    await eventually(
        lambda: len(demo.meet_family()) == 3 + 1 + 2 + 12
    )  # the page is one, the guardian and the server are two
    if sys.platform == "linux":
        stopped = next(one for one in demo.family if "mon-1" in one.cmdline())
        stopped.suspend()
    demo.process.kill()
    await demo.leaves_nothing()


async def test_kill_9_of_the_parent_while_it_starts_leaves_nothing(up: Callable[..., Up]) -> None:
    it = up()
    await it.says(r"healthmon \S+ at redis:")
    it.meet_family()
    it.process.kill()
    await it.leaves_nothing()


async def test_data_is_kept_and_its_folder_belongs_to_one(up: Callable[..., Up], tmp_path: Path) -> None:
    data = tmp_path / "kept"
    first = up("--data", str(data), "--replicas", "1")
    await first.says(r"kill -9 \d+")
    async with open_raw(first.url, name="test") as client:
        await call(client, "XADD", KEYS.heartbeats, "*", "id", "j_prime")
        await first.says("j_prime +Unknown (->|→) Healthy")
    other = up("--data", str(data))
    await other.ends(2)
    assert other.lines[-1].endswith(
        f"another process runs its server in {data} already: end it, or give another directory\n"
    )
    first.meet_family()
    first.signal(signal.SIGTERM)
    await first.ends(0)
    await first.leaves_nothing()

    second = up("--data", str(data), "--replicas", "1")
    await second.says(r"kill -9 \d+")
    async with open_raw(second.url, name="test") as client:
        assert await call(client, "HGET", KEYS.component("j_prime"), "total_heartbeats") == b"1"


async def test_the_page_is_served_by_a_process_of_its_own_that_comes_back(up: Callable[..., Up]) -> None:
    it = up("--replicas", "1")
    address = (await it.says(r"Open (http://127\.0\.0\.1:\d+)/ in a browser"))[1]
    await it.says(r"kill -9 \d+")
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        assert (await client.get("/beat/first")).status_code == 200
        await it.says("first +registered by its first heartbeat")
        (page,) = [one for one in it.meet_family() if "healthmon.up.page" in one.cmdline()]
        page.kill()
        await it.says(r"page +\(pid \d+\) was ended by SIGKILL")
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        assert (await client.get("/beat/second")).status_code == 200, "who calls meanwhile waits, and is served"
    it.meet_family()
    it.signal(signal.SIGINT)
    await it.ends(0)
    await it.leaves_nothing()


async def test_a_port_for_the_page_that_was_asked_for_and_is_taken_is_refused(up: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        it = up("--http-port", str(port))
        await it.ends(2)
    assert it.text.startswith(f"healthmon: port {port} of 127.0.0.1 can't be served (Address already in use): end what")


async def test_a_busy_port_is_refused_in_one_sentence(up: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        it = up("--port", str(port), "--demo")
        await it.ends(2)
    assert it.text == f"healthmon: port {port} of 127.0.0.1 is in use: choose another one, or 0 for a free one\n"
    await it.leaves_nothing()


async def test_a_server_that_is_killed_ends_it_with_a_sentence(up: Callable[..., Up]) -> None:
    it = up("--replicas", "1")
    await it.says(r"healthmon \S+ at redis:")
    (server,) = [one for one in it.meet_family() if "valkey" in one.name() or "redis" in one.name()]
    server.kill()
    await it.ends(5)
    assert it.lines[-1] == "healthmon: the server that `up` started has ended: start `healthmon up` again\n"
    await it.leaves_nothing()
