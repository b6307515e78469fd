"""The helper as a component uses it: in asyncio, in threads, and with nothing that ever raises."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import Any, NoReturn

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from healthmon.agent.helper import HeartbeatHelper
from healthmon.core.heartbeat import Heartbeat
from healthmon.core.roles import ComponentRole
from healthmon.errors import ConfigurationError
from tests.agent.reading import beats, connections
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield

    async def none_left() -> None:
        await eventually(lambda: not [t for t in threading.enumerate() if t.name == "healthmon-heartbeats"])

    anyio.run(none_left)


async def heard(url: str, count: int) -> list[Heartbeat]:
    """Exactly this many heartbeats, as soon as they are there."""

    def look() -> list[Heartbeat]:
        found = beats(url)
        assert len(found) <= count, found
        return found if len(found) == count else []

    found: list[Heartbeat] = await eventually(look)
    return found


# -- asyncio ---------------------------------------------------------------------------------------------------------


async def test_the_specifications_example_registers_says_more_and_says_goodbye(url: str) -> None:
    helper = HeartbeatHelper(
        component_id="j_prime", role=ComponentRole.JARVIS_PRIME, heartbeat_interval=10.0, redis_url=url
    )
    await helper.start()
    await helper.send_heartbeat({"websocket_connections": 12, "messages_processed": 5432})
    await helper.stop()
    *_, said, last = beats(url)
    assert (said.id, said.role, said.interval_ms, said.pid) == ("j_prime", "jarvis_prime", 10_000, str(os.getpid()))
    assert said.metrics["m.websocket_connections"] == 12
    assert said.metrics["memory_mb"] > 0
    assert len(said.incarnation) == 8
    assert (last.status, last.msg) == ("stopping", "")


async def test_a_heartbeat_goes_out_every_interval(url: str) -> None:
    async with HeartbeatHelper("a", heartbeat_interval=0.05, redis_url=url):
        await eventually(lambda: len(beats(url)) >= 5)
    assert {beat.interval_ms for beat in beats(url)} == {50}


async def test_a_heartbeat_that_is_sent_puts_the_next_one_off(url: str) -> None:
    async with HeartbeatHelper("a", heartbeat_interval=1, redis_url=url) as helper:
        await eventually(lambda: beats(url))  # the one of the start, which might carry the first metrics too
        sent, until_s = 0, perf_counter() + 1.4
        while perf_counter() < until_s:
            sent += 1
            await helper.send_heartbeat({"n": sent})
            await eventually(lambda: beats(url)[-1:] and beats(url)[-1].metrics.get("m.n") == sent)  # noqa: B023  # waited for here
    said = [beat.metrics["m.n"] for beat in beats(url) if "m.n" in beat.metrics]
    assert said == list(range(1, sent + 1))


async def test_every_heartbeat_sent_in_a_burst_arrives_in_order(url: str) -> None:
    async with HeartbeatHelper("a", redis_url=url, heartbeat_interval=3600) as helper:
        for number in range(60):
            helper.send({"n": number})
    assert [beat.metrics["m.n"] for beat in beats(url) if "m.n" in beat.metrics][-60:] == list(range(60))


async def test_own_metrics_go_over_measured_ones_and_what_was_said_stands(url: str) -> None:
    async with HeartbeatHelper("a", redis_url=url, heartbeat_interval=0.05) as helper:
        helper.send({"memory_mb": 1, "queue": 7}, status="degraded", msg="slow disk")
        await eventually(lambda: len(beats(url)) >= 4)
        stood = beats(url)[-1]
        assert (stood.status, stood.msg, stood.metrics["m.queue"]) == ("degraded", "slow disk", 7)
        assert stood.metrics["memory_mb"] == 1
        helper.send()
        await eventually(lambda: beats(url)[-1].status == "ok")
        cleared = beats(url)[-1]
        assert "m.queue" not in cleared.metrics
        assert cleared.metrics["memory_mb"] > 1


async def test_the_loops_lag_rides_along_in_asyncio_and_a_stalled_loop_does_not_stop_heartbeats(url: str) -> None:
    async with HeartbeatHelper("a", redis_url=url, heartbeat_interval=0.1):
        await eventually(lambda: len(beats(url)) >= 2)
        assert "m.loop_lag_ms" in beats(url)[-1].metrics
        seen = threading.Event()

        def look() -> None:
            with anyio.from_thread.start_blocking_portal() as portal:
                portal.call(_hear_lag, url, 500)
            seen.set()

        looker = threading.Thread(target=look)
        looker.start()
        stalled = seen.wait  # under another name: a blocked loop is what this is about
        assert stalled(10)
        looker.join()


async def _hear_lag(url: str, least_ms: int) -> None:
    await eventually(lambda: beats(url)[-1].metrics.get("m.loop_lag_ms", 0) >= least_ms)


async def test_a_component_whose_loop_ended_without_a_stop_is_failing_and_falls_silent(url: str) -> None:
    def run_and_forget() -> None:
        async def main() -> None:
            await HeartbeatHelper("a", redis_url=url, heartbeat_interval=0.05).start()

        asyncio.run(main())

    await anyio.to_thread.run_sync(run_and_forget)
    await eventually(lambda: beats(url)[-1:] and beats(url)[-1].status == "failing")
    assert beats(url)[-1].msg == "its event loop ended without stop()"


async def test_an_exception_in_flight_makes_the_last_heartbeat_a_failing_one(url: str) -> None:
    helper = HeartbeatHelper("a", redis_url=url)
    with contextlib.suppress(ValueError):
        await helper.start()
        try:
            raise ValueError("no such model")
        finally:
            await helper.stop()
    assert (beats(url)[-1].status, beats(url)[-1].msg) == ("failing", "ValueError: no such model")
    with pytest.raises(ZeroDivisionError):
        async with HeartbeatHelper("b", redis_url=url):
            _ = 1 / 0
    assert (beats(url)[-1].id, beats(url)[-1].status) == ("b", "failing")


async def test_a_cancelled_component_says_goodbye(url: str) -> None:
    started = asyncio.Event()

    async def component() -> None:
        async with HeartbeatHelper("a", redis_url=url):
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(component())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert beats(url)[-1].status == "stopping"


async def test_a_heartbeat_may_be_sent_without_a_start_and_then_announces_no_interval(url: str) -> None:
    helper = HeartbeatHelper("reactor_core", ComponentRole.REACTOR_CORE, redis_url=url)
    await helper.send_heartbeat({"db_connections": 3})
    (beat,) = await heard(url, 1)
    assert (beat.interval_ms, beat.metrics["m.db_connections"]) == (0, 3)
    await helper.stop()
    assert beats(url)[-1].status == "stopping"


async def test_after_a_stop_a_straggler_is_not_sent_and_a_new_start_is_a_new_incarnation(url: str) -> None:
    helper = HeartbeatHelper("a", redis_url=url)
    await helper.start()
    await helper.stop()
    before = beats(url)
    assert before[-1].status == "stopping"
    helper.send()
    await helper.stop()
    assert len(beats(url)) == len(before)
    assert not connections(url)
    await helper.start()
    await helper.stop()
    after = beats(url)[len(before) :]
    assert {beat.incarnation for beat in after}.isdisjoint({beat.incarnation for beat in before})
    assert len({beat.incarnation for beat in after}) == 1


async def test_the_senders_time_is_told_at_first_and_not_with_every_heartbeat(url: str) -> None:
    async with HeartbeatHelper("a", redis_url=url, heartbeat_interval=0.02):
        await eventually(lambda: len(beats(url)) >= 3)
    first, *others = beats(url)
    assert first.sent_ms > 0
    assert {beat.sent_ms for beat in others} == {0}


# -- threads ---------------------------------------------------------------------------------------------------------


async def test_threaded_code_starts_sends_and_stops_without_a_loop(url: str) -> None:
    def component() -> None:
        with HeartbeatHelper("a", version="1.2", redis_url=url) as helper:
            threads = [threading.Thread(target=helper.send, args=({"n": n},)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    await anyio.to_thread.run_sync(component)
    said = [beat.metrics["m.n"] for beat in beats(url) if "m.n" in beat.metrics]
    assert set(said) == set(range(8))
    assert (beats(url)[-1].status, beats(url)[-1].version) == ("stopping", "1.2")
    assert "m.loop_lag_ms" not in beats(url)[-1].metrics


async def test_many_components_of_a_process_share_one_thread_and_one_connection(url: str) -> None:
    helpers = [HeartbeatHelper(f"c{i}", redis_url=url, heartbeat_interval=0.1) for i in range(30)]
    for helper in helpers:
        helper.start_in_thread()
        helper.start_in_thread()
    await eventually(lambda: {beat.id for beat in beats(url)} == {f"c{i}" for i in range(30)})
    assert len(connections(url)) == 1
    assert len([t for t in threading.enumerate() if t.name == "healthmon-heartbeats"]) == 1
    for helper in helpers:
        helper.close()
    assert {beat.id for beat in beats(url) if beat.status == "stopping"} == {f"c{i}" for i in range(30)}


async def test_without_a_tick_for_max_stall_it_says_degraded_until_the_next(url: str) -> None:
    helper = HeartbeatHelper("a", redis_url=url, heartbeat_interval=0.03, max_stall=0.2)
    helper.start_in_thread()
    await eventually(lambda: beats(url)[-1:] and beats(url)[-1].status == "degraded")
    assert beats(url)[0].status == "ok"
    assert beats(url)[-1].msg == "no tick for more than 0.2 s"

    def ticked() -> bool:
        helper.tick()
        return beats(url)[-1].status == "ok"

    await eventually(ticked)
    helper.stop_thread()


# -- what must not reach the component -------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", "a b", ".hidden", "x" * 129, 7])
async def test_a_bad_id_is_refused_at_construction(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"component id|needs an id"):
        HeartbeatHelper(bad)


async def test_an_id_is_needed_and_may_come_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="HEALTH_COMPONENT_ID"):
        HeartbeatHelper()
    monkeypatch.setenv("HEALTH_COMPONENT_ID", "a b")
    with pytest.raises(ConfigurationError, match="needs an id"):
        HeartbeatHelper()
    for name, value in {"COMPONENT_ID": "env", "INTERVAL": "7", "INCARNATION": "boot1", "REDIS_URL": url}.items():
        monkeypatch.setenv(f"HEALTH_{name}", value)
    monkeypatch.setenv("HEALTH_PREFIX", "other")
    async with HeartbeatHelper():
        pass
    last = beats(url, "other")[-1]
    assert (last.id, last.incarnation, last.interval_ms) == ("env", "boot1", 7000)


async def test_switched_off_it_does_nothing_and_needs_no_id(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_DISABLED", "1")
    async with HeartbeatHelper(redis_url=url) as helper:
        helper.send({"a": 1})
        helper.tick()
        with helper.job("j"):
            pass
    assert not beats(url)
    assert not [t for t in threading.enumerate() if t.name == "healthmon-heartbeats"]


async def test_a_wrong_setting_is_logged_and_the_component_goes_on_unwatched(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HeartbeatHelper("a", heartbeat_interval=-1) as helper:
        helper.send()
    assert "-1" in caplog.text
    caplog.clear()
    async with HeartbeatHelper("a", redis_url="http://here") as helper:
        helper.send()
    assert "no heartbeats are sent" in caplog.text
    caplog.clear()
    async with HeartbeatHelper("a", redis_url="embedded://") as helper:
        helper.send()
    assert "no heartbeats are sent" in caplog.text
    monkeypatch.setenv("HEALTH_INTERVAL", "soon")
    HeartbeatHelper("a")
    assert "HEALTH_INTERVAL" in caplog.text


async def test_another_programs_health_name_does_not_silence_a_component(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HEALTH_INTERVALS", "1,2,3")
    monkeypatch.setenv("HEALTH_INTERVAL", "7")
    async with HeartbeatHelper("a", redis_url=url):
        pass
    assert beats(url)[-1].interval_ms == 7000
    assert "HEALTH_INTERVALS" in caplog.text


class _Hostile(OrderedDict[str, object]):
    def items(self) -> NoReturn:
        raise RuntimeError("mine")


async def test_whatever_is_sent_nothing_is_raised_and_the_heartbeat_is_never_refused(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    odd: Any = {7: 1, None: 2, "\udcff": 3, "x": object(), **{f"long{'n' * 110}{i}": i for i in range(200)}}
    hostile: list[Any] = [_Hostile(a=1), 7, "text", [1]]
    async with HeartbeatHelper("a", role="r\udcff" * 999, version="v" * 9999, redis_url=url) as helper:
        helper.send(odd, msg="\udcff\n" * 9999)
        helper.send({"ok": 1}, status="fine", msg=7)  # type: ignore[arg-type]  # what untyped code may pass
        for each in hostile:
            helper.send(each)
    said = beats(url)
    assert {beat.id for beat in said} == {"a"}
    assert len(max((beat.metrics for beat in said), key=len)) == 64
    assert [beat.msg for beat in said if "m.ok" in beat.metrics] == ["7"]
    assert "'fine' is no status" in caplog.text
    assert caplog.text.count("a heartbeat can't be sent: ") == 1


async def test_with_redis_away_nothing_raises_and_one_line_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "healthmon.agent"):
        async with HeartbeatHelper("a", redis_url=AWAY, heartbeat_interval=0.02) as helper:
            for _ in range(5):
                helper.send({"n": 1})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.05)
    away = [line for line in caplog.messages if "don't reach Redis" in line]
    assert len(away) == 1
    assert "not reachable" in away[0]


@pytest.mark.parametrize("where", ["there", "away"])
async def test_a_call_costs_the_caller_less_than_a_millisecond(url: str, where: str) -> None:
    async with HeartbeatHelper("a", redis_url=url if where == "there" else AWAY) as helper:
        took_s = []
        for number in range(300):
            begun_s = perf_counter()
            await helper.send_heartbeat({"n": number, "latency_ms": 12.5})
            took_s.append(perf_counter() - begun_s)
            if number % 50 == 0:
                await eventually(lambda: True)
    assert median(took_s) < 0.001
