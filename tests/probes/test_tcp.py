"""TCP probes, and how name resolution is bounded."""

from __future__ import annotations

import socket
import threading

import pytest

from healthmon.probes.kinds import probe
from healthmon.probes.spec import spec_of
from tests.probes.listeners import closed_port, listening, silent

pytestmark = pytest.mark.anyio


async def test_a_port_that_accepts_is_well_though_it_says_nothing() -> None:
    async with listening(silent) as port:
        result = await probe(spec_of({"url": f"tcp://127.0.0.1:{port}"}), 5)
    assert (result.outcome, result.detail) == ("ok", "connected")


async def test_a_port_that_nobody_listens_on_is_refused() -> None:
    result = await probe(spec_of({"url": f"tcp://127.0.0.1:{closed_port()}"}), 5)
    assert (result.outcome, result.detail) == ("refused", "connection refused")


async def test_a_full_backlog_is_no_refusal() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        result = await probe(spec_of({"url": f"tcp://127.0.0.1:{full.getsockname()[1]}"}), 0.3)
    assert (result.outcome, result.detail) == ("failed", "no answer within 0.3 s")


async def test_a_resolver_that_hangs_costs_no_more_than_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    hung, end = threading.Event(), threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        hung.set()
        end.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        result = await probe(spec_of({"url": "tcp://slow.example:80"}), 0.2)
    finally:
        end.set()
    assert hung.is_set()
    assert (result.outcome, result.detail) == ("failed", "no answer within 0.2 s")
    assert result.ms < 1000


async def test_an_address_that_cannot_be_read_fails_with_the_reason() -> None:
    assert (await probe(spec_of({"url": "tcp://127.0.0.1"}), 1)).detail == "tcp:// needs a host and a port"
    result = await probe(spec_of({"url": "tcp://127.0.0.1:99999"}), 1)
    assert (result.outcome, result.detail) == ("failed", "Port out of range 0-65535")
