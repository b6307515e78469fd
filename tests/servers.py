"""A real server that a test may stop, start again, kill and freeze."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from healthmon.store.embedded import EmbeddedServer, embedded_server
from tests.waiting import eventually


class FreshServer:
    """A server of one test on one port, the same over all its starts: `url` stays valid. Not started yet."""

    def __init__(self, directory: Path, *, keep: bool, port: int) -> None:
        self.directory = directory
        self.url = ""
        self._keep = keep
        self._port = port
        self._server: EmbeddedServer | None = None

    @property
    def pid(self) -> int:
        assert self._server is not None, "the server is not started"
        return self._server.pid

    async def start(self) -> str:
        """Starts it with the data that it kept (`keep`), otherwise empty; returns the URL."""
        assert self._server is None, "the server is started already"
        server = await embedded_server(self.directory, port=self._port, keep=self._keep).__aenter__()
        self._server = server
        self.url = server.url
        self._port = int(server.url.rpartition(":")[2].partition("/")[0])
        return self.url

    async def stop(self) -> None:
        """Ends it properly, as SIGTERM does; what it keeps is on disk."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.__aexit__(None, None, None)

    async def kill(self) -> None:
        """kill -9: what was not yet synced is lost."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not is_alive(pid))
        await self.stop()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, a zombie not counted."""
    with suppress(OSError):
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    return False
