"""Heartbeats for what is no Python program: once, and again and again until a signal."""

from __future__ import annotations

import os
import signal

import anyio
import pytest

from healthmon.agent.beat import send_beat, send_beats
from healthmon.errors import ConfigurationError, StoreUnavailable
from tests.agent.reading import ask, beats, connections
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_one_beat_returns_its_entry_and_leaves_no_connection(url: str) -> None:
    entry_id = send_beat(
        "a", status="degraded", msg="slow", metrics={"latency_ms": 3, "q": 1}, role="batch", redis_url=url
    )
    assert ask(url, "XRANGE", "healthmon:{0}:heartbeats", entry_id, entry_id)
    (beat,) = beats(url)
    assert (beat.id, beat.status, beat.msg, beat.role) == ("a", "degraded", "slow", "batch")
    assert beat.metrics == {"latency_ms": 3, "m.q": 1}
    assert (beat.interval_ms, beat.pid, beat.incarnation) == (0, "", "")
    assert not connections(url)


async def test_one_beat_takes_identity_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COMPONENT_ID": "env", "INCARNATION": "boot1", "REDIS_URL": url}.items():
        monkeypatch.setenv(f"HEALTH_{name}", value)
    send_beat(interval_s=30)
    assert [(beat.id, beat.incarnation, beat.interval_ms) for beat in beats(url)] == [("env", "boot1", 30_000)]


async def test_switched_off_nothing_is_sent(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_DISABLED", "1")
    assert not send_beat("a", redis_url=url)
    await send_beats(0.1, "a", redis_url=url)
    assert not beats(url)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "HEALTH_COMPONENT_ID"),
        ({"component_id": "a b"}, "no id"),
        ({"component_id": "a", "status": "fine"}, "give ok, starting, degraded, failing, stopping"),
    ],
)
async def test_what_the_caller_must_correct_is_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        send_beat(**given)  # type: ignore[arg-type]  # the strings among the parameters
    with pytest.raises(ConfigurationError, match=words):
        await send_beats(1, **given)  # type: ignore[arg-type]  # as above


async def test_one_beat_to_an_absent_redis_fails_with_the_exit_code_for_that() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        send_beat("a", redis_url="redis://127.0.0.1:1/0")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_beats_go_on_until_a_signal_and_end_with_a_goodbye(url: str, ending: signal.Signals) -> None:
    async with anyio.create_task_group() as group:

        async def beat_on() -> None:
            await send_beats(0.03, "a", status="degraded", msg="busy", metrics={"q": 2}, redis_url=url)

        group.start_soon(beat_on)
        await eventually(lambda: len(beats(url)) >= 4)
        os.kill(os.getpid(), ending)
    *said, last = beats(url)
    assert {(beat.status, beat.msg, beat.interval_ms, beat.metrics["m.q"]) for beat in said} == {
        ("degraded", "busy", 30, 2)
    }
    assert last.status == "stopping"
    assert len({beat.incarnation for beat in beats(url)}) == 1


async def test_cancelled_beats_say_goodbye_too(url: str) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(send_beats, 0.03, "a")
        group.cancel_scope.cancel()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def beat_on() -> None:
                await send_beats(0.03, "a", redis_url=url)

            group.start_soon(beat_on)
            await eventually(lambda: beats(url))
            scope.cancel()
    assert beats(url)[-1].status == "stopping"
