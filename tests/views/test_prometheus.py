"""A Prometheus that nobody here wrote scrapes a replica and fires a shipped rule; an Alertmanager receives it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from healthmon.run.place import open_place
from healthmon.run.serving import serve_place
from healthmon.settings import load_serving_settings
from healthmon.views.exporting import EXPORTS, Wanted
from tests.beats import beating
from tests.inprocess import Replicas, replicas
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.needs("prometheus", "prometheus-alertmanager")]
TOKEN = "a-token-for-the-tests"
START_S = 60.0  # both programs take a second, on a machine that has nothing else to do


@asynccontextmanager
async def running(*words: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A program of Prometheus' family with a free port; a client of it, once it is ready. It ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / f"{words[0]}.log"
    with log.open("wb") as out:
        process = await anyio.open_process(
            [*words, f"--web.listen-address=127.0.0.1:{port}"], stdout=out, stderr=out, cwd=folder
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:

            async def ready() -> bool:
                assert process.returncode is None, log.read_text()
                try:
                    return (await client.get("/-/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready, START_S)
            yield client
    finally:
        process.kill()
        await process.aclose()


@asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    (folder / "alertmanager.yml").write_text(json.dumps({"route": {"receiver": "all"}, "receivers": [{"name": "all"}]}))
    words = ("--config.file=alertmanager.yml", f"--storage.path={folder / 'alerts'}", "--cluster.listen-address=")
    async with running("prometheus-alertmanager", *words, folder=folder) as client:
        yield client


@asynccontextmanager
async def prometheus(folder: Path, scraped: str, alerts: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    (rules,) = EXPORTS["prometheus-rules"](Wanted("healthmon", "docs/runbooks.md")).items()
    (folder / rules[0]).write_text(rules[1])
    target = {"job_name": "healthmon", "authorization": {"credentials": TOKEN}}
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [rules[0]],
        "scrape_configs": [{**target, "static_configs": [{"targets": [scraped.removeprefix("http://")]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alerts.base_url.netloc.decode()]}]}]},
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    # What fired before the Alertmanager was found is sent again soon.
    again = "--rules.alert.resend-delay=1s"
    words = ("--config.file=prometheus.yml", f"--storage.tsdb.path={folder / 'data'}", again)
    async with running("prometheus", *words, folder=folder) as client:
        yield client


@asynccontextmanager
async def served(made: Replicas) -> AsyncIterator[str]:
    """The leader behind the program's own server, which wants a token."""
    place = open_place(load_serving_settings(http_port=0, token=TOKEN))
    async with anyio.create_task_group() as group:
        group.start_soon(serve_place, place, await made.leader())
        yield place.url
        group.cancel_scope.cancel()


async def query(client: httpx.AsyncClient, expression: str) -> list[Any]:
    answer = (await client.get("/api/v1/query", params={"query": expression})).json()
    return list(answer["data"]["result"])


async def test_a_death_fires_the_shipped_rule_and_arrives_at_alertmanager(url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with (
        replicas(url, "m1") as made,
        served(made) as scraped,
        alertmanager(tmp_path) as alerts,
        prometheus(tmp_path, scraped, alerts) as scraping,
    ):
        async with beating(url, made.keys.heartbeats, "j_prime"):
            healthy = 'healthmon_component_state{component="j_prime",state="healthy"} == 1'
            await eventually(partial(query, scraping, healthy), START_S)
            assert await query(scraping, 'up{job="healthmon"} == 1')

        async def arrived(name: str) -> list[Any]:
            here = (await alerts.get("/api/v2/alerts")).json()
            return [one for one in here if one["labels"]["alertname"] == name]

        (alert,) = await eventually(partial(arrived, "ComponentDead"), START_S)
        await eventually(partial(arrived, "Watchdog"), START_S)
    assert (alert["labels"]["component"], alert["labels"]["severity"]) == ("j_prime", "critical")
    assert alert["annotations"]["runbook_url"] == "docs/runbooks.md#componentdead"
