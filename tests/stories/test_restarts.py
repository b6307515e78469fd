"""Restarts by agents when the leader, the agent or the way between them fails at any moment of an attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from healthmon.store.scripts import Scripts
from tests.agents import Agents, agents
from tests.cluster import Cluster, cluster, late_ms
from tests.healing_promises import changes
from tests.history import Entry, Fields, violations
from tests.proxy import Command, Gate, Proxy, proxy_to
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.story]
# So long that nobody falls silent in a story of other things.
UNHURRIED: dict[str, float | bool] = {
    "lease_ttl": 2.0,
    "heartbeat_timeout": 20.0,
    "degraded_threshold": 40.0,
    "dead_threshold": 60.0,
}
WEB = "web"
ON_TIME_MS = 250  # an attempt is claimed at its time: milliseconds, but for a machine that is busy
BEATING_S = 0.2
SAME_REV = "if is[2] ~= ARGV[2] or"
BUDGET = "local spent = c.budgeted and not written and ("


@dataclass
class Stage:
    """A proxy that agents and replicas reach the server by, replicas, and one agent whose program is healthy."""

    proxy: Proxy
    cl: Cluster
    fleet: Agents

    async def claimed(self, number: int = 1, one: str = WEB) -> Entry:
        """The event by which the so-many-th restart was claimed."""

        async def look() -> list[Entry]:
            found = await self.fleet.claims(one)
            assert len(found) >= number, f"{await self.fleet.record(one)}\n{self.fleet.journal(one)}"
            return found

        return (await eventually(look, 15.0))[number - 1]

    async def next_leader(self, *, frozen: bool = False) -> str:
        """Kill the leader, or stop it; returns when another leads, with the name of the former one."""
        leader, last = await self.cl.leader(), await self.cl.last_event()
        if frozen:
            self.cl.freeze(leader)
        else:
            await self.cl.kill(leader)
        _, said = await self.cl.next_leader(last)
        assert said["replica"] != leader
        return leader

    async def held_orders(self, one: str = WEB) -> Gate:
        """From now on the agent reads no orders; the read that was under way has ended."""
        gate = self.proxy.gate(f"run-{one}-restarts")
        gate.freeze()
        await eventually(lambda: gate.held)
        return gate

    async def assert_restarted_once(self, attempts: str = "1") -> None:
        """It is well again by one execution of one claim."""
        await self.fleet.all_in("healthy", WEB)
        assert len(await self.fleet.claims(WEB)) == 1
        assert len(self.fleet.journal(WEB, "taken")) == 1
        assert len(self.fleet.journal(WEB, "started")) == 2
        assert (await self.fleet.record(WEB))["restart_attempt"] == attempts

    async def assert_on_time(self, number: int) -> None:
        """The so-many-th attempt was claimed when it was due."""
        entry, _ = await self.claimed(number)
        deaths = [said for at, said in await self.cl.events(id=WEB, to="dead") if at < entry]
        assert 0 <= late_ms(entry, due_ms(deaths[-1])) < ON_TIME_MS


def due_ms(said: Fields) -> int:
    """When the attempt is due that follows on a death."""
    return int(changes(said)["restart"]["next_ms"])


@asynccontextmanager
async def stage(
    url: str, folder: Path, *, verbs: Path | None = None, keeps_promises: bool = True, **restart: Any
) -> AsyncIterator[Stage]:
    names = ("m1", "m2")
    async with (
        proxy_to(url) as proxy,
        cluster(
            url,
            folder,
            *names,
            through=proxy.url,
            verbs=verbs,
            keeps_promises=keeps_promises,
            settings=UNHURRIED,
        ) as cl,
        agents(cl, through=proxy.url, verbs=verbs) as fleet,
    ):
        fleet.start(WEB, interval=BEATING_S, **restart)
        await fleet.all_healthy()
        yield Stage(proxy, cl, fleet)


# -- a leader that is killed -------------------------------------------------------------------------------------------


async def test_a_leader_killed_between_the_claim_and_the_taking_leaves_an_attempt_that_is_made_once(
    url: str, tmp_path: Path
) -> None:
    async with stage(url, tmp_path) as st:
        gate = await st.held_orders()
        st.fleet.kill_children(WEB)
        await st.claimed()
        await st.next_leader()
        assert await st.cl.is_in(WEB, "restarting")
        assert not st.fleet.journal(WEB, "taken")
        gate.open()
        await st.assert_restarted_once()


async def test_a_leader_killed_while_the_agent_restarts_gets_its_report_by_its_successor(
    url: str, tmp_path: Path
) -> None:
    async with stage(url, tmp_path) as st:
        st.fleet.kill_children(WEB)
        await st.fleet.noted(WEB, "started", 2)
        await st.next_leader()
        assert not [line for line in st.fleet.journal(WEB, "reported") if line["kind"] == "restart"]
        await st.assert_restarted_once()


async def test_a_leader_killed_before_the_report_makes_nobody_restart_again(url: str, tmp_path: Path) -> None:
    async with stage(url, tmp_path) as st:
        gate = st.proxy.gate(f"run-{WEB}-take")
        gate.hold = is_outcome
        st.fleet.kill_children(WEB)
        await eventually(lambda: gate.held)
        await st.next_leader()
        gate.open()
        await st.assert_restarted_once()


async def test_a_leader_killed_before_it_commits_what_was_reported_leaves_that_to_its_successor(
    url: str, tmp_path: Path
) -> None:
    async with stage(url, tmp_path) as st:
        gate = st.proxy.gate(f"{await st.cl.leader()}-commit")
        gate.hold = commits_outcome
        st.fleet.kill_children(WEB)
        await eventually(lambda: gate.held)
        assert await st.cl.is_in(WEB, "restarting")
        await st.next_leader()
        await st.assert_restarted_once()


async def test_a_leader_killed_before_it_commits_a_claim_has_claimed_nothing(url: str, tmp_path: Path) -> None:
    async with stage(url, tmp_path) as st:
        gate = st.proxy.gate(f"{await st.cl.leader()}-commit")
        gate.hold = commits_claim
        st.fleet.kill_children(WEB)
        await eventually(lambda: gate.held)
        assert not await st.fleet.claims(WEB)
        await st.next_leader()
        await st.assert_restarted_once()


# -- a leader that is stopped ------------------------------------------------------------------------------------------


async def test_a_claim_that_a_stopped_leader_left_on_its_way_is_refused_when_it_arrives(
    url: str, tmp_path: Path
) -> None:
    async with stage(url, tmp_path) as st:
        gate = st.proxy.gate(f"{await st.cl.leader()}-commit")
        gate.hold = commits_claim
        st.fleet.kill_children(WEB)
        await eventually(lambda: gate.held)
        stopped = await st.next_leader(frozen=True)
        await st.assert_restarted_once()
        gate.open()
        await eventually(lambda: gate.replies)
        assert b"FENCED" in gate.replies[0]
        st.cl.thaw(stopped)
        await eventually(partial(st.cl.is_follower, stopped))
        await st.assert_restarted_once()


async def test_the_order_of_a_leader_that_was_stopped_comes_too_late_and_is_refused_by_the_agent(
    url: str, tmp_path: Path
) -> None:
    async with stage(url, tmp_path, timeout=2) as st:
        gate = await st.held_orders()
        st.fleet.kill_children(WEB)
        _, first = await st.claimed()
        stopped = await st.next_leader(frozen=True)
        entry, second = await st.claimed(2)
        gate.open()
        await st.fleet.all_in("healthy", WEB)
        refused, taken = st.fleet.journal(WEB, "refused"), st.fleet.journal(WEB, "taken")
        assert [str(line["rev"]) for line in refused] == [first["rev"]]
        assert [(str(line["rev"]), line["attempt"]) for line in taken] == [(second["rev"], 1)], "untaken: not counted"
        assert entry == taken[0]["entry"]
        assert len(st.fleet.journal(WEB, "started")) == 2
        await st.assert_on_time(2)
        st.cl.thaw(stopped)
        await eventually(partial(st.cl.is_follower, stopped))


# -- an agent that fails -----------------------------------------------------------------------------------------------


async def test_two_incidents_under_one_leader_are_both_restarted(url: str, tmp_path: Path) -> None:
    async with stage(url, tmp_path) as st:
        epoch = await st.cl.epoch()
        for number in (1, 2):
            st.fleet.kill_children(WEB)
            _, said = await st.claimed(number)
            assert said["epoch"] == str(epoch)
            await st.fleet.all_in("healthy", WEB)
            await st.assert_on_time(number)
        revs = [str(line["rev"]) for line in st.fleet.journal(WEB, "taken")]
        assert revs == [said["rev"] for _, said in await st.fleet.claims(WEB)]
        assert len(st.fleet.journal(WEB, "started")) == 3


async def test_an_agent_killed_between_acting_and_reporting_does_not_act_again(url: str, tmp_path: Path) -> None:
    async with stage(url, tmp_path) as st:
        gate = st.proxy.gate(f"run-{WEB}-take")
        gate.hold = is_outcome
        st.fleet.kill_children(WEB)
        await eventually(lambda: gate.held)
        st.fleet.kill(WEB)
        st.fleet.start(WEB, interval=BEATING_S)
        gate.open()
        await st.fleet.all_in("healthy", WEB)
        await eventually(lambda: len(st.fleet.journal(WEB, "started")) == 3)
        assert len(await st.fleet.claims(WEB)) == 1
        assert len(st.fleet.journal(WEB, "taken")) == 1, "its own start is none by an order"


async def test_an_agent_that_stands_still_in_an_attempt_costs_it_and_the_next_one_comes_on_time_by_another_leader(
    url: str, tmp_path: Path
) -> None:
    async with stage(url, tmp_path, timeout=2) as st:
        st.fleet.kill_children(WEB)
        await st.fleet.noted(WEB, "started", 2)  # one begun later than the next order would make that one needless
        st.fleet.freeze(WEB)
        await st.next_leader()
        entry, _ = await st.claimed(2)
        st.fleet.thaw(WEB)
        await st.assert_on_time(2)
        await st.fleet.all_in("healthy", WEB)
        failures = await st.cl.events(id=WEB, to="dead", rule="restart_failed")
        assert [at < entry for at, _ in failures] == [True]
        assert "gave no report" in failures[0][1]["reason"]
        assert [line["attempt"] for line in st.fleet.journal(WEB, "taken")] == [1, 2]
        assert (await st.fleet.record(WEB))["restart_attempt"] == "2"


async def test_an_order_that_nobody_takes_costs_no_attempt(url: str, tmp_path: Path) -> None:
    async with stage(url, tmp_path, timeout=1) as st:
        st.fleet.kill_children(WEB)
        await st.fleet.noted(WEB, "reported")
        st.fleet.freeze(WEB)
        await st.claimed(2)
        st.fleet.thaw(WEB)
        await st.fleet.all_in("healthy", WEB)
        untaken = await st.cl.events(id=WEB, to="dead", rule="restart_untaken")
        assert "was not taken" in untaken[0][1]["reason"]
        assert (await st.fleet.record(WEB))["restart_attempt"] == "1"


# -- the guards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarded", [True, False], ids=["as it is", "with the check of the rev taken out"])
async def test_an_order_of_an_earlier_incident_is_not_taken_for_that_of_the_one_that_runs(
    url: str, tmp_path: Path, *, guarded: bool
) -> None:
    """While the agent stands still somebody else runs the program, and it fails once more."""
    verbs = None if guarded else without(tmp_path / "verbs", "take", SAME_REV, "if false and")
    async with stage(url, tmp_path, verbs=verbs, keeps_promises=guarded) as st:
        st.fleet.kill_children(WEB)
        await st.fleet.noted(WEB, "reported")
        st.fleet.freeze(WEB)
        _, first = await st.claimed()
        await st.cl.client.xadd(st.cl.keys.heartbeats, {"id": WEB, "incarnation": "by-hand"})
        await st.fleet.all_in("healthy", WEB)
        await st.cl.ask(cmd="report", kind="exit", id=WEB, code="1", signal="", lines="", incarnation="by-hand")
        _, second = await st.claimed(2)
        st.fleet.thaw(WEB)
        await st.fleet.all_in("healthy", WEB)
        taken = [str(line["rev"]) for line in st.fleet.journal(WEB, "taken")]
        assert taken == [second["rev"] if guarded else first["rev"]]
        if not guarded:
            await st.fleet.end()
            assert "restarts_are_executed_once" in violations(await st.cl.at_rest())


@pytest.mark.parametrize("guarded", [True, False], ids=["as it is", "with the budget taken out of the commit"])
async def test_no_more_are_restarted_in_a_minute_than_the_budget_has_also_by_a_leader_that_knows_of_none(
    url: str, tmp_path: Path, *, guarded: bool
) -> None:
    verbs = None if guarded else without(tmp_path / "verbs", "commit", BUDGET, "local spent = false and (")
    settings = {**UNHURRIED, "restarts_per_minute": 3}
    ids = [f"web-{number}" for number in range(6)]
    async with (
        cluster(url, tmp_path, "m1", "m2", verbs=verbs, keeps_promises=guarded, settings=settings) as cl,
        agents(cl) as fleet,
    ):
        for one in ids:
            fleet.start(one)
        await fleet.all_healthy()
        fleet.kill_children(*ids)
        await eventually(partial(all_restarted, cl, 3), 15)
        await eventually(partial(waits, cl, "3 restarts were begun within a minute (restarts_per_minute)", 3))
        for name in ("m1", "m2"):
            await cl.kill(name)
        last = await cl.last_event()
        await cl.start("m1", "m2")
        await cl.next_leader(last)
        if guarded:
            await cl.passes(1_500)
            assert await cl.in_state("dead") == 3
        else:
            await eventually(partial(all_restarted, cl, 6), 15)
            await fleet.end()
            assert list(violations(await cl.at_rest())) == ["the_budget_is_kept"]


# -- what happens in them ----------------------------------------------------------------------------------------------


async def all_restarted(cl: Cluster, number: int) -> bool:
    claims = await cl.events(type="transition", to="restarting")
    return len(claims) == number and await cl.in_state("healthy") == number


async def waits(cl: Cluster, why: str, number: int) -> bool:
    return len([1 for _, said in await cl.events(rule="waits") if why in said["reason"]]) == number


def is_outcome(command: Command) -> bool:
    """Whether a command reports how a restart went."""
    return command[0] == b"XADD" and b"restart" in command and b"ok" in command


def commits(words: bytes) -> Callable[[Command], bool]:
    """Whether a command commits an event in which these words stand."""
    sha = Scripts().commit.sha.encode()
    return lambda command: command[:2] == [b"EVALSHA", sha] and words in command[-1] and WEB.encode() in command[-1]


commits_claim = commits(b"restart 1 of 3 by agent")
commits_outcome = commits(b"restart 1 of 3 succeeded")


def without(folder: Path, verb: str, part: str, instead: str) -> Path:
    """A folder with this script, a part of it replaced."""
    text = getattr(Scripts(), verb).text
    assert text.count(part) == 1
    folder.mkdir()
    (folder / f"{verb}.lua").write_text(text.replace(part, instead))
    return folder
