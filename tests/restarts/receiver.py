"""A small HTTP server that notes what it is sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """A server that notes what it is sent, and answers as it is told: status, headers, body by path."""

    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def serve(self) -> ThreadingHTTPServer:
        receiver = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append((self.command, self.path, dict(self.headers), body))
                status, headers, said = receiver.answers.get(self.path, (200, {}, b""))
                if self.path == "/hang":
                    receiver.released.wait(20)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(said)
                    while self.path == "/endless" and not receiver.released.is_set():
                        self.wfile.write(b"x" * 100_000)
                except OSError:
                    pass

            do_GET = do_POST  # noqa: N815  # named so by the base class

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named so by the base class
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{server.server_port}"
        return server
