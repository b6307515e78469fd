"""Restarts by a webhook, against real small HTTP servers."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
from collections.abc import Callable
from time import monotonic, time

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from healthmon.posting import ANSWER_MAX
from healthmon.restarts.attempt import Outcome
from healthmon.restarts.webhook import Webhook
from tests.restarts.programs import attempt
from tests.restarts.receiver import Receiver

pytestmark = pytest.mark.anyio
SECRET = "between us"


async def post(url: str, secret: str = "", timeout_s: float = 10.0) -> Outcome:
    with anyio.fail_after(20):
        return await Webhook(secret).run(attempt(url=url, timeout_s=timeout_s))


async def test_the_receiver_learns_what_to_restart_and_can_tell_who_asks(receiver: Receiver) -> None:
    outcome = await post(f"{receiver.url}/restart?of=a", SECRET)
    assert outcome == Outcome(ok=True, detail=f"{receiver.url}/restart?of=a answered 200")
    ((command, path, headers, body),) = receiver.calls
    assert (command, path, headers["Content-Type"]) == ("POST", "/restart?of=a", "application/json")
    assert json.loads(body) == {
        "component_id": "a",
        "attempt": 2,
        "reason": "no heartbeat for 180.0 s",
        "rev": 7,
        "incarnation": "old",
    }
    timestamp = headers["X-Healthmon-Timestamp"]
    assert abs(int(timestamp) - time()) < 5
    signed = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["X-Healthmon-Signature"], f"sha256={signed}")


async def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    assert (await post(receiver.url)).ok
    assert "X-Healthmon-Signature" not in receiver.calls[0][2]


@pytest.mark.parametrize("status", [204, 202])
async def test_every_2xx_is_a_success(receiver: Receiver, status: int) -> None:
    receiver.answers["/"] = (status, {}, b"")
    assert (await post(f"{receiver.url}/")).ok


@pytest.mark.parametrize("status", [303, 304, 400, 500])
async def test_any_other_answer_is_a_failure_told_with_its_beginning(receiver: Receiver, status: int) -> None:
    receiver.answers["/"] = (status, {}, b"no\nsuch\x1b unit " + b"x" * 1000 if status != 304 else b"")
    outcome = await post(f"{receiver.url}/")
    told = ": no such  unit " + "x" * (ANSWER_MAX - 14) if status != 304 else ""
    assert outcome == Outcome(ok=False, detail=f"{receiver.url}/ answered {status}{told}")


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_that_never_ends_is_not_read_to_its_end(receiver: Receiver, status: int) -> None:
    receiver.answers["/endless"] = (status, {}, b"")
    begun_s = monotonic()
    outcome = await post(f"{receiver.url}/endless")
    assert outcome.ok is (status == 200)
    assert len(outcome.detail) < ANSWER_MAX + 100
    assert monotonic() - begun_s < 5


async def test_a_redirect_within_the_host_is_followed_as_a_post_and_signed_again(receiver: Receiver) -> None:
    receiver.answers["/old"] = (308, {"Location": "/new"}, b"")
    receiver.answers["/new"] = (302, {"Location": f"{receiver.url}/last"}, b"")
    assert (await post(f"{receiver.url}/old", SECRET)).ok
    assert [(command, path) for command, path, _, _ in receiver.calls] == [
        ("POST", "/old"),
        ("POST", "/new"),
        ("POST", "/last"),
    ]
    assert len({body for *_, body in receiver.calls}) == 1
    assert all("X-Healthmon-Signature" in headers for _, _, headers, _ in receiver.calls)


async def test_a_redirect_to_another_host_or_port_is_refused(receivers: Callable[[], Receiver]) -> None:
    near, far = receivers(), receivers()
    elsewhere = {
        "port": f"{far.url}/x",
        "host": far.url.replace("127.0.0.1", "localhost"),
        "account": f"http://u:secret@{far.url.partition('://')[2]}/x",
    }
    for name, location in elsewhere.items():
        near.answers[f"/{name}"] = (307, {"Location": location}, b"")
        outcome = await post(f"{near.url}/{name}", SECRET)
        assert not outcome.ok
        assert outcome.detail.startswith(f"{near.url}/{name} redirects to http://")
        assert outcome.detail.endswith("which is another host: not followed")
        assert "secret" not in outcome.detail
    assert far.calls == []


async def test_a_circle_of_redirects_ends(receiver: Receiver) -> None:
    receiver.answers["/"] = (307, {"Location": "/"}, b"")
    assert await post(f"{receiver.url}/") == Outcome(ok=False, detail=f"{receiver.url}/ redirects more than 3 times")
    assert len(receiver.calls) == 4


@pytest.mark.parametrize("path", ["/hang", "/"])
async def test_an_answer_that_does_not_come_in_time_is_a_failure(receiver: Receiver, path: str) -> None:
    begun_s = monotonic()
    if path == "/hang":
        outcome = await post(f"{receiver.url}/hang", timeout_s=0.3)
    else:
        outcome = await drip()
    assert not outcome.ok
    assert outcome.detail.startswith("no answer from http://127.0.0.1:")
    assert outcome.detail.endswith("within 0.3 s")
    assert monotonic() - begun_s < 3


async def drip() -> Outcome:
    """The outcome of calling a server that sends a header a tenth of a second, for ever."""

    async def serve(stream: ByteStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 200 OK\r\n")
            while True:
                await stream.send(b"X-More: 1\r\n")
                await anyio.sleep(0.1)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # taken for Django's
        outcome = await post(f"http://127.0.0.1:{port}/", timeout_s=0.3)
        group.cancel_scope.cancel()
    return outcome


async def test_what_cannot_be_reached_or_understood_is_a_failure_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url, reason in {
        f"http://127.0.0.1:{port}/": "is not reachable: ",
        "http://nowhere.invalid/": "is not reachable: ",
        "ftp://host/": "could not be called: ",
        "http://host:port/": "could not be called: ",
        "http://[::1/": "could not be called: ",
    }.items():
        outcome = await post(url)
        assert not outcome.ok
        assert outcome.detail.startswith(f"{url} {reason}"), outcome
    assert await post("") == Outcome(ok=False, detail="the policy names no url")


async def test_a_server_that_speaks_no_http_is_a_failure() -> None:
    async def serve(stream: ByteStream) -> None:
        async with stream:
            await stream.send(b"-ERR unknown command\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # taken for Django's
        outcome = await post(f"http://127.0.0.1:{port}/")
        group.cancel_scope.cancel()
    assert "could not be called: " in outcome.detail


async def test_a_login_in_the_url_is_used_and_shown_nowhere(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = receiver.url.replace("://", "://operator:hunter2@")
    receiver.answers["/"] = (500, {}, b"")
    outcomes = [await post(f"{url}/"), await post(f"{url}/ok")]
    assert [one.ok for one in outcomes] == [False, True]
    assert all(headers["Authorization"].startswith("Basic ") for _, _, headers, _ in receiver.calls)
    assert "hunter2" not in f"{outcomes}{caplog.text}{Webhook(SECRET)}"
    assert SECRET not in repr(Webhook(SECRET))


async def test_a_call_that_is_cancelled_ends_at_once(receiver: Receiver) -> None:
    with anyio.move_on_after(0.5) as scope:
        await post(f"{receiver.url}/hang", timeout_s=60)
    assert scope.cancelled_caught
