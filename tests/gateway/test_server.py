"""The server against clients that are slow, many, or speak no HTTP."""

from __future__ import annotations

import socket
import ssl
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
from anyio.abc import SocketStream

from healthmon.errors import ConfigurationError
from healthmon.gateway.address import PortTaken, bind, tls_of
from tests.gateway.conftest import Serve, Served
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def connect(gateway: Served) -> SocketStream:
    return await anyio.connect_tcp("127.0.0.1", gateway.port)


async def heard(stream: SocketStream) -> bytes:
    """All that comes until the server closes."""
    said = b""
    with anyio.fail_after(10):
        while True:
            try:
                said += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return said


@pytest.mark.parametrize("beginning", [b"", b"GET /beat/a HT", b"GET /beat/a HTTP/1.1\r\nHost: localhost\r\nX-A: "])
async def test_a_head_that_does_not_come_ends_the_connection(url: str, served: Serve, beginning: bytes) -> None:
    async with served(url, http_timeout=0.2) as gateway, await connect(gateway) as slow:
        if beginning:
            await slow.send(beginning)
        said = await heard(slow)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b'"code": "too_slow"' in said
        assert (await gateway.client.get("/beat/a")).status_code == 200, "others are served all the while"


async def test_a_head_that_drips_ends_too(url: str, served: Serve) -> None:
    async def drip(slow: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await slow.send(b"X-A: b\r\n")
                await anyio.sleep(0.02)

    async with (
        served(url, http_timeout=0.3) as gateway,
        await connect(gateway) as slow,
        anyio.create_task_group() as group,
    ):
        await slow.send(b"GET / HTTP/1.1\r\n")
        group.start_soon(drip, slow)
        assert b"HTTP/1.1 408 " in await heard(slow)
        group.cancel_scope.cancel()


async def test_the_second_head_of_a_connection_has_no_more_time(url: str, served: Serve) -> None:
    async with served(url, http_timeout=0.2) as gateway, await connect(gateway) as slow:
        await slow.send(b"GET /beat/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await slow.receive()).startswith(b"HTTP/1.1 200 ")
        await slow.send(b"GET /be")
        assert b"HTTP/1.1 408 " in await heard(slow)


async def test_a_body_that_does_not_come_is_answered_and_ended(url: str, served: Serve) -> None:
    async with served(url, http_timeout=0.2) as gateway, await connect(gateway) as slow:
        head = b"POST /health/heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        await slow.send(head)
        said = await heard(slow)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"too_slow"' in said
        assert gateway.door.refused == {"too_slow": 1}


async def test_a_body_without_a_length_is_cut_off_where_it_gets_too_long(url: str, served: Serve) -> None:
    async with served(url, http_body_max=2048) as gateway, await connect(gateway) as big:
        await big.send(b"POST /health/heartbeat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        await big.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        assert b" 413 " in await big.receive()
        assert gateway.door.refused == {"too_large": 1}


async def test_what_is_no_http_is_answered_in_json(url: str, served: Serve) -> None:
    async with served(url) as gateway, await connect(gateway) as strange:
        await strange.send(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
        said = await heard(strange)
        assert said.startswith(b"HTTP/1.1 400 ")
        assert b'"code": "bad_request"' in said


async def test_beyond_the_number_of_connections_the_next_is_sent_away(url: str, served: Serve) -> None:
    async with served(url, http_connections=3) as gateway:
        held = [await connect(gateway) for _ in range(3)]
        async with await connect(gateway) as one_more:
            said = await heard(one_more)
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5" in said
        for stream in held:
            await stream.aclose()

        async def served_again() -> bool:
            async with httpx.AsyncClient(base_url=gateway.url) as client:
                return (await client.get("/beat/a")).status_code == 200

        await eventually(served_again)


async def test_a_request_under_way_is_answered_when_the_server_ends(url: str, served: Serve) -> None:
    answers: list[int] = []
    async with anyio.create_task_group() as group, served(url) as gateway:

        async def send() -> None:
            async with httpx.AsyncClient(base_url=gateway.url) as client:
                answers.append((await client.post("/health/heartbeat", json={"component_id": "a"})).status_code)

        group.start_soon(send)
        await eventually(lambda: gateway.door.accepted or gateway.door._batches)
    assert answers == [200]


@pytest.mark.needs("openssl")
async def test_it_serves_https_with_the_files_given(url: str, served: Serve, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make = partial(subprocess.run, [*words, "-keyout", key, "-out", cert, *subject], check=True, capture_output=True)
    await anyio.to_thread.run_sync(make)
    async with served(url, http_tls_cert=cert, http_tls_key=key) as gateway:
        assert gateway.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(cert))
        async with httpx.AsyncClient(base_url=gateway.url, verify=context) as client:
            assert (await client.get("/beat/a")).status_code == 200


def test_a_certificate_that_can_t_be_used_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        tls_of(tmp_path / "no.pem", tmp_path / "no.key")
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="correct HEALTH_HTTP_TLS_CERT and HEALTH_HTTP_TLS_KEY"):
        tls_of(tmp_path / "bad.pem", tmp_path / "bad.pem")


def test_small_answers_go_out_at_once() -> None:
    with bind("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP, "else asyncio leaves Nagle's algorithm on, and each waits 40 ms"


def test_a_port_that_is_taken_and_an_address_that_is_none_are_told_apart() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(PortTaken, match="end what uses it, or give another HEALTH_HTTP"):
        bind("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ConfigurationError, match="correct HEALTH_HTTP_HOST"):
        bind("no.such.host.invalid", 0)
