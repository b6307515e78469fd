"""The breaker of a component, turned by real probes and reports, and kept by whoever leads."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.cluster import Cluster, cluster, late_ms
from tests.healing_promises import changes
from tests.history import Entry, Fields, entry_ms
from tests.overhearing import overhearing
from tests.probes.listeners import closed_port, listening, silent
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
# Nobody falls silent in a story of breakers.
UNHURRIED: dict[str, float | bool] = {
    "lease_ttl": 2.0,
    "heartbeat_timeout": 20.0,
    "degraded_threshold": 40.0,
    "dead_threshold": 60.0,
}
DB = "db"
OPENS_AT, CLOSES_AT = 3, 2
RECOVERY_S = 0.8
ON_TIME_MS = 300


class Port:
    """A port that is listened on or not, and how often somebody came."""

    def __init__(self) -> None:
        self.number = closed_port()
        self.visits = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", self.number)

    def close(self) -> None:
        assert self._server is not None
        self._server.close()

    def _greet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


async def register(cl: Cluster, url: str = "", *, timeout_s: float = 1.0, recovery_s: float = RECOVERY_S) -> None:
    """The component, whose breaker opens at 3 failures and closes at 2 successes; probed where there is a URL."""
    breaker = {"failure_threshold": OPENS_AT, "success_threshold": CLOSES_AT, "recovery_timeout": recovery_s}
    probe = {"probe": {"url": url, "interval": 0.1, "timeout": timeout_s}} if url else {}
    await cl.ask(cmd="register", id=DB, policy=json.dumps({"breaker": breaker, **probe}))


async def turned(cl: Cluster, number: int, state: str, within_s: float = 10.0) -> tuple[str, Fields, dict[str, Any]]:
    """The so-many-th turn of the breaker, to this state: its entry, its event and what it set."""

    async def look() -> list[Entry]:
        found = await cl.events(id=DB, type="breaker")
        assert len(found) >= number, f"{await cl.client.hgetall(cl.keys.component(DB))}"
        return found

    entry, said = (await eventually(look, within_s))[number - 1]
    breaker = changes(said)["breaker"]
    assert breaker["state"] == state, said
    return entry, said, breaker


async def fails(cl: Cluster, times: int = 1) -> None:
    for _ in range(times):
        await cl.ask(cmd="report", kind="failure", id=DB, detail="disk full")


async def is_shown(cl: Cluster, **wanted: str) -> bool:
    record = await cl.client.hgetall(cl.keys.component(DB))
    shown = {name: record.get(name) for name in wanted}
    assert shown == wanted, shown
    return True


async def test_refused_probes_open_it_nobody_is_asked_while_it_is_open_and_good_ones_close_it(
    url: str, tmp_path: Path
) -> None:
    port = Port()
    async with cluster(url, tmp_path, "m1", settings=UNHURRIED) as cl, overhearing(cl):
        await port.open()
        await register(cl, f"tcp://127.0.0.1:{port.number}", recovery_s=1.5)
        await eventually(partial(cl.is_in, DB, "healthy"))
        port.close()
        _, said, opened = await turned(cl, 1, "open")
        assert "failures in a row, the last: connection refused" in said["reason"]
        await port.open()
        came = port.visits
        await eventually(partial(is_shown, cl, state="unhealthy", circuit_breaker_state="open"))
        await cl.passes(1_000)
        assert port.visits == came
        entry, _, _ = await turned(cl, 2, "half_open")
        assert 0 <= late_ms(entry, opened["until_ms"]) < ON_TIME_MS
        await turned(cl, 3, "closed")
        await eventually(partial(is_shown, cl, state="healthy", circuit_breaker_state="closed", breaker_failures="0"))
        states = [said["to"] for _, said in await cl.events(id=DB, type="transition")]
        assert states[-3:] == ["unhealthy", "degraded", "healthy"]
        port.close()


async def test_it_is_open_for_twice_as_long_at_each_reopening_and_begins_anew_when_it_was_closed(
    url: str, tmp_path: Path
) -> None:
    port = Port()
    async with cluster(url, tmp_path, "m1", settings=UNHURRIED) as cl, overhearing(cl):
        await port.open()
        await register(cl, f"tcp://127.0.0.1:{port.number}", recovery_s=0.4)
        await eventually(partial(cl.is_in, DB, "healthy"))
        port.close()
        for number, times in ((1, 1), (3, 2), (5, 4)):
            _, _, opened = await turned(cl, number, "open")
            assert opened["until_ms"] - opened["at_ms"] == 400 * times
            await turned(cl, number + 1, "half_open")
        await turned(cl, 7, "open")
        await port.open()
        await turned(cl, 9, "closed")
        port.close()
        _, _, opened = await turned(cl, 10, "open")
        assert opened["until_ms"] - opened["at_ms"] == 400


async def test_the_late_result_of_an_older_generation_changes_nothing(url: str, tmp_path: Path) -> None:
    async with cluster(url, tmp_path, "m1", settings=UNHURRIED) as cl, overhearing(cl), listening(silent) as port:
        await register(cl, f"http://127.0.0.1:{port}/", timeout_s=2.5, recovery_s=1.5)
        await cl.load.send([DB])
        await fails(cl, OPENS_AT)
        _, _, opened = await turned(cl, 1, "open")
        assert opened["generation"] == 1
        late = [await probed(cl, 0, "ok"), await probed(cl, 0, "ok")]
        await cl.answered(late[-1])
        assert await is_shown(cl, circuit_breaker_state="open")
        _, _, half = await turned(cl, 2, "half_open")
        late = [await probed(cl, 1, "failed"), await probed(cl, 1, "ok"), await probed(cl, 0, "failed")]
        await cl.answered(late[-1])
        await cl.passes(500)
        assert await is_shown(cl, circuit_breaker_state="half_open")
        assert half["generation"] == 2
        _, said, _ = await turned(cl, 3, "open")
        assert "failed while half open" in said["reason"], "its own probe, which hung, is what reopens it"


async def test_a_process_that_beats_with_a_closed_port_has_its_breaker_opened_and_not_closed_by_its_heartbeats(
    url: str, tmp_path: Path
) -> None:
    async with cluster(url, tmp_path, "m1", settings=UNHURRIED) as cl, overhearing(cl):
        await register(cl, f"tcp://127.0.0.1:{closed_port()}", recovery_s=60.0)
        cl.load.beat(DB, every_s=0.05)
        await turned(cl, 1, "open")
        await cl.passes(1_000)
        assert await is_shown(cl, circuit_breaker_state="open", state="unhealthy")
        assert len(await cl.events(id=DB, type="breaker")) == 1


async def test_what_was_recorded_is_answered_by_heartbeats_and_an_operator_closes_it_with_one_event(
    url: str, tmp_path: Path
) -> None:
    async with cluster(url, tmp_path, "m1", settings=UNHURRIED) as cl:
        await register(cl, recovery_s=60.0)
        await cl.load.send([DB])
        await eventually(partial(cl.is_in, DB, "healthy"))
        for _ in range(2):
            await fails(cl, OPENS_AT - 1)
            await eventually(partial(is_shown, cl, breaker_failures=str(OPENS_AT - 1)))
            await cl.load.send([DB])
            await eventually(partial(is_shown, cl, breaker_failures="0"))
        assert not await cl.events(id=DB, type="breaker")
        await fails(cl, OPENS_AT)
        await turned(cl, 1, "open")
        asked = await cl.ask(cmd="reset-breaker", id=DB, by="ann", reason="disk replaced")
        _, said, closed = await turned(cl, 2, "closed")
        assert (said["cause"], closed["generation"]) == (asked, 2)
        assert said["reason"] == "open circuit breaker reset by ann: disk replaced"


@pytest.mark.parametrize("successor", ["hot", "cold"])
@pytest.mark.parametrize("state", ["closed", "open", "half_open"])
async def test_the_next_leader_goes_on_with_the_breaker_as_it_is(
    url: str, tmp_path: Path, state: str, successor: str
) -> None:
    async with cluster(url, tmp_path, "m1", "m2", settings=UNHURRIED) as cl:
        await register(cl, recovery_s=3.0 if state == "open" else RECOVERY_S)
        await cl.load.send([DB])
        await eventually(partial(cl.is_in, DB, "healthy"))
        await fails(cl, OPENS_AT - 1)
        await eventually(partial(is_shown, cl, breaker_failures=str(OPENS_AT - 1)))
        if state == "closed":
            await change_leader(cl, successor)
            await fails(cl)
            await turned(cl, 1, "open")
            return
        await fails(cl)
        _, _, opened = await turned(cl, 1, "open")
        if state == "open":
            leads = await change_leader(cl, successor)
            assert await is_shown(cl, circuit_breaker_state="open")
            entry, said, _ = await turned(cl, 2, "half_open")
            led_ms = entry_ms((await cl.events(type="leader"))[-1][0])
            assert entry_ms(entry) >= opened["until_ms"]
            assert late_ms(entry, max(led_ms, opened["until_ms"])) < ON_TIME_MS
            assert said["replica"] == leads
            return
        await turned(cl, 2, "half_open")
        leads = await change_leader(cl, successor)
        await fails(cl)
        _, said, again = await turned(cl, 3, "open")
        assert said["replica"] == leads
        assert again["until_ms"] - again["at_ms"] == 2 * round(RECOVERY_S * 1000)
        await turned(cl, 4, "half_open")
        for _ in range(CLOSES_AT):
            await cl.load.send([DB])
        await turned(cl, 5, "closed")
        await eventually(partial(cl.is_in, DB, "healthy"))


async def test_a_follower_that_reads_the_registration_and_failures_at_once_counts_each_failure(
    url: str, tmp_path: Path
) -> None:
    """It folds reports before it learns from the events of whom they are, and then takes that record from its hash."""
    settings = {**UNHURRIED, "checkpoint_interval": 3}  # the hash has none of the failures by then
    async with cluster(url, tmp_path, "m1", "m2", settings=settings) as cl:
        leader = await cl.leader()
        [follower] = cl.processes.keys() - {leader}
        cl.freeze(follower)
        await register(cl)
        await cl.load.send([DB])
        await eventually(partial(cl.is_in, DB, "healthy"))
        await fails(cl, OPENS_AT - 1)
        cl.thaw(follower)
        assert await change_leader(cl, "hot") == follower
        await fails(cl)
        _, said, _ = await turned(cl, 1, "open")
        assert said["replica"] == follower


# -- what happens in them ----------------------------------------------------------------------------------------------


async def probed(cl: Cluster, generation: int, outcome: str) -> str:
    """Report what a probe of some generation found, as a prober does; the entry."""
    packed = msgpack.packb([[DB, generation, outcome, 1.0, "late"]])
    entry: bytes = await cl.client.xadd(cl.keys.control, {"cmd": "report", "kind": "probe", "p": packed})
    return str(entry)


async def change_leader(cl: Cluster, successor: str) -> str:
    """Kill the leader, for a cold successor all; who leads then."""
    leader, last = await cl.leader(), await cl.last_event()
    if successor == "cold":
        for name in list(cl.processes):
            await cl.kill(name)
        await cl.start(*cl.processes)
    else:
        await cl.kill(leader)
    _, said = await cl.next_leader(last)
    return said["replica"]
