"""Each line that the contract gives people for redis-cli, run against a live cluster, its reply checked."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from healthmon import DistributedHealthMonitor
from healthmon.store.calls import call, open_raw
from healthmon.store.codec import text_map
from healthmon.store.keys import Keys
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class RedisCli:
    """Sends what a redis-cli line says, its words split as a shell splits them."""

    def __init__(self, url: str) -> None:
        self.client = open_raw(url, name="redis-cli")

    async def run(self, line: str) -> Any:
        program, *words = shlex.split(line)
        assert program == "redis-cli"
        return await call(self.client, *[word for word in words if not word.startswith("-") or word == "-"])


@pytest.fixture
async def cli(url: str) -> AsyncIterator[RedisCli]:
    made = RedisCli(url)
    yield made
    await made.client.aclose()


async def test_the_lines_of_the_contract_answer_as_it_says(url: str, cli: RedisCli) -> None:
    async with DistributedHealthMonitor(redis_url=url, replica_id="mon-a"):
        await cli.run("redis-cli XADD 'healthmon:{0}:heartbeats' '*' id j_prime")
        await cli.run("redis-cli XADD 'healthmon:{0}:heartbeats' '*' id slow latency_ms 450")

        async def both_judged() -> bool:
            counts = text_map(await cli.run("redis-cli -3 HGETALL 'healthmon:{0}:counts'"))
            return (counts.get("healthy"), counts.get("degraded"), counts.get("dead")) == ("1", "1", "0")

        await eventually(both_judged)
        assert b"who leads?" in await cli.run("redis-cli --raw GET healthmon:help")
        degraded = await cli.run("redis-cli ZRANGE 'healthmon:{0}:state:degraded' 0 49 WITHSCORES")
        assert degraded[0] == b"slow"
        assert await cli.run("redis-cli ZRANGE 'healthmon:{0}:state:dead' 0 49 WITHSCORES") == []
        why = await cli.run("redis-cli HMGET 'healthmon:{0}:component:slow' state since reason")
        assert (why[0], why[1][-1:], why[2]) == (b"degraded", b"Z", b"latency_ms 450 above 200")
        past = await cli.run("redis-cli XREVRANGE 'healthmon:{0}:history:slow' + - COUNT 5")
        assert text_map(past[0][1])["to"] == "degraded"
        quietest = await cli.run("redis-cli ZRANGE 'healthmon:{0}:components' 0 9 WITHSCORES")
        assert quietest[::2] == [b"j_prime", b"slow"]
        assert (await cli.run("redis-cli GET 'healthmon:{0}:leader'")).startswith(b"mon-a|")
        newest = await cli.run("redis-cli XREVRANGE 'healthmon:{0}:events' + - COUNT 20")
        assert any(text_map(fields).get("to") == "degraded" for _, fields in newest)


async def test_a_subscriber_to_the_alerts_hears_of_a_change_as_a_cloud_event(url: str, cli: RedisCli) -> None:
    listener = cli.client.pubsub()
    await listener.subscribe("healthmon:alerts")
    alert: dict[str, Any] = {}
    async with DistributedHealthMonitor(redis_url=url):
        for latency in ("10", "450"):
            await cli.run(f"redis-cli XADD 'healthmon:{{0}}:heartbeats' '*' id j_prime latency_ms {latency}")
        with anyio.fail_after(5):
            while not alert:
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=1)
                alert = json.loads(message["data"]) if message else {}
    await listener.aclose()

    assert (alert["specversion"], alert["type"]) == ("1.0", "io.healthmon.component.degraded")
    assert alert["data"]["component_id"] == alert["subject"] == "j_prime"
    assert alert["data"]["stream_id"]
    assert alert["id"].startswith("0/j_prime/")


async def test_a_command_is_answered_by_an_event_or_a_refusal(url: str, cli: RedisCli) -> None:
    keys = Keys()
    async with DistributedHealthMonitor(redis_url=url):
        await cli.run("redis-cli XADD 'healthmon:{0}:heartbeats' '*' id j_prime")
        # In one and the same millisecond a command comes before a heartbeat.
        await eventually(lambda: call(cli.client, "EXISTS", keys.component("j_prime")))
        forgotten = await cli.run("redis-cli XADD 'healthmon:{0}:control' '*' cmd forget id j_prime by alice")
        unknown = await cli.run("redis-cli XADD 'healthmon:{0}:control' '*' cmd dance id j_prime by alice")

        async def answered() -> bool:
            events = [text_map(fields) for _, fields in await call(cli.client, "XRANGE", keys.events, "-", "+")]
            refusals = [text_map(fields) for _, fields in await call(cli.client, "XRANGE", keys.rejected, "-", "+")]
            reasons = {refusal["entry"].encode(): refusal["reason"] for refusal in refusals}
            causes = {event.get("cause", "").encode() for event in events}
            return forgotten in causes and reasons.get(unknown) == "unknown_command"

        await eventually(answered)
        assert await call(cli.client, "EXISTS", keys.component("j_prime"), keys.history("j_prime")) == 0


async def test_a_person_silences_and_acknowledges_by_one_line_each(url: str, cli: RedisCli) -> None:
    keys = Keys()
    async with DistributedHealthMonitor(redis_url=url):
        sheet = (await cli.run("redis-cli --raw GET healthmon:help")).decode()
        lines = {cmd: _line(sheet, f"cmd {cmd} ") for cmd in ("silence", "acknowledge")}
        await cli.run("redis-cli XADD 'healthmon:{0}:heartbeats' '*' id j_prime status degraded")
        await eventually(lambda: call(cli.client, "EXISTS", keys.component("j_prime")))
        for line in lines.values():
            await cli.run(line.replace("ID", "j_prime").replace("ME", "alice").replace("WHY", "'disk swap'"))

        async def is_known() -> bool:
            silence = text_map(await cli.run("redis-cli HGETALL 'healthmon:{0}:silence:j_prime'"))
            said = await cli.run("redis-cli HMGET 'healthmon:{0}:component:j_prime' silenced_until acknowledged_by")
            return (silence.get("by"), silence.get("reason"), silence.get("until"), b"alice") == (
                *("alice", "disk swap"),
                *((said[0] or b"-").decode(), said[1]),
            )

        await eventually(is_known)
        left_ms = await cli.run("redis-cli PTTL 'healthmon:{0}:silence:j_prime'")
        assert 7_100_000 < left_ms <= 7_200_000


def _line(sheet: str, what: str) -> str:
    """The command of the cheat sheet's line that says this."""
    (line,) = [one for one in sheet.splitlines() if what in one]
    return line[line.index("redis-cli") :]
