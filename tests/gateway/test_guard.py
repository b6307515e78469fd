from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest

from healthmon.core.access import hash_of
from healthmon.errors import ConfigurationError
from healthmon.run.place import open_place, read_access
from healthmon.settings import load_serving_settings
from tests.gateway.conftest import Serve
from tests.gateway.test_http import code_of

pytestmark = pytest.mark.anyio
ALL, WRITER, READER = "hm_all-may-be-done-by-it", "hm_writes-of-some-only", "hm_reads-and-no-more"
FILE = f"""
[[token]]
name = "ci"
hash = "{hash_of(WRITER)}"
scope = ["write"]
components = ["j_*"]

[[token]]
name = "wall"
hash = "{hash_of(READER)}"
scope = ["read"]
"""


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    (tmp_path / "tokens.toml").write_text(FILE)
    return tmp_path / "tokens.toml"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("headers", "component", "status", "code"),
    [
        ({}, "j_prime", 401, "unauthorized"),
        (bearer("hm_not-known-to-anybody"), "j_prime", 401, "unauthorized"),
        (bearer(hash_of(ALL)), "j_prime", 401, "unauthorized"),
        ({"authorization": f"Basic {ALL}"}, "j_prime", 401, "unauthorized"),
        (bearer(READER), "j_prime", 403, "forbidden"),
        (bearer(WRITER), "search", 403, "forbidden"),
    ],
)
async def test_a_wrong_token_and_that_of_another_component_are_refused_and_counted(
    url: str, served: Serve, tokens: Path, *, headers: dict[str, str], component: str, status: int, code: str
) -> None:
    async with served(url, token=ALL, tokens_file=tokens) as gateway:
        for answer in (
            await gateway.post({"component_id": component}, headers=headers),
            await gateway.client.get(f"/beat/{component}", headers=headers),
        ):
            assert code_of(answer) == (status, code)
            assert ("www-authenticate" in answer.headers) == (status == 401)
        assert gateway.door.refused == {code: 2}
        assert await gateway.stored() == []


async def test_the_right_tokens_are_let_in(url: str, served: Serve, tokens: Path) -> None:
    async with served(url, token=ALL, tokens_file=tokens) as gateway:
        assert (await gateway.post({"component_id": "j_prime"}, headers=bearer(WRITER))).status_code == 200
        assert (await gateway.post({"component_id": "search"}, headers=bearer(ALL))).status_code == 200
        mixed = await gateway.post([{"component_id": "j_body"}, {"component_id": "search"}], headers=bearer(WRITER))
        assert mixed.json()["results"][1]["error"]["code"] == "forbidden"


async def test_a_token_in_the_url_is_refused_and_no_token_is_ever_logged(
    url: str, served: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(url, token=ALL) as gateway:
        assert code_of(await gateway.client.get(f"/beat/a?token={ALL}")) == (400, "token_in_url")
        assert (await gateway.client.get("/beat/a", headers=bearer(ALL))).status_code == 200
    # The client of this test logs the URLs that it asks for.
    assert ALL not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8787", "[::2]:80"])
async def test_without_tokens_another_host_s_name_is_refused(url: str, served: Serve, host: str) -> None:
    async with served(url) as gateway:
        assert code_of(await gateway.client.get("/beat/a", headers={"host": host})) == (403, "bad_host")
        assert (await gateway.client.get("/beat/a", headers={"host": "localhost:1"})).status_code == 200
        assert (await gateway.client.get("/beat/a", headers={"host": "[::1]:80"})).status_code == 200


async def test_pages_of_other_origins_do_nothing_on_an_open_server(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        for origin in ("http://evil.example", "null", f"http://localhost:{gateway.port}"):
            answer = await gateway.post({"component_id": "a"}, headers={"origin": origin})
            assert code_of(answer) == (403, "cross_origin")
        for site in ("cross-site", "same-site"):
            answer = await gateway.client.get("/beat/a/fail", headers={"sec-fetch-site": site})
            assert code_of(answer) == (401, "unauthorized")
        assert await gateway.stored() == []
        own = {"origin": gateway.url, "sec-fetch-site": "same-origin"}
        assert (await gateway.post({"component_id": "a"}, headers=own)).status_code == 200


async def test_only_a_configured_origin_may_call_from_its_pages(url: str, served: Serve) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    async with served(url) as gateway:
        answer = await gateway.client.options("/health/heartbeat", headers={**asked, "origin": "https://ops.example"})
        assert "access-control-allow-origin" not in answer.headers
    async with served(url, http_cors="https://ops.example") as gateway:
        answer = await gateway.client.options("/health/heartbeat", headers={**asked, "origin": "https://ops.example"})
        assert answer.headers["access-control-allow-origin"] == "https://ops.example"
        answer = await gateway.post({"component_id": "a"}, headers={"origin": "https://ops.example"})
        assert answer.status_code == 200
        answer = await gateway.post({"component_id": "a"}, headers={"origin": "https://other.example"})
        assert code_of(answer) == (403, "cross_origin")


async def test_every_response_is_dressed(url: str, served: Serve) -> None:
    async with served(url) as gateway:
        answers = [
            await gateway.post({"component_id": "a"}),
            await gateway.client.get("/nothing"),
            await gateway.client.get("/", headers={"host": "evil.example"}),
        ]
        for answer in answers:
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers


# -- where and to whom -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["192.0.2.1", "::", "example.org"])
def test_strangers_are_not_served_without_a_token(host: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no token: set HEALTH_TOKEN or HEALTH_TOKENS_FILE"):
        open_place(load_serving_settings(http_host=host))


def test_with_a_token_they_are() -> None:
    place = open_place(load_serving_settings(http_host="0.0.0.0", http_port=0, token=ALL))  # noqa: S104  # what it is about
    place.listening.close()
    assert place.url.startswith("http://0.0.0.0:")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"can't be read \(No such file or directory\): correct HEALTH_TOKENS_FILE"),
        (b"[[token", "is no TOML"),
        (b"\xff", "is no TOML"),
        (b"", "holds no token: `healthmon token` prints the lines"),
        (b"[[token]]\nname = 'ci'", "token 1 in the tokens file .* has no hash"),
    ],
)
def test_a_tokens_file_that_is_wrong_is_refused_at_start(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "tokens.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        read_access(load_serving_settings(tokens_file=path))


async def test_a_server_with_tokens_is_served_under_any_name(url: str, served: Serve) -> None:
    async with served(url, token=ALL) as gateway:
        headers = {**bearer(ALL), "host": "health.example.org", "origin": "https://elsewhere.example"}
        assert (await gateway.client.get("/beat/a", headers=headers)).status_code == 200


async def test_a_websocket_without_a_grant_is_answered_before_it_opens(url: str, served: Serve) -> None:
    async with served(url) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
        headers = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "origin": "http://evil.example",
        }
        assert code_of(await client.get("/health/ws", headers=headers)) == (403, "cross_origin")
