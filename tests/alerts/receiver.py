"""A web service that alerts are sent to: it notes every call, may be down, and may answer as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """`taken`: what was answered with 200, in order. `refused`: how many calls got another answer.

    `status`: what is answered; a function of the body may decide it.
    """

    status: int = 200
    refuses: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    refused: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts"

    def ids(self) -> list[str]:
        """The ids of what was taken."""
        return [one["id"] for one in self.taken]

    def told(self, component: str) -> list[str]:
        """What was said of a component: its new states, `resolved` for an end."""
        data = [one["data"] for one in self.taken if one["data"].get("component_id") == component]
        return [one["new_state"] if one["status"] == "firing" else "resolved" for one in data]

    @contextmanager
    def serving(self) -> Iterator[Receiver]:
        """Up until left. A second time it has the same port."""
        server = _server(self)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _server(receiver: Receiver) -> ThreadingHTTPServer:
    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 400 if receiver.refuses and receiver.refuses in body.decode() else receiver.status
            if status == 200:
                receiver.taken.append(json.loads(body))
                receiver.headers.append(dict(self.headers))
                receiver.bodies.append(body)
            else:
                receiver.refused += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named so by the base class
            pass

    return ThreadingHTTPServer(("127.0.0.1", receiver.port), Answering)
