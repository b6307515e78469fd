"""What a heartbeat costs that comes by HTTP, beside a handler of starlette's that keeps nothing."""

from __future__ import annotations

import json
import socket
from functools import partial
from importlib.util import find_spec
from typing import Final

from healthmon import clock
from healthmon.bench.figures import Row, Side, Target, take_turns
from healthmon.bench.ground import Ground, id_of
from healthmon.bench.processes import Processes, stage

CONNECTIONS: Final = 16
TOGETHER: Final = 100
ANSWER_S: Final = 20.0
# How many heartbeats share a request -> how many times the bare handler one of them may cost.
MOST: Final = {1: 2.0, TOGETHER: 8.0}
END: Final = b"\r\n\r\n"
RECEIVED: Final = 65_536
US: Final = 1e6
_BARE: Final = "a bare starlette handler"


async def measure(ground: Ground) -> list[Row]:
    """One heartbeat a request, and a hundred. No row without the packages that it takes, which is said."""
    if not all(map(find_spec, ("starlette", "uvicorn", "websockets"))):
        ground.say("heartbeats by HTTP are not measured: pip install 'healthmon[gateway]'")
        return []
    rounds, requests = ground.plan.rounds, max(CONNECTIONS, ground.plan.publish // 2)
    with stage(ground, "heartbeats by HTTP") as children:
        callers = {what: _Callers(children, what) for what in ("bare", "gateway")}
        try:
            rows = []
            for beats, most in MOST.items():
                what = "one heartbeat by HTTP" if beats == 1 else f"  one of {beats} in a request"
                times = max(CONNECTIONS, requests // beats)
                sides: list[Side] = [partial(caller.cost, beats, times) for caller in callers.values()]
                floor, ours = await take_turns(sides, rounds)
                rates = ", ".join(f"{caller.rate(beats):.0f} a second" for caller in callers.values())
                note = f"bare and ours: {rates}, of one sender; the bare one checks and stores nothing"
                rows.append(Row(what, ours, "us", Target(most), floor, _BARE, "", note))
        finally:
            for caller in callers.values():
                caller.close()
    return rows


class _Callers:
    """Connections to one server, each with one request under way."""

    def __init__(self, children: Processes, what: str) -> None:
        self._children = children
        self._what = what
        port = children.web(what)
        self._sockets = [socket.create_connection(("127.0.0.1", port), ANSWER_S) for _ in range(CONNECTIONS)]
        self._passed_s: dict[int, float] = {}
        self._sent: dict[int, int] = {}

    async def cost(self, beats: int, requests: int) -> float:
        """Microseconds of the server's processor time a heartbeat."""
        request, began_s, cpu_s = _request(beats), clock.monotonic_s(), self._children.cpu_s(self._what)
        rounds = max(1, requests // CONNECTIONS)
        for _ in range(rounds):
            for connection in self._sockets:
                connection.sendall(request)
            for connection in self._sockets:
                _read(connection)
        count = rounds * CONNECTIONS * beats
        self._passed_s[beats] = self._passed_s.get(beats, 0.0) + clock.monotonic_s() - began_s
        self._sent[beats] = self._sent.get(beats, 0) + count
        return (self._children.cpu_s(self._what) - cpu_s) * US / count

    def rate(self, beats: int) -> float:
        """Heartbeats a second, so many in a request."""
        return self._sent[beats] / self._passed_s[beats]

    def close(self) -> None:
        for connection in self._sockets:
            connection.close()


def _request(beats: int) -> bytes:
    """A request as any client sends it: the specification's body, one or a list."""
    said = [
        {"component_id": id_of(n), "metrics": {"latency_ms": 12.5, "memory_mb": 512.25, "cpu_percent": 31.0}}
        for n in range(beats)
    ]
    body = json.dumps(said if beats > 1 else said[0]).encode()
    head = "POST /health/heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _read(connection: socket.socket) -> None:
    """One response. Raises ValueError for any but 200."""
    data = b""
    while END not in data:
        data += _received(connection)
    head, _, body = data.partition(END)
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"a request of the benchmark was refused: {data[:500]!r}")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    left = int(length.partition(b":")[2]) - len(body)
    while left > 0:
        left -= len(_received(connection))


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(RECEIVED)
    if not data:
        raise ValueError("the server closed a connection of the benchmark")
    return data
