"""`/metrics` of real replicas: what a scrape says, and what Prometheus' own tools say of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from healthmon.core.access import Access, token_for_all
from healthmon.core.component import HealthState
from healthmon.monitor.replica import Replica
from healthmon.run import make_replica
from healthmon.run.measured import collector_of
from healthmon.run.serving import make_app
from healthmon.settings import load_serving_settings, load_settings
from healthmon.views.exposition import metrics_routes, rendered
from healthmon.views.series import SERIES, SPECIFIED
from tests.inprocess import Replicas, replicas
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
TOKEN = "a-token-for-the-tests"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Page:
    """One replica's `/metrics`, asked for over HTTP without a socket."""

    client: httpx.AsyncClient

    async def text(self) -> str:
        answer = await self.client.get("/metrics")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.text

    async def samples(self) -> Samples:
        """Every sample by its name and labels."""
        families = text_string_to_metric_families(await self.text())
        return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}

    async def value(self, name: str, **labels: str) -> float | None:
        return (await self.samples()).get((name, frozenset(labels.items())))


@asynccontextmanager
async def page_of(replica: Replica, accepted: Mapping[str, int] | None = None, **given: Any) -> AsyncIterator[Page]:
    """The page of a replica; no token is asked for unless one is `given`."""
    settings = load_serving_settings(**given)
    access = Access([token_for_all(TOKEN)] if "token" in given else [])
    app: Any = make_app(metrics_routes(collector_of(replica, settings, accepted or {}, {})), access, settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        yield Page(client)


async def one_component(made: Replicas, **fields: str) -> None:
    """A component that has sent two heartbeats."""
    said = ["id", "j_prime", *(part for pair in fields.items() for part in pair)]
    for _ in range(2):
        await made.send(*said)
    await made.counted("j_prime", 2)


async def test_the_leader_shows_each_component_and_a_follower_only_itself(url: str) -> None:
    async with replicas(url, "m1", "m2", heartbeat_timeout=30, degraded_threshold=40, dead_threshold=50) as made:
        await one_component(made, role="prime", host="web-03", version="1.4")
        leader, follower = await made.leader(), await made.follower()
        async with page_of(leader) as page, page_of(follower) as other:
            said, theirs = await page.samples(), await other.samples()
    of = {"component": "j_prime", "role": "prime"}
    assert said["healthmon_component_state", frozenset({**of, "state": "healthy"}.items())] == 1
    assert said["healthmon_component_state", frozenset({**of, "state": "dead"}.items())] == 0
    assert said["healthmon_components", frozenset({"role": "prime", "state": "healthy"}.items())] == 1
    assert said["healthmon_components", frozenset({"role": "prime", "state": "dead"}.items())] == 0
    assert said["healthmon_component_info", frozenset({**of, "host": "web-03", "version": "1.4"}.items())] == 1
    assert said["healthmon_component_last_heartbeat_timestamp_seconds", frozenset(of.items())] > 1e9
    assert said["healthmon_heartbeats_total", frozenset({("channel", "redis")})] == 2
    assert said["healthmon_is_leader", frozenset()] == 1
    assert theirs["healthmon_is_leader", frozenset()] == 0
    assert theirs["healthmon_epoch", frozenset()] == said["healthmon_epoch", frozenset()]
    leaders_alone = {name for name, series in SERIES.items() if series.who == "leader"}
    assert {name for name, _ in theirs}.isdisjoint(leaders_alone)


async def test_a_gateway_shows_components_when_told_to_and_is_no_replica_that_could_lead(url: str) -> None:
    async with replicas(url, "m1", heartbeat_timeout=30, degraded_threshold=40, dead_threshold=50) as made:
        await one_component(made)
        settings = load_settings(redis_url=url, prefix=made.keys.prefix, replica_id="gate")
        gateway = make_replica(settings, observes=True)
        async with anyio.create_task_group() as group:
            group.start_soon(gateway.run)
            await eventually(gateway.loaded.is_set)
            async with page_of(gateway) as page, page_of(gateway, metrics_everywhere=True) as everywhere:
                said, all_of_it = await page.samples(), await everywhere.samples()
            group.cancel_scope.cancel()
    assert ("healthmon_is_leader", frozenset[tuple[str, str]]()) not in said
    assert not [name for name, _ in said if name.startswith("healthmon_component")]
    states = [name for name, _ in all_of_it if name == "healthmon_component_state"]
    assert len(states) == 8


async def test_every_name_of_the_reference_is_exported_and_no_other_one(url: str) -> None:
    async with replicas(url, "m1") as made:
        await one_component(made)
        leader = await made.leader()
        leader.parts.measures.alert_deliveries["log", "delivered"] += 1
        async with page_of(leader, metrics_specification=True) as page:
            families = list(text_string_to_metric_families(await page.text()))
    exported = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
    ours = {name for name in exported if not name.startswith("process_")}
    assert ours == SERIES.keys() | SPECIFIED.keys()
    assert "process_cpu_seconds_total" in exported
    samples = [sample for one in families for sample in one.samples]
    labels = {(sample.name, *sorted(sample.labels)) for sample in samples}
    for series in [*SERIES.values(), *SPECIFIED.values()]:
        if series.kind != "histogram":
            assert (series.name, *sorted(series.labels)) in labels


async def test_a_death_and_its_delay_are_counted_from_the_thresholds_on(url: str) -> None:
    async with replicas(url, "m1") as made, page_of(await made.leader()) as page:
        await one_component(made)
        edge = {"role": "", "from": "unhealthy", "to": "dead"}

        async def died() -> bool:
            return await page.value("healthmon_state_transitions_total", **edge) == 1

        assert await page.value("healthmon_state_transitions_total", **edge) in (None, 0)
        await eventually(died, 10)
        said = await page.samples()
    assert said["healthmon_components", frozenset({"role": "", "state": "dead"}.items())] == 1
    assert said["healthmon_detection_delay_seconds_count", frozenset()] == 3
    assert said["healthmon_detection_delay_seconds_sum", frozenset()] < 3
    assert said["healthmon_alerts_published_total", frozenset({("type", "component.dead")})] == 1
    assert said["healthmon_redis_command_duration_seconds_count", frozenset({("command", "commit")})] > 0


async def test_beyond_the_limit_only_those_that_are_not_well_have_series_of_their_own(url: str) -> None:
    async with replicas(url, "m1", heartbeat_timeout=30, degraded_threshold=40, dead_threshold=50) as made:
        for number in range(8):
            await made.send("id", f"c-{number}", "status", "failing" if number < 3 else "ok")
        leader = await made.leader()
        await eventually(lambda: sum(leader.parts.table.census.states.values()) == 8)
        await eventually(lambda: leader.parts.table.census.states[HealthState.UNHEALTHY] == 3)
        for most, shown in {8: 8, 5: 3, 2: 2, 0: 0}.items():
            async with page_of(leader, metrics_max_components=most) as page:
                said = await page.samples()
            assert len([name for name, _ in said if name == "healthmon_component_breaker_open"]) == shown
            assert said["healthmon_metrics_components_omitted", frozenset()] == 8 - shown
            assert sum(value for (name, _), value in said.items() if name == "healthmon_components") == 8


async def test_the_specifications_numbers_are_its_own(url: str) -> None:
    async with replicas(url, "m1") as made, page_of(await made.leader(), metrics_specification=True) as page:
        await made.send("id", "a", "status", "degraded")
        await made.send("id", "b", "status", "stopping")

        async def told() -> bool:
            return [await page.value("jarvis_component_health_state", component_id=one) for one in "ab"] == [2, -1]

        await eventually(told)
        assert await page.value("jarvis_component_restarts_total", component_id="a") == 0


async def test_refusals_are_counted_by_reason(url: str) -> None:
    async with replicas(url, "m1") as made, page_of(await made.leader(), {"http": 7}) as page:
        await made.send("name", "x")
        await made.send("id", "a", "p", "no map")

        async def counted() -> bool:
            return [
                await page.value("healthmon_heartbeats_rejected_total", reason=one)
                for one in ("no_id", "not_a_map", "bad_id")
            ] == [1, 1, 0]

        await eventually(counted)
        assert await page.value("healthmon_heartbeats_total", channel="http") == 7


async def test_without_a_known_token_nothing_is_shown(url: str) -> None:
    async with replicas(url, "m1") as made, page_of(await made.leader(), token=TOKEN) as page:
        assert (await page.client.get("/metrics")).status_code == 401
        page.client.headers["Authorization"] = f"Bearer {TOKEN}"
        assert "healthmon_is_leader 1.0" in await page.text()


@pytest.mark.needs("promtool")
async def test_promtool_has_nothing_to_complain_of(url: str) -> None:
    async with replicas(url, "m1") as made:
        await one_component(made, role='say "prime"\\')
        async with page_of(await made.leader()) as page:
            text = await page.text()
    checked = await anyio.run_process(["promtool", "check", "metrics"], input=text.encode(), check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def test_a_long_scrape_lets_others_run_between_its_pieces_and_says_each_family_once(url: str) -> None:
    async with replicas(url, "m1", heartbeat_timeout=30, degraded_threshold=40, dead_threshold=50) as made:
        for number in range(200):
            await made.send("id", f"c-{number}")
        leader = await made.leader()
        await eventually(lambda: leader.parts.table.census.states[HealthState.HEALTHY] == 200)
        collector = collector_of(leader, load_serving_settings(), {}, {})
        pieces, turns = sum(1 for _ in collector.pieces()), 0
        async with anyio.create_task_group() as group:

            async def take_turns() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await anyio.lowlevel.checkpoint()

            group.start_soon(take_turns)
            text = (await rendered(collector)).decode()
            group.cancel_scope.cancel()
        families = list(collector.collect())
    assert turns >= pieces > len(SERIES)
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads)) == len(families)
    assert sum(line.startswith("healthmon_component_state{") for line in text.splitlines()) == 200 * 8
