"""The sending thread: outages, forks, and the interpreter's end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import anyio.to_thread
import pytest
from tenacity import wait_fixed

from healthmon.agent.helper import HeartbeatHelper
from healthmon.agent.sender import AWAY
from healthmon.core.component import Status
from healthmon.core.heartbeat import Heartbeat
from tests.agent.reading import beats, connections, cut
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

Fresh = Callable[..., FreshServer]
ROOT = Path(__file__).parents[2]


async def run(program: str, url: str, *, code: int = 0) -> float:
    """Runs a component in a process of its own; how long that took, in seconds."""

    def call() -> float:
        begun_s = monotonic()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={**os.environ, "HEALTH_REDIS_URL": url, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return monotonic() - begun_s

    return await anyio.to_thread.run_sync(call)


BEGIN = """
import os, sys, asyncio
from healthmon.agent.helper import HeartbeatHelper
helper = HeartbeatHelper("a")
"""


# -- outages ---------------------------------------------------------------------------------------------------------


async def test_after_an_outage_only_the_newest_is_sent_and_then_every_one_again(
    fresh_server: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    server = fresh_server()
    url = await server.start()
    helper = HeartbeatHelper("a", redis_url=url, heartbeat_interval=3600)
    with caplog.at_level(logging.INFO, "healthmon.agent"):
        helper.start_in_thread()
        await eventually(lambda: beats(url))
        await server.stop()
        helper.send({"n": -1})
        await eventually(lambda: "don't reach Redis" in caplog.text)
        for number in range(20):
            helper.send({"n": number})
        await server.start()
        await eventually(lambda: beats(url), within_s=10)
        assert [beat.metrics["m.n"] for beat in beats(url)] == [19]
        await eventually(lambda: "reach Redis again" in caplog.text)
        for number in range(20, 25):
            helper.send({"n": number})
        helper.stop_thread()
    assert [beat.metrics.get("m.n") for beat in beats(url)] == [19, 20, 21, 22, 23, 24, None]
    assert len([line for line in caplog.messages if "don't reach" in line]) == 1
    assert len([line for line in caplog.messages if "again" in line and "reach Redis again" in line]) == 1


async def test_a_connection_that_is_lost_loses_no_heartbeat_and_no_goodbye(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    helper = HeartbeatHelper("a", redis_url=url, heartbeat_interval=3600)
    helper.start_in_thread()
    await eventually(lambda: beats(url))
    assert helper._sender
    with helper._sender._changed:  # so that the thread takes all of them together
        cut(url)
        for number in range(20):
            helper.send({"n": number})
    await eventually(lambda: len(beats(url)) == 21)
    assert [beat.metrics["m.n"] for beat in beats(url)[1:]] == list(range(20))
    cut(url)
    helper.stop_thread()
    assert beats(url)[-1].status == "stopping"
    assert not caplog.messages


async def test_what_waited_when_redis_went_away_is_dropped_for_the_newest(fresh_server: Fresh) -> None:
    server = fresh_server()
    url = await server.start()
    helper = HeartbeatHelper("a", redis_url=url, heartbeat_interval=3600)
    helper.start_in_thread()
    await eventually(lambda: beats(url))
    server.freeze()
    helper.send({"n": -1})
    await eventually(lambda: helper._session is not None and not helper._session.waiting)
    for number in range(20):
        helper.send({"n": number})
    await server.kill()
    await eventually(lambda: helper._sender and helper._sender._failures >= AWAY)
    await server.start()
    await eventually(lambda: beats(url), within_s=10)
    helper.stop_thread()
    assert [beat.metrics.get("m.n") for beat in beats(url)] == [19, None]


async def test_a_component_that_sends_by_itself_is_heard_again_within_five_seconds(fresh_server: Fresh) -> None:
    server = fresh_server()
    url = await server.start()
    helper = HeartbeatHelper("a", redis_url=url, heartbeat_interval=0.05)
    helper.start_in_thread()
    await eventually(lambda: beats(url))
    await server.kill()
    await server.start()
    await eventually(lambda: len(beats(url)) >= 3, within_s=6)
    helper.stop_thread()
    assert beats(url)[-1].status == "stopping"


async def test_a_goodbye_is_tried_once_at_an_absent_redis_and_ends_the_wait(fresh_server: Fresh) -> None:
    server = fresh_server()
    url = await server.start()
    helper = HeartbeatHelper("a", redis_url=url, heartbeat_interval=0.05)
    helper.start_in_thread()
    await eventually(lambda: beats(url))
    assert helper._sender
    helper._sender._retrying.wait = wait_fixed(30)  # as after a long outage, only more so
    await server.stop()
    await eventually(lambda: helper._sender and helper._sender._failures)
    begun_s = monotonic()
    helper.stop_thread()
    assert monotonic() - begun_s < 0.5


async def test_a_goodbye_is_waited_for_no_longer_than_a_second_at_a_frozen_redis(fresh_server: Fresh) -> None:
    server = fresh_server()
    url = await server.start()
    helper = HeartbeatHelper("a", redis_url=url, heartbeat_interval=0.05)
    helper.start_in_thread()
    await eventually(lambda: beats(url))
    server.freeze()
    begun_s = monotonic()
    await helper.stop()
    assert 0.5 < monotonic() - begun_s < 1.5
    server.thaw()


async def test_while_a_slow_redis_takes_none_the_oldest_beyond_sixty_four_are_dropped(fresh_server: Fresh) -> None:
    server = fresh_server()
    url = await server.start()
    helper = HeartbeatHelper("a", redis_url=url, heartbeat_interval=3600)
    helper.start_in_thread()
    await eventually(lambda: beats(url))
    server.freeze()
    helper.send({"n": -1})
    await eventually(lambda: helper._session is not None and not helper._session.waiting)
    for number in range(100):
        helper.send({"n": number})
    server.thaw()
    await eventually(lambda: beats(url)[-1].metrics.get("m.n") == 99)
    helper.stop_thread()
    assert [beat.metrics.get("m.n") for beat in beats(url)] == [None, -1, *range(36, 100), None]


# -- forks -----------------------------------------------------------------------------------------------------------


async def test_a_forked_child_is_inert_until_it_starts_and_then_speaks_for_itself(url: str) -> None:
    await run(
        BEGIN
        + """
helper.start_in_thread()
helper.send({"parent": 1})
read, write = os.pipe()
child = os.fork()
if child == 0:
    helper.send({"inert": 1})
    helper.tick()
    helper.close()
    helper.start_in_thread()
    helper.send({"child": 1})
    helper.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
helper.send({"parent": 2})
helper.close()
""",
        url,
    )
    said = beats(url)
    assert not [beat for beat in said if "m.inert" in beat.metrics]
    speakers = {who: _speaker(said, who) for who in ("m.parent", "m.child")}
    assert speakers["m.parent"].isdisjoint(speakers["m.child"])
    assert {len(speakers["m.parent"]), len(speakers["m.child"])} == {1}
    assert [beat.metrics["m.parent"] for beat in said if "m.parent" in beat.metrics] == [1, 2]
    assert [beat.status for beat in said].count(Status.STOPPING) == 2


def _speaker(said: list[Heartbeat], metric: str) -> set[tuple[str, str]]:
    return {(beat.pid, beat.incarnation) for beat in said if metric in beat.metrics}


async def test_a_child_that_outlives_its_parent_holds_no_socket_of_it(url: str) -> None:
    parent = await anyio.open_process(
        [
            sys.executable,
            "-c",
            BEGIN
            + """
helper.start_in_thread()
helper.send()
import time
while helper._sender._wire._inlets.outdated: time.sleep(0.001)
if os.fork() == 0:
    os.close(1)
    sys.stdin.read()
    os._exit(0)
print("forked", flush=True)
sys.stdin.read()
""",
        ],
        env={**os.environ, "HEALTH_REDIS_URL": url, "PYTHONPATH": str(ROOT)},
    )
    async with parent:
        assert parent.stdout
        await parent.stdout.receive()
        assert len(connections(url)) == 1
        parent.kill()
        await eventually(lambda: not connections(url))


async def test_a_child_does_not_go_by_the_incarnation_that_its_parent_was_given(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_INCARNATION", "boot1")
    await run(
        BEGIN
        + """
if os.fork() == 0:
    helper.start_in_thread()
    helper.close()
    os._exit(0)
os.wait()
helper.start_in_thread()
helper.close()
""",
        url,
    )
    incarnations = {beat.incarnation for beat in beats(url)}
    assert len(incarnations) == 2
    assert "boot1" in incarnations


async def test_a_child_that_exits_says_no_goodbye_for_its_parent(url: str) -> None:
    await run(
        BEGIN
        + """
helper.start_in_thread()
helper.send()
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
helper.send({"after": 1})
helper.close()
""",
        url,
    )
    assert [beat.status for beat in beats(url)].count(Status.STOPPING) == 1
    assert beats(url)[-1].status == "stopping"


async def test_a_fork_while_threads_send_leaves_the_child_able_to_start(url: str) -> None:
    await run(
        BEGIN
        + """
import threading
helper.start_in_thread()
on = True
def hammer():
    while on: helper.send({"x": 1})
threads = [threading.Thread(target=hammer) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        helper.send({"inert": 1})
        helper.start_in_thread()
        helper.send({"child": 1})
        helper.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
on = False
for thread in threads: thread.join()
helper.close()
""",
        url,
    )
    assert len({beat.pid for beat in beats(url) if "m.child" in beat.metrics}) == 20


# -- the interpreter's end -------------------------------------------------------------------------------------------


async def test_a_program_that_ends_without_a_stop_says_goodbye(url: str) -> None:
    await run(BEGIN + "helper.start_in_thread()", url)
    assert [beat.status for beat in beats(url)][-1] == "stopping"


async def test_a_program_that_dies_of_an_exception_says_so(url: str) -> None:
    await run(BEGIN + "helper.start_in_thread()\nraise ValueError('no such model')", url, code=1)
    assert (beats(url)[-1].status, beats(url)[-1].msg) == ("failing", "ValueError: no such model")


async def test_what_was_sent_without_a_start_is_not_lost_at_the_end(url: str) -> None:
    await run(BEGIN + "helper.send({'n': 1})", url)
    assert [(beat.status, beat.metrics["m.n"]) for beat in beats(url)] == [("ok", 1)]


async def test_an_asyncio_program_that_forgot_to_stop_says_goodbye(url: str) -> None:
    await run(BEGIN + "asyncio.run(helper.start())", url)
    assert beats(url)[-1].status == "stopping"


async def test_an_absent_redis_does_not_hold_up_the_end(fresh_server: Fresh) -> None:
    server = fresh_server()
    url = await server.start()
    there_s = await run(BEGIN + "helper.start_in_thread()", url)
    server.freeze()
    frozen_s = await run(BEGIN + "helper.start_in_thread()", url)
    server.thaw()
    assert frozen_s < there_s + 1.5
