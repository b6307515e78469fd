"""What a socket may not do, and what becomes of it and of the others."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from healthmon import clock
from healthmon.gateway import websocket as module
from tests.door import serving
from tests.talking import LATE_S, ask, closed
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("frames", "code", "word"),
    [
        (b"\x81\x00\xff", 1003, "binary"),
        ("x" * 262_145, 1009, ""),
        (["x" * 200_000, "x" * 200_000], 1009, ""),
        (["x"] * 100, 1008, "pieces"),
    ],
)
async def test_frames_that_are_out_of_bounds_close_the_socket_and_no_other(
    url: str, prefix: str, frames: Any, code: int, word: str
) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as other:
        async with connect(gateway.base) as peer:
            await peer.send(frames)
            found, reason = await closed(peer)
            assert found == code
            assert word in reason
        assert (await ask(other, {"component_id": "a"}))["type"] == "ack"
        await eventually(lambda: len(gateway.open_sockets()) == 1)


async def test_text_that_is_no_utf8_closes_the_socket_without_a_page_in_the_log(
    url: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as peer:
        await peer.send(b'{"component_id": "\xff"}', text=True)
        assert (await closed(peer))[0] == 1007
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("headers", [{"X-Long": "x" * 9000}, {f"X-{number}": "x" for number in range(140)}])
async def test_a_head_that_no_websocket_may_have_is_refused_and_its_connection_closed(
    url: str, prefix: str, headers: dict[str, str]
) -> None:
    async with serving(url, prefix) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(gateway.base, additional_headers=headers, open_timeout=LATE_S):
                pass
        assert refused.value.response.status_code == 431
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "head_too_large"
        async with connect(gateway.base) as other:
            assert (await ask(other, {"component_id": "a"}))["type"] == "ack"


async def test_a_socket_too_many_is_told_to_come_later(url: str, prefix: str) -> None:
    async with serving(url, prefix, most=2) as gateway, connect(gateway.base), connect(gateway.base) as second:
        with pytest.raises(InvalidStatus) as refused:
            await connect(gateway.base)
        response = refused.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
        assert json.loads(response.body or b"")["error"]["code"] == "too_many_sockets"
        await second.close()
        await eventually(lambda: len(gateway.open_sockets()) == 1)
        async with connect(gateway.base) as third:
            assert (await ask(third, {"component_id": "a"}))["type"] == "ack"


def test_sockets_leave_connections_to_those_who_look() -> None:
    assert [module.sockets_of(most) for most in (1, 100, 25_000, 1_000_000)] == [1, 80, 20_000, 20_000]


async def test_who_goes_on_after_a_hundred_refusals_is_closed(url: str, prefix: str) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as peer:
        for _ in range(module.REFUSED_MAX):
            await peer.send("nonsense")
        code, reason = await closed(peer)
        assert code == 1008
        assert reason == "100 messages in a row were refused, the last as bad_json"


async def test_one_good_heartbeat_makes_up_for_the_refusals_before_it(url: str, prefix: str) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as peer:
        for _ in range(2):
            for _ in range(module.REFUSED_MAX - 1):
                assert (await ask(peer, "nonsense"))["type"] == "refused"
            assert (await ask(peer, {"component_id": "a"}))["type"] == "ack"


async def test_too_many_messages_in_a_second_close_the_socket(
    url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MESSAGES_PER_S_MAX", 20)
    monkeypatch.setattr(clock, "monotonic_s", lambda: 7.5)
    async with serving(url, prefix, http_component_rate=0) as gateway, connect(gateway.base) as peer:
        for _ in range(21):
            await peer.send('{"component_id": "a"}')
        assert await closed(peer) == (1008, "more than 20 messages a second: send lists")
        assert len(await gateway.stored()) == 20


async def test_a_component_above_its_rate_is_refused_and_others_on_the_socket_are_not(url: str, prefix: str) -> None:
    async with serving(url, prefix, http_component_rate=5) as gateway, connect(gateway.base) as peer:
        answers = await ask(peer, [{"component_id": "loud"}] * 20 + [{"component_id": "calm"}])
        told = [(one["type"], one.get("error", {}).get("code"), one.get("retry_after")) for one in answers]
        assert told[:5] == [("ack", None, None)] * 5
        assert ("refused", "rate_limited", 1) in told
        assert answers[-1]["type"] == "ack"
        assert await gateway.count("loud") < 20


def frame(opcode: int, payload: bytes) -> bytes:
    """As a client sends it: masked, with nothing."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


@contextmanager
def silent_peer(base: str) -> Iterator[socket.socket]:
    """A socket that is opened and then reads nothing of itself, and takes little unread."""
    host, _, path = base.removeprefix("ws://").partition("/")
    name, port = host.split(":")
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect((name, int(port)))
        peer.setblocking(False)
        peer.send(
            f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        yield peer


@pytest.mark.parametrize("sent", [frame(1, b"[" + b"0," * 60 + b"0]"), frame(9, b"p" * 125)], ids=["messages", "pings"])
async def test_a_peer_that_reads_nothing_is_cut_off_and_does_not_hold_up_the_others(
    url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("healthmon.gateway.socket_protocol.UNREAD_S", 0.3)
    monkeypatch.setattr(module, "MESSAGES_PER_S_MAX", 10**6)
    monkeypatch.setattr(module, "REFUSED_MAX", 10**6)
    async with serving(url, prefix) as gateway, connect(gateway.base) as other:
        with silent_peer(gateway.base) as peer:
            send = partial(asyncio.get_running_loop().sock_sendall, peer)
            await eventually(lambda: len(gateway.open_sockets()) == 2)
            with anyio.fail_after(LATE_S), suppress(OSError):
                while len(gateway.open_sockets()) == 2:
                    await send(sent * 100)
        assert (await ask(other, {"component_id": "a"}))["type"] == "ack"
        await eventually(lambda: len(gateway.open_sockets()) == 1)


async def test_a_peer_that_is_gone_without_a_word_is_noticed_by_its_silence(
    url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthmon.gateway.server.PING_S", 0.1)
    monkeypatch.setattr("healthmon.gateway.server.PONG_S", 0.2)
    async with serving(url, prefix) as gateway, connect(gateway.base) as other:
        with silent_peer(gateway.base) as peer:
            await eventually(lambda: len(gateway.open_sockets()) == 2)
            await eventually(lambda: len(gateway.open_sockets()) == 1)
            code, reason = 1011, b"keepalive ping timeout"
            assert peer.recv(10_000).endswith(bytes([0x88, 2 + len(reason)]) + code.to_bytes(2, "big") + reason)
        assert (await ask(other, {"component_id": "a"}))["type"] == "ack"
