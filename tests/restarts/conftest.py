from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.restarts.receiver import Receiver


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Makes receivers, each a server of its own."""
    made: list[tuple[Receiver, ThreadingHTTPServer, threading.Thread]] = []

    def make() -> Receiver:
        receiver = Receiver()
        server = receiver.serve()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        made.append((receiver, server, thread))
        return receiver

    yield make
    for receiver, server, thread in made:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()
