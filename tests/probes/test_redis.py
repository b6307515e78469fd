"""Redis probes against a real server with and without a password."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from healthmon.probes.kinds import probe
from healthmon.probes.spec import ProbeResult, spec_of
from healthmon.store.calls import call, open_raw
from tests.probes.listeners import answering, closed_port, listening, silent
from tests.servers import FreshServer

pytestmark = pytest.mark.anyio
Fresh = Callable[..., FreshServer]


async def ping(url: str, timeout_s: float = 5.0) -> ProbeResult:
    return await probe(spec_of({"url": url}), timeout_s)


async def test_a_server_that_answers_ping_is_well_and_keeps_no_connection(url: str) -> None:
    async with open_raw(url, name="test") as client:
        before = len((await call(client, "CLIENT", "LIST")).splitlines())
        result = await ping(url)
        assert (result.outcome, result.detail) == ("ok", "PONG")
        assert len((await call(client, "CLIENT", "LIST")).splitlines()) <= before


async def test_the_password_of_the_url_is_used_and_not_shown(fresh_server: Fresh) -> None:
    server = fresh_server()
    port = urlsplit(await server.start()).port
    async with open_raw(server.url, name="test") as client:
        await call(client, "ACL", "SETUSER", "probe", "on", ">s3cret", "+ping")
        await call(client, "CONFIG", "SET", "requirepass", "other")
    assert (await ping(f"redis://probe:s3cret@127.0.0.1:{port}/0")).outcome == "ok"
    without, wrong = await ping(f"redis://127.0.0.1:{port}/0"), await ping(f"redis://probe:wr0ng@127.0.0.1:{port}/0")
    assert (without.outcome, wrong.outcome) == ("failed", "failed")
    assert "Authentication required" in without.detail
    assert wrong.detail.startswith("login refused: ")
    assert "wr0ng" not in wrong.detail


async def test_a_unix_socket_is_probed_too(fresh_server: Fresh) -> None:
    server = fresh_server()
    await server.start()
    path = server.directory / "socket"
    assert (await ping(f"unix://{path}")).outcome == "ok"
    await server.kill()
    assert (await ping(f"unix://{path}")).outcome in ("refused", "failed")


async def test_a_port_that_nobody_listens_on_is_refused() -> None:
    result = await ping(f"redis://127.0.0.1:{closed_port()}/0")
    assert (result.outcome, result.detail) == ("refused", "connection refused")


async def test_a_name_is_refused_when_all_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    port = closed_port()
    family = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    found = [(*family, ("127.0.0.1", port)), (*family, ("127.0.0.2", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert (await ping(f"redis://both.example:{port}/0")).outcome == "refused"


async def test_a_frozen_server_fails_at_the_time_out(fresh_server: Fresh) -> None:
    server = fresh_server()
    await server.start()
    server.freeze()
    try:
        result = await ping(server.url, 0.3)
    finally:
        server.thaw()
    assert (result.outcome, result.detail) == ("failed", "no answer within 0.3 s")
    assert result.ms < 1000


async def test_what_does_not_speak_redis_fails_with_a_reason() -> None:
    async with listening(answering("200 OK")) as port:
        assert (await ping(f"redis://127.0.0.1:{port}/0", 0.3)).outcome == "failed"
    async with listening(silent) as port:
        assert (await ping(f"rediss://127.0.0.1:{port}/0", 0.3)).outcome == "failed"
