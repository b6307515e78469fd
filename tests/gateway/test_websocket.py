"""Heartbeats over WebSockets, by the Python client `websockets`, through a real server into a real Redis."""

from __future__ import annotations

import json
import random
from pathlib import Path
from time import time
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from healthmon.core.access import hash_of
from healthmon.gateway import websocket as module
from tests.door import serving
from tests.talking import ask, closed
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
ALL, MINE, READER = "all-0123456789abcdef", "mine-0123456789abcdef", "reader-0123456789abcdef"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A file of three tokens: one for writing all, one for writing `mine_*`, one for reading."""
    rows = [("all", ALL, "write", []), ("mine", MINE, "write", ["mine_*"]), ("reader", READER, "read", [])]
    path = tmp_path / "tokens.toml"
    path.write_text(
        "".join(
            f'[[token]]\nname = "{name}"\nhash = "{hash_of(token)}"\nscope = ["{scope}"]\ncomponents = {ids}\n'
            for name, token, scope, ids in rows
        )
    )
    return path


async def test_the_message_of_the_specification_is_acknowledged_with_its_entry(url: str, prefix: str) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as websocket:
        await websocket.send(json.dumps({
            "type": "heartbeat",
            "component_id": "j_prime",
            "timestamp": time(),
        }))  # fmt: skip
        answer = json.loads(await websocket.recv())
        (entry,) = await gateway.entries()
        assert answer == {"type": "ack", "entry": entry, "component_id": "j_prime"}
        assert [beat.id for beat in await gateway.stored()] == ["j_prime"]
        assert gateway.door.accepted == {"websocket": 1}


async def test_one_socket_speaks_for_many_and_each_heartbeat_has_its_answer_in_order(url: str, prefix: str) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as socket:
        ids = [f"c{number}" for number in range(300)]
        for component_id in ids:
            await socket.send(json.dumps({"type": "heartbeat", "component_id": component_id, "metrics": {"x": 1}}))
        answers = [json.loads(await socket.recv()) for _ in ids]
        assert [answer["component_id"] for answer in answers] == ids
        assert {answer["type"] for answer in answers} == {"ack"}
        assert {answer["entry"] for answer in answers} == set(await gateway.entries())
        assert [beat.id for beat in await gateway.stored()] == ids


async def test_a_list_is_answered_by_a_list_and_a_bad_one_in_it_harms_no_other(url: str, prefix: str) -> None:
    beats = [
        {"type": "heartbeat", "component_id": "a"},
        {"component_id": "not ok"},
        7,
        {"type": "goodbye", "component_id": "b"},
        {"id": "c", "metrics": {"error_rate": float("nan"), "latency_ms": 3}},
    ]
    async with serving(url, prefix) as gateway, connect(gateway.base) as socket:
        answers = await ask(socket, beats)
        told = [(one["type"], one.get("component_id"), one.get("error", {}).get("code")) for one in answers]
        assert told == [
            ("ack", "a", None),
            ("refused", "not ok", "bad_id"),
            ("refused", None, "not_a_map"),
            ("refused", None, "unknown_type"),
            ("ack", "c", None),
        ]
        assert "error_rate" in answers[4]["dropped"][0]
        assert [beat.id for beat in await gateway.stored()] == ["a", "c"]
        assert gateway.door.refused == {"bad_id": 1, "not_a_map": 1, "unknown_type": 1}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "bad_json"),
        ('{"type": "heartbeat", "component_id', "bad_json"),
        ("[" * 50_000, "bad_json"),
        ('{"a":' * 50_000, "bad_json"),
        ("9" * 5000, "bad_json"),
        ("null", "not_a_map"),
        ("17", "not_a_map"),
        ("[]", "empty"),
        ("[" + ",".join(["{}"] * 1001) + "]", "too_large"),
        ("{}", "no_id"),
        ('{"component_id": ["a"]}', "bad_id"),
        ('{"component_id": {"a": 1}, "id": 3}', "bad_id"),
        ('{"component_id": "\\ud800"}', "bad_id"),
        ('{"type": ["heartbeat"], "component_id": "a"}', "unknown_type"),
        ('{"type": "auth"}', "no_token"),
        ('{"type": "auth", "token": 3}', "no_token"),
        (json.dumps({"component_id": "a", "metrics": {f"m{n}": "x" * 500 for n in range(60)}}), "too_large"),
    ],
)
async def test_a_message_that_says_nothing_is_refused_and_the_socket_goes_on(
    url: str, prefix: str, message: str, code: str
) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as socket:
        answer = await ask(socket, message)
        assert (answer["type"], answer["error"]["code"]) == ("refused", code)
        assert gateway.door.refused == {code: 1}
        assert (await ask(socket, {"component_id": "a"}))["type"] == "ack"


async def test_random_text_never_breaks_the_socket(url: str, prefix: str) -> None:
    chance = random.Random(7)
    alphabet = '{}[]:,"component_idtype heartbeat\\u00e4e0.1-\n\x00é😀'
    async with serving(url, prefix) as gateway, connect(gateway.base) as socket:
        for _ in range(60):
            answer = await ask(socket, "".join(chance.choices(alphabet, k=chance.randrange(60))))
            assert answer["type"] == "refused"
        assert (await ask(socket, {"component_id": "a"}))["type"] == "ack"


async def test_a_ping_is_answered_in_its_place(url: str, prefix: str) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as socket:
        await socket.send('{"component_id": "a"}')
        assert [(await ask(socket, {"type": "ping"}))["type"], json.loads(await socket.recv())] == [
            "ack",
            {"type": "pong"},
        ]
        await (await socket.ping())


async def test_what_was_sent_before_the_peer_left_is_taken_in(url: str, prefix: str) -> None:
    async with serving(url, prefix) as gateway:
        async with connect(gateway.base) as socket:
            for number in range(50):
                await socket.send(json.dumps({"component_id": f"c{number}"}))
        await eventually(lambda: gateway.door.accepted["websocket"] == 50)
        assert len(await gateway.stored()) == 50


# -- who speaks --------------------------------------------------------------------------------------------------------


async def test_a_token_comes_in_the_header_in_a_subprotocol_or_in_the_first_message(
    url: str, prefix: str, tokens: Path
) -> None:
    async with serving(url, prefix, tokens_file=tokens) as gateway:
        async with connect(gateway.base, additional_headers={"Authorization": f"Bearer {ALL}"}) as socket:
            assert (await ask(socket, {"component_id": "a"}))["type"] == "ack"
        async with connect(gateway.base, subprotocols=["healthmon", f"bearer.{ALL}"]) as socket:  # type: ignore[list-item]  # websockets has a type of its own for this text
            assert socket.subprotocol == "healthmon"
            assert (await ask(socket, {"component_id": "b"}))["type"] == "ack"
        async with connect(gateway.base) as socket:
            refused = await ask(socket, {"component_id": "c"})
            assert (refused["type"], refused["error"]["code"]) == ("refused", "unauthorized")
            assert await ask(socket, {"type": "auth", "token": ALL}) == {"type": "authenticated", "name": "all"}
            assert (await ask(socket, {"component_id": "c"}))["type"] == "ack"
        assert [beat.id for beat in await gateway.stored()] == ["a", "b", "c"]
        assert gateway.strangers() == 0


@pytest.mark.parametrize("turned_away", [("x" + ALL, 401, "unauthorized"), (READER, 403, "forbidden")])
async def test_a_token_of_no_use_opens_no_socket(
    url: str, prefix: str, tokens: Path, turned_away: tuple[str, int, str]
) -> None:
    token, status, code = turned_away
    async with serving(url, prefix, tokens_file=tokens) as gateway:
        given: list[dict[str, Any]] = [
            {"additional_headers": {"Authorization": f"Bearer {token}"}},
            {"subprotocols": ["healthmon", f"bearer.{token}"]},
        ]
        for how in given:
            with pytest.raises(InvalidStatus) as refused:
                await connect(gateway.base, **how)
            assert refused.value.response.status_code == status
            assert json.loads(refused.value.response.body or b"")["error"]["code"] == code
            assert token not in str(refused.value.response)
        async with connect(gateway.base) as socket:
            await socket.send(json.dumps({"type": "auth", "token": token}))
            found, reason = await closed(socket)
            assert found == 1008
            assert token not in reason
        assert gateway.door.refused == {code: 3}


async def test_a_token_in_the_url_is_refused(url: str, prefix: str, tokens: Path) -> None:
    async with serving(url, prefix, tokens_file=tokens) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{gateway.base}?token={ALL}")
        assert refused.value.response.status_code == 400


async def test_a_token_for_some_components_is_refused_for_others(url: str, prefix: str, tokens: Path) -> None:
    async with serving(url, prefix, tokens_file=tokens) as gateway, connect(gateway.base) as socket:
        await ask(socket, {"type": "auth", "token": MINE})
        answers = await ask(socket, [{"component_id": "mine_1"}, {"component_id": "yours"}, {"component_id": "mine_2"}])
        assert [one["type"] for one in answers] == ["ack", "refused", "ack"]
        assert answers[1]["error"]["code"] == "forbidden"
        assert [beat.id for beat in await gateway.stored()] == ["mine_1", "mine_2"]


async def test_who_never_says_who_it_is_is_closed(
    url: str, prefix: str, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AUTH_S", 0.1)
    monkeypatch.setattr(module, "STRANGERS_MAX", 1)
    async with serving(url, prefix, tokens_file=tokens) as gateway, connect(gateway.base) as socket:
        with pytest.raises(InvalidStatus) as refused:
            await connect(gateway.base)
        assert refused.value.response.status_code == 503
        code, reason = await closed(socket)
        assert (code, "no token" in reason) == (1008, True)


async def test_a_page_of_another_origin_opens_no_socket_here(url: str, prefix: str) -> None:
    async with serving(url, prefix) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            await connect(gateway.base, origin="https://evil.example")  # type: ignore[arg-type]  # websockets has a type of its own for this text
        assert refused.value.response.status_code == 403


# -- coming and going --------------------------------------------------------------------------------------------------


async def test_when_the_server_stops_what_was_sent_is_answered_and_every_socket_is_closed_with_1001(
    url: str, prefix: str
) -> None:
    async with serving(url, prefix) as gateway, connect(gateway.base) as busy, connect(gateway.base) as idle:
        await ask(busy, {"component_id": "a"})
        await busy.send(json.dumps([{"component_id": f"c{number}"} for number in range(500)]))
        await eventually(lambda: gateway.door.accepted["websocket"] == 501)
        gateway.stop.cancel()
        assert len(json.loads(await busy.recv())) == 500
        assert await closed(busy) == (1001, "this gateway stops: connect again")
        assert await closed(idle) == (1001, "this gateway stops: connect again")
        with pytest.raises((OSError, InvalidStatus)):
            await connect(gateway.base)


async def test_two_hundred_open_sockets_beat_and_every_heartbeat_is_acknowledged(url: str, prefix: str) -> None:
    acked: list[str] = []

    async def component(base: str, number: int) -> None:
        async with connect(base) as socket:
            await eventually(lambda: len(gateway.open_sockets()) == 200, 20)
            acked.extend([(await ask(socket, {"component_id": f"c{number}"}))["entry"] for _ in range(3)])

    async with serving(url, prefix, most=200) as gateway:
        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(component, gateway.base, number)
        stored = await gateway.stored()
        assert len(stored) == len(acked) == 600
        assert set(acked) == set(await gateway.entries())
        assert len(set(acked)) < 300  # they came together, and were appended together
