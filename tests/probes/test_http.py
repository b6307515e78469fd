"""HTTP probes against servers that answer well, badly, slowly, endlessly and not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from healthmon.probes.kinds import probe
from healthmon.probes.spec import ProbeResult, spec_of
from tests.probes.listeners import answering, closed_port, listening, self_signed, silent

pytestmark = pytest.mark.anyio


async def get(port: int, where: str = "/", timeout_s: float = 5.0, scheme: str = "http") -> ProbeResult:
    return await probe(spec_of({"url": f"{scheme}://127.0.0.1:{port}{where}"}), timeout_s)


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "302 Found"])
async def test_any_2xx_or_3xx_is_well(status: str) -> None:
    async with listening(answering(status)) as port:
        result = await get(port)
    assert (result.outcome, result.detail) == ("ok", f"HTTP {status[:3]}")
    assert 0 < result.ms < 5000


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        ("404 gone fishing", "HTTP 404 Not Found"),
        ("503 x", "HTTP 503 Service Unavailable"),
        ("599 odd", "HTTP 599"),
        ("100 Continue", "Server disconnected without sending a response."),
    ],
)
async def test_any_other_status_fails_and_is_told_in_the_standards_words(status: str, detail: str) -> None:
    async with listening(answering(status)) as port:
        result = await get(port)
    assert (result.outcome, result.detail) == ("failed", detail)


async def test_a_redirect_is_not_followed() -> None:
    asked: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await answering("500 x")(reader, writer)

    async with (
        listening(elsewhere) as other,
        listening(answering("301 Moved", f"Location: http://127.0.0.1:{other}/")) as port,
    ):
        assert (await get(port)).outcome == "ok"
    assert asked == []


async def test_a_port_that_nobody_listens_on_is_refused() -> None:
    result = await get(closed_port())
    assert (result.outcome, result.detail) == ("refused", "connection refused")


async def test_a_name_with_two_addresses_is_refused_only_when_both_are() -> None:
    port = closed_port()
    assert (await probe(spec_of({"url": f"http://localhost:{port}/"}), 5)).outcome == "refused"


async def test_a_server_that_says_nothing_fails_at_the_time_out() -> None:
    async with listening(silent) as port:
        result = await get(port, timeout_s=0.2)
    assert (result.outcome, result.detail) == ("failed", "no answer within 0.2 s")
    assert 200 <= result.ms < 1000


async def test_headers_that_drip_for_ever_end_at_the_time_out() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: yes\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listening(drip) as port:
        result = await get(port, timeout_s=0.3)
    assert (result.outcome, result.detail) == ("failed", "no answer within 0.3 s")
    assert result.ms < 1000


async def test_a_flood_of_headers_fails_before_the_time_out() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: yes\r\n" * 1000)
            await writer.drain()

    async with listening(flood) as port:
        result = await get(port)
    assert result.outcome == "failed"
    assert result.ms < 2000


async def test_an_endless_body_is_not_read() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with listening(endless) as port:
        result = await get(port)
    assert (result.outcome, result.detail) == ("ok", "HTTP 200")
    assert result.ms < 2000


async def test_what_does_not_speak_http_fails_with_a_reason() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
        await writer.drain()

    async with listening(talk) as port:
        result = await get(port)
    assert result.outcome == "failed"
    assert "illegal status line" in result.detail


async def test_a_certificate_that_is_not_trusted_is_told_as_such(tmp_path: Path) -> None:
    async with listening(answering("200 OK"), self_signed(tmp_path)) as port:
        result = await get(port, scheme="https")
    assert (result.outcome, result.detail) == ("failed", "TLS: certificate not accepted: self-signed certificate")


async def test_tls_to_a_server_without_it_is_told_as_such() -> None:
    async with listening(answering("200 OK")) as port:
        result = await get(port, scheme="https", timeout_s=1)
    assert result.outcome == "failed"
    assert result.detail.startswith(("TLS: ", "no answer"))


async def test_the_login_of_the_url_is_sent_and_not_told_though_the_server_repeats_it() -> None:
    heads: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 nonsense operator s3cret/word s3cret%2Fword\r\n\r\n")
        await writer.drain()

    async with listening(handler) as port:
        result = await probe(spec_of({"url": f"http://operator:s3cret%2Fword@127.0.0.1:{port}/"}), 5)
    assert b"Authorization: Basic b3BlcmF0b3I6czNjcmV0L3dvcmQ=\r\n" in heads[0]
    assert result.outcome == "failed"
    assert "***" in result.detail
    for secret in ("operator", "s3cret/word", "s3cret%2Fword"):
        assert secret not in result.detail


async def test_the_login_of_the_url_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with listening(answering("200 OK")) as port:
        await probe(spec_of({"url": f"http://operator:s3cret%2Fword@127.0.0.1:{port}/"}), 5)
    assert "HTTP Request: GET http://127.0.0.1" in caplog.text
    assert not any(secret in caplog.text for secret in ("operator", "s3cret"))


async def test_a_hanging_handshake_leaves_no_connection_behind() -> None:
    ended = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await silent(reader, _)
        ended.set()

    async with listening(mute) as port:
        assert (await get(port, scheme="https", timeout_s=0.3)).detail == "no answer within 0.3 s"
        await asyncio.wait_for(ended.wait(), 2)


async def test_an_unknown_host_is_told_as_such() -> None:
    result = await probe(spec_of({"url": "http://no-such-host.invalid/"}), 5)
    assert result.outcome == "failed"
    assert result.detail.startswith(("the host name was not resolved: ", "no answer"))  # a resolver may be slow
