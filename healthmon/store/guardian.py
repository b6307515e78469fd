"""Ends what must not outlive its parent, however the parent ends, kill -9 included.

Run as a program (`python -I -S guardian.py ...`) it keeps one embedded server: the server is its child, and the parent
holds the other end of a pipe, which the kernel closes when the parent is gone. A parent-death signal would not do: it
follows the thread that spawned the child, and macOS has none. Imported, it gives `end_with_parent` to child processes.

It imports the standard library only, and little of that: every start waits for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from contextlib import suppress

SERVER_GRACE_S = 2  # between asking the server to end and ending it
CHILD_GRACE_S = 3.0
REPORT_BYTES = 1000


def end_with_parent(fd: int) -> None:
    """Ends this process when the other end of the pipe `fd` is closed: SIGTERM at once, a hard exit 3 s later.

    `fd` is the inherited read end; the parent keeps the write end open, never writes to it, and lets nobody inherit it.
    """
    threading.Thread(target=_follow, args=(fd,), name="end-with-parent", daemon=True).start()


def guard(lifeline: int, folder: str, remove: bool, command: list[str]) -> None:
    """Runs the server until the pipe `lifeline` is closed, or SIGTERM; removes then `url`, or the whole folder.

    SIGINT and SIGHUP are ignored: Ctrl-C is for the parent, whose clients still need the server to say goodbye.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    os.set_inheritable(lifeline, False)
    server = None
    try:
        try:
            server = _Server(command, os.path.join(folder, "server.log"))
        except OSError as error:
            _report(str(error).encode())
        _wait_until_closed(lifeline)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with suppress(OSError):
            os.unlink(os.path.join(folder, "url"))  # first, so that nobody attaches to a server that is going
        if server is not None:
            server.end()
        if remove:
            shutil.rmtree(folder, ignore_errors=True)


class _Server:
    """The server, a child of this process. If it ends by itself, its last words are told on standard output, once."""

    def __init__(self, command: list[str], log: str) -> None:
        self._log = log
        self._ended = False
        files = [
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        self._pid = os.posix_spawn(command[0], command, os.environ, file_actions=files)
        signal.signal(signal.SIGCHLD, self._look)
        self._look()  # it may have ended before the handler stood

    def end(self) -> None:
        """Asks the server to end, which saves what it keeps, and ends it after the grace."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if self._ended:
            return
        signal.signal(signal.SIGALRM, lambda *_: os.kill(self._pid, signal.SIGKILL))
        os.kill(self._pid, signal.SIGTERM)
        os.kill(self._pid, signal.SIGCONT)  # a stopped process takes no SIGTERM
        signal.alarm(SERVER_GRACE_S)
        os.waitpid(self._pid, 0)

    def _look(self, *_: object) -> None:
        if self._ended or os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            return
        self._ended = True
        with open(self._log, "rb") as log:
            _report(log.read()[-REPORT_BYTES:])


def _report(text: bytes) -> None:
    """Tells the parent, if it is still there, that there is no server any more, and why."""
    with suppress(OSError):
        os.write(1, text or b"it said nothing")
        os.close(1)


def _wait_until_closed(fd: int) -> None:
    while os.read(fd, 64):
        pass


def _leave(*_: object) -> None:
    raise SystemExit


def _follow(fd: int) -> None:
    _wait_until_closed(fd)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(CHILD_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    guard(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "remove", sys.argv[4:])
