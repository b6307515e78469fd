"""Jobs tell how they went and change nothing for the code around them."""

from __future__ import annotations

import asyncio

import pytest

from healthmon.agent.helper import HeartbeatHelper
from healthmon.core.heartbeat import Heartbeat
from tests.agent.reading import beats

pytestmark = pytest.mark.anyio


def told(url: str) -> list[Heartbeat]:
    return [beat for beat in beats(url) if beat.msg]


async def test_a_job_tells_that_it_began_and_how_long_it_took(url: str) -> None:
    helper = HeartbeatHelper("a", redis_url=url, metrics=False)
    with helper.job("nightly"):
        pass
    await helper.stop()
    began, done = told(url)
    assert (began.status, began.msg) == ("ok", "nightly began")
    assert (done.status, done.msg) == ("ok", "nightly done in 0.0 s")
    assert 0 <= done.metrics["m.job_duration_s"] < 1


async def test_a_failed_job_is_failing_and_its_exception_passes(url: str) -> None:
    helper = HeartbeatHelper("a", redis_url=url)
    with pytest.raises(ValueError, match="disk"), helper.job("nightly"):
        raise ValueError("disk full")
    await helper.stop()
    *_, failed = [beat for beat in told(url) if "m.job_duration_s" in beat.metrics]
    assert (failed.status, failed.msg) == ("failing", "nightly failed after 0.0 s: ValueError: disk full")


async def test_a_decorated_function_is_a_job_at_each_call_and_keeps_its_face(url: str) -> None:
    helper = HeartbeatHelper("a", redis_url=url)

    @helper.job()
    def add(one: int, other: int) -> int:
        """Adds."""
        return one + other

    @helper.job("slow one")
    async def add_slowly(one: int, other: int) -> int:
        return one + other

    assert (add(1, 2), add(3, other=4), await add_slowly(5, 6)) == (3, 7, 11)
    assert (add.__name__, add.__doc__, asyncio.iscoroutinefunction(add_slowly)) == ("add", "Adds.", True)
    await helper.stop()
    messages = [beat.msg for beat in told(url)]
    assert [message.endswith("began") for message in messages] == [True, False] * 3
    assert messages[0].endswith("add began")
    assert messages[-1].startswith("slow one done")


async def test_a_cancelled_job_is_no_failure(url: str) -> None:
    helper = HeartbeatHelper("a", redis_url=url)
    inside = asyncio.Event()

    @helper.job("long")
    async def work() -> None:
        inside.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await helper.stop()
    assert (told(url)[-1].status, told(url)[-1].msg) == ("ok", "long ended early in 0.0 s")
