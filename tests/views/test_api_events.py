from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from healthmon.store.calls import call
from healthmon.views.following import BUFFER_MAX, message_of
from tests.views.serving import Served, served
from tests.views.streams import listening
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_the_stream_begins_with_how_fresh_it_is_and_tells_what_happens(url: str) -> None:
    async with served(url) as here, listening(here.http) as stream:
        first = await stream.next()
        assert (first.kind, first.id) == ("freshness", "")
        assert first.data["freshness"]["word"] == "live"
        await here.fleet.send("id", "api-1", "role", "api")
        registered = await stream.next("registered")
        became = await stream.next("transition")
        assert registered.data["component_id"] == became.data["component_id"] == "api-1"
        assert (became.data["from"], became.data["to"], became.data["alert"]) == ("unknown", "healthy", False)
        assert became.id == became.data["id"]
        row = await here.get("/health/components/api-1")
        assert row["row"]["state"] == "healthy"


async def test_a_viewer_that_comes_back_is_told_what_it_missed(url: str) -> None:
    async with served(url) as here:
        async with listening(here.http) as stream:
            await stream.next("freshness")
            await here.fleet.send("id", "api-1")
            last = await stream.next("transition")
        await here.fleet.send("id", "api-2")
        await here.knows("api-2", state="healthy")
        async with listening(here.http, **{"Last-Event-ID": last.id}) as again:
            missed = await again.next("registered", lambda one: one.data["component_id"] == "api-2")
            assert all(
                one.data.get("component_id") != "api-1" or one.data["type"] != "registered" for one in again.told
            )
        async with listening(here.http, f"/health/events?since={last.id}") as since:
            assert (await since.next("registered", lambda one: one.data["component_id"] == "api-2")).id == missed.id


async def test_the_pulse_comes_every_two_seconds(url: str) -> None:
    async with served(url) as here, listening(here.http) as stream:
        pulses = [await stream.next("freshness") for _ in range(2)]
        assert pulses[1].data["at"] > pulses[0].data["at"]


async def test_one_reader_serves_all_viewers_who_each_hear_the_same(url: str) -> None:
    async with served(url) as here, listening(here.http) as one, listening(here.http) as two:
        await one.next("freshness")
        await two.next("freshness")
        names = [said.get("name", "") for said in await _clients(here)]
        assert names.count("healthmon-a-live") == 1
        await here.fleet.send("id", "api-1")
        assert await one.next("registered") == await two.next("registered")
        assert here.desk.following.viewers == 2
    assert here.desk.following.viewers == 0


async def _clients(here: Served) -> list[dict[str, str]]:
    text = (await call(here.fleet.client, "CLIENT", "LIST")).decode()
    return [dict(part.partition("=")[::2] for part in line.split()) for line in text.splitlines()]


async def test_who_comes_back_to_what_was_trimmed_is_told_how_much_it_missed(url: str) -> None:
    async with served(url) as here:
        await here.fleet.send("id", "api-1")
        await here.knows("api-1", state="healthy")
        first = (await here.get("/health/log"))["events"][-1]["id"]
        await call(here.fleet.client, "XTRIM", here.fleet.keys.events, "MAXLEN", 1)
        async with listening(here.http, f"/health/events?since={first}") as stream:
            missed = await stream.next("missed")
            assert missed.data["missed_max"] >= 2
            assert not missed.data["replaced"]
            assert (await stream.next("transition")).id == missed.data["first"]
        async with listening(here.http, "/health/events?since=9999999999999-0") as stream:
            assert (await stream.next("missed")).data["replaced"]


async def test_a_viewer_that_reads_nothing_is_dropped_and_hurts_nobody(url: str) -> None:
    async with served(url) as here, listening(here.http) as good:
        following = here.desk.following
        await good.next("freshness")
        with following.viewer() as slow:
            assert following.viewers == 2
            for number in range(BUFFER_MAX + 10):
                following._tell(message_of("test", {"number": number}))
                if not number % 100:
                    while (await good.next("test")).data["number"] < number:
                        pass
            assert slow.lost.is_set()
            assert following.viewers == 1
            told = [message async for message in following.messages(slow)]
            assert told[-1].text.startswith("event: missed\n")
            assert len(told) <= BUFFER_MAX + 2
        assert (await good.next("test", lambda one: one.data["number"] == BUFFER_MAX + 9)).kind == "test"


async def test_a_socket_that_takes_nothing_ends_with_missed_or_is_cut(url: str) -> None:
    async with served(url) as here:
        host, port = here.http.base_url.host, here.http.base_url.port
        async with await anyio.connect_tcp(host, port or 0) as stuck:
            await stuck.send(b"GET /health/events HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: here.desk.following.viewers == 1)
            filler = {"text": "x" * 4000}
            while here.desk.following.viewers:  # its socket's buffers fill, then its own
                here.desk.following._tell(message_of("test", filler))
                await anyio.lowlevel.checkpoint()
            read = b""
            with anyio.fail_after(10):
                while b"event: missed" not in read[-4000:]:
                    read = read[-8000:] + await stuck.receive()
            assert read.rstrip().endswith(b"0")
