from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import httpx
import pytest

from healthmon.core.component import Status
from tests.gateway.conftest import Serve
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
AS_JSON = {"content-type": "application/json"}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """The status, and the word of the error."""
    said = answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert len(said["message"]) > 20
    return answer.status_code, str(said["code"])


async def test_the_specification_s_body_is_a_heartbeat(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        answer = await gateway.post({"component_id": "j_prime", "metrics": {"memory_mb": 456.2, "sessions": 3}})
        assert answer.status_code == 200
        (beat,) = await gateway.stored()
        assert (beat.id, beat.metrics) == ("j_prime", {"memory_mb": 456.2, "m.sessions": 3})
        assert answer.json()["entry"].endswith("-0")
        assert gateway.door.accepted == {"http": 1}


async def test_a_list_is_answered_one_by_one(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        answer = await gateway.post([{"component_id": "a"}, {"component_id": ".b"}, {"component_id": "c"}])
        said = answer.json()
        assert (answer.status_code, said["accepted"], said["refused"]) == (200, 2, 1)
        assert [one["id"] for one in said["results"]] == ["a", ".b", "c"]
        assert said["results"][1]["error"]["code"] == "bad_id"
        assert [beat.id for beat in await gateway.stored()] == ["a", "c"]


async def test_a_list_of_which_nothing_is_taken_is_an_error_with_all_reasons(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        answer = await gateway.post([{}, {"component_id": 3}])
        assert code_of(answer) == (422, "no_id")
        assert [one["error"]["code"] for one in answer.json()["results"]] == ["no_id", "bad_id"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", None, 400, "bad_json"),
        (b"{", None, 400, "bad_json"),
        (b'{"component_id": "a"', "application/json", 400, "bad_json"),
        (b'{"component_id": "\xff\xfe"}', "application/json", 400, "bad_utf8"),
        (b"[" * 60_000, "application/json", 400, "bad_json"),
        (b'{"id": "a", "ts": 1' + b"0" * 5000 + b"}", "application/json", 400, "bad_json"),
        (b"{}", "application/json; charset=utf-8", 422, "no_id"),
        (b"7", "application/json", 422, "not_a_map"),
        (b'"text"', "application/json", 422, "not_a_map"),
        (b"[]", "application/json", 422, "empty"),
        (b"[[]]", "application/vnd.beat+json", 422, "not_a_map"),
        (b'{"component_id": "../etc"}', "application/json", 422, "bad_id"),
        (b"component_id=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'{"component_id": "a"}', "text/plain", 415, "unsupported_media_type"),
        (b"[" + b"0," * 1000 + b"0]", "application/json", 413, "too_large"),
        (b"[" + b" " * 70_000 + b"]", "application/json", 413, "too_large"),
    ],
)
async def test_what_is_no_heartbeat_is_refused_counted_and_disturbs_nothing(
    url: str, served: Serve, *, body: bytes, kind: str | None, status: int, code: str
) -> None:
    async with served(url, http_body_max=65_536) as gateway:
        headers = {"content-type": kind} if kind else {}
        answer = await gateway.client.post("/health/heartbeat", content=body, headers=headers)
        assert code_of(answer) == (status, code)
        assert (await gateway.post({"component_id": "a"})).status_code == 200
        assert [beat.id for beat in await gateway.stored()] == ["a"]
        if len(body) < 65_536:
            assert gateway.door.refused == {code: 1}


async def test_nan_is_told_and_the_heartbeat_counts(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        body = '{"component_id": "a", "metrics": {"error_rate": NaN, "latency_ms": 5}}'
        answer = await gateway.client.post("/health/heartbeat", content=body, headers=AS_JSON)
        assert answer.status_code == 200
        assert "no finite number" in answer.json()["dropped"][0]
        (beat,) = await gateway.stored()
        assert beat.metrics == {"latency_ms": 5}
        assert beat.dropped, "the monitor notes it in `rejected`"


async def test_too_many_of_one_component_are_refused_with_a_time(url: str, served: Serve) -> None:
    async with served(url, http_component_rate=2) as gateway:
        answers = [await gateway.post({"component_id": "a"}) for _ in range(9)]
        refused = [one for one in answers if one.status_code == 429]
        assert refused
        assert code_of(refused[0]) == (429, "rate_limited")
        assert refused[0].headers["retry-after"] == "1"
        assert (await gateway.post({"component_id": "b"})).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "msg"),
    [
        ("/beat/a", Status.OK, ""),
        ("/beat/a?msg=all%20well", Status.OK, "all well"),
        ("/beat/a/start", Status.STARTING, ""),
        ("/beat/a/fail?msg=no%20disk", Status.FAILING, "no disk"),
        ("/beat/a/0", Status.OK, ""),
        ("/beat/a/3", Status.FAILING, "exit code 3"),
        ("/beat/a/137?msg=backup", Status.FAILING, "exit code 137: backup"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_script_says_how_it_went_by_the_path(
    url: str, served: Serve, *, method: str, path: str, status: Status, msg: str
) -> None:
    async with served(url) as gateway:
        answer = await gateway.client.request(method, path)
        assert answer.status_code == 200
        (beat,) = await gateway.stored()
        assert (beat.id, beat.status, beat.msg) == ("a", status, msg)
        assert gateway.door.accepted == {"beat": 1}


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/beat/a/done", "GET", 404, "not_found"),
        ("/beat/a/256", "GET", 404, "not_found"),
        ("/beat/a/-1", "GET", 404, "not_found"),
        ("/beat/a/1/2", "GET", 404, "not_found"),
        ("/beat/.a", "GET", 422, "bad_id"),
        ("/beat/a%00", "GET", 422, "bad_id"),
        ("/beat/a", "DELETE", 405, "method_not_allowed"),
        ("/health/heartbeat", "GET", 405, "method_not_allowed"),
        ("/nothing", "GET", 404, "not_found"),
        ("/health/heartbeat/", "POST", 404, "not_found"),  # no redirect: it would be made of the Host header
    ],
)
async def test_other_paths_and_methods_are_errors_in_json(
    url: str, served: Serve, *, path: str, method: str, status: int, code: str
) -> None:
    async with served(url) as gateway:
        assert code_of(await gateway.client.request(method, path)) == (status, code)
        assert await gateway.stored() == []


@pytest.mark.needs("curl")
async def test_curl_sends_a_heartbeat(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        said = json.dumps({"component_id": "by_curl", "metrics": {"latency_ms": 12}})
        words = ["curl", "-fsS", f"{gateway.url}/health/heartbeat", "--json", said]
        done = await anyio.to_thread.run_sync(lambda: subprocess.run(words, capture_output=True, check=True))
        assert json.loads(done.stdout)["entry"]
        script = f"curl -fsS '{gateway.url}/beat/by_shell/'$(false; echo $?)"
        await anyio.to_thread.run_sync(lambda: subprocess.run(["sh", "-c", script], check=True, capture_output=True))
        assert [(beat.id, beat.status) for beat in await gateway.stored()] == [
            ("by_curl", Status.OK),
            ("by_shell", Status.FAILING),
        ]


@pytest.mark.needs("bash")
async def test_printf_to_the_port_sends_a_heartbeat(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        script = (
            f"exec 3<>/dev/tcp/127.0.0.1/{gateway.port}; printf 'GET /beat/by_printf HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
        )
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True)
        )
        assert done.stdout.startswith("HTTP/1.1 200 OK")
        assert [beat.id for beat in await gateway.stored()] == ["by_printf"]


async def test_while_redis_is_away_heartbeats_are_taken_and_reach_it_when_it_is_back(
    fresh_server: Callable[..., FreshServer], served: Serve
) -> None:
    server = fresh_server()
    await server.start()
    async with served(server.url, http_buffer=2) as gateway:
        assert (await gateway.post({"component_id": "a"})).status_code == 200
        await server.stop()
        for n in range(3):
            answer = await gateway.post({"component_id": "a", "msg": str(n)})
            assert (answer.status_code, answer.json()["entry"]) == (202, None)
            assert "Redis is away" in answer.json()["note"]
        assert (await gateway.client.get("/beat/b")).status_code == 202
        full = await gateway.post([{"component_id": "c"}])
        assert code_of(full) == (503, "buffer_full")
        assert int(full.headers["retry-after"]) >= 1
        mixed: Any = (await gateway.post([{"component_id": "a", "msg": "last"}, {"component_id": "c"}])).json()
        assert (mixed["accepted"], mixed["refused"]) == (1, 1)
        await server.start()
        await eventually(lambda: not gateway.door.away, 10)
        assert [(beat.id, beat.msg) for beat in await gateway.stored()] == [("b", ""), ("a", "last")]
        assert (await gateway.post({"component_id": "c"})).status_code == 200


async def test_a_redis_that_hangs_holds_nobody_up_for_long(
    fresh_server: Callable[..., FreshServer], served: Serve
) -> None:
    server = fresh_server()
    await server.start()
    async with served(server.url) as gateway:
        assert (await gateway.post({"component_id": "a"})).status_code == 200
        server.freeze()
        try:
            assert (await gateway.post({"component_id": "a"})).status_code == 202
            assert (await gateway.post({"component_id": "b"})).status_code == 202
        finally:
            server.thaw()
        await eventually(lambda: not gateway.door.away, 10)
        assert {"a", "b"} == {beat.id for beat in await gateway.stored()}
