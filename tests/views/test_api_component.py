from __future__ import annotations

import json
from functools import partial
from typing import Any

import anyio
import pytest

from healthmon.cli.app import main
from healthmon.store.calls import call
from healthmon.views.verdict import Bounds, Grade
from tests.views.serving import CALM, Served, served
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

# These say how late it is, or are written at another moment than they are shown.
MOVING = ("last_heartbeat", "uptime_seconds", "silent_ms", "folded", "history")


async def _cli(here: Served, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    where = ("--redis-url", here.fleet.url, "--prefix", here.fleet.keys.prefix)
    code = await anyio.to_thread.run_sync(partial(main, (*words, *where, "-o", "json")))
    out, err = capsys.readouterr()
    assert code == 0, err
    said: dict[str, Any] = json.loads(out)
    return {name: value for name, value in said.items() if name not in MOVING}


async def test_a_component_says_what_the_command_line_says(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with served(url, **CALM) as here:
        policy = json.dumps({"interval": 20, "depends_on": ["db"]})
        await here.fleet.ask("cmd", "register", "id", "j_prime", "policy", policy)
        await here.fleet.send("id", "j_prime", "role", "prime", "host", "web-03", "latency_ms", "450", "m.queue", "7")
        await here.knows("j_prime", state="degraded")
        await here.fleet.counted("j_prime", 1)

        async def alike() -> dict[str, Any]:
            shown: dict[str, Any] = await here.get("/health/components/j_prime")
            said = {name: value for name, value in shown["component"].items() if name not in MOVING}
            assert said == await _cli(here, capsys, "show", "j_prime")
            return shown

        shown = await eventually(alike)
        why = {name: value for name, value in shown["why"].items() if name not in MOVING}
        assert why == await _cli(here, capsys, "why", "j_prime")
        assert ["because", shown["why"]["because"]] in shown["why_lines"]
        assert shown["why"]["dependencies"] == {"db": None}
        assert [(one["metric"], one["score"] is None) for one in shown["score"]] == [
            ("latency_ms", False),
            ("m.queue", True),
        ]
        assert shown["score"][0] == {
            "metric": "latency_ms",
            "value": 450.0,
            "score": 0.6062,
            "good": 50,
            "warn": 200,
            "critical": 1000,
        }


async def test_times_in_sentences_are_those_of_the_viewer(url: str) -> None:
    async with served(url, **CALM) as here:
        await here.fleet.send("id", "a")
        await here.knows("a", state="healthy")
        utc = await here.get("/health/components/a")
        india = await here.get("/health/components/a", utc_offset=330)
        assert utc["why_lines"][0] != india["why_lines"][0]
        await here.get("/health/components/a", 400, utc_offset=900)


async def test_the_lines_to_copy_work_as_they_are(url: str) -> None:
    async with served(url, **CALM) as here:
        await here.fleet.send("id", "a")
        await here.knows("a", state="healthy")
        shown = await here.get("/health/components/a")
        words = shown["send"]["redis-cli"].removeprefix("redis-cli ").replace("'", "").split()
        await call(here.fleet.client, *words)
        await here.knows("a", total_heartbeats=2)
        assert set(shown["send"]) == {"redis-cli", "curl", "shell", "python", "node"}
        assert str(here.http.base_url) + "/health/heartbeat" in shown["send"]["curl"]
        assert "HEALTH_TOKEN" not in shown["send"]["curl"]
        for line in shown["redis"][:4]:
            _, *words = line.replace(" -3 ", " ").replace("'", "").split()
            await call(here.fleet.client, *words)


async def test_the_timeline_is_paged_and_says_what_was_told_and_by_whom(url: str) -> None:
    async with served(url, **CALM) as here:
        await here.fleet.send("id", "a")
        for status in ("failing", "ok", "failing"):
            await here.fleet.send("id", "a", "status", status)
            await here.fleet.send("id", "a", "status", status)
            await here.knows("a", state="unhealthy" if status == "failing" else "healthy")
        await here.post("/health/components/a/hold", reason="disk")
        events = (await here.get("/health/components/a/timeline"))["events"]
        assert [one["type"] for one in events[:2]] == ["operator", "transition"]
        assert (events[0]["by"], events[0]["cause"] is not None) == ("local", True)
        assert (events[1]["alert"], events[1]["by"], events[1]["component_id"]) == (True, None, "a")
        assert [one["id"] for one in events] == sorted((one["id"] for one in events), reverse=True)
        first = (await here.get("/health/components/a/timeline", limit=1))["events"]
        rest = (await here.get("/health/components/a/timeline", before=first[0]["id"]))["events"]
        assert first + rest == events
        log = (await here.get("/health/log", component="a", type="transition,operator"))["events"]
        assert log[: len(events)] == events
        assert (await here.get("/health/log", limit=2))["next"] is not None


async def test_a_check_answers_by_its_status_alone_and_grades_as_the_command_does(url: str) -> None:
    said = {"well": "ok", "tired": "degraded", "new": "starting", "ill": "failing", "gone": "stopping"}
    states = {"well": "healthy", "tired": "degraded", "new": "initializing", "ill": "unhealthy", "gone": "unknown"}
    answers = {Grade.OK: 200, Grade.WARNING: 429, Grade.CRITICAL: 503, Grade.UNKNOWN: 503}
    async with served(url, **CALM) as here:
        for name, status in said.items():
            await here.fleet.send("id", name, "status", "ok")
            await here.fleet.send("id", name, "status", status)
        for name, state in states.items():
            await here.knows(name, state=state)
            answer = await here.get(f"/health/components/{name}/check", answers[Bounds().grade(state)])
            assert (answer["id"], answer["state"]) == (name, state)
        await here.get("/health/components/tired/check", 200, warn=200)
        await here.get("/health/components/ill/check", 503, warn=200)
        await here.get("/health/components/tired/check", 400, warn=418)
        assert (await here.get("/health/components/nobody/check", 404))["error"]["code"] == "no_such_component"


async def test_what_is_overdue_is_called_late_before_its_state_changes(url: str) -> None:
    async with served(url, **CALM) as here:
        await here.fleet.send("id", "a", "interval", "0.2")
        await here.fleet.send("id", "b", "interval", "50")
        assert (await here.knows("a", late=True, state="healthy"))["interval_s"] == 0.2
        await here.knows("b", late=False)
        await here.fleet.send("id", "a", "interval", "50")
        await here.knows("a", late=False)


async def test_a_dead_one_says_what_is_done_next(url: str) -> None:
    async with served(url, dead_threshold=2.4, mass_failure=False) as here:
        policy = json.dumps({"restart": {"method": "handler", "base_delay": 100, "max_delay": 300}})
        await here.fleet.ask("cmd", "register", "id", "a", "policy", policy)
        await here.fleet.send("id", "a")
        row = await here.knows("a", state="dead")
        assert (row["next"]["action"], row["next"]["attempt"], row["next"]["max"]) == ("restart", 1, 5)
        assert row["next"]["at"] == row["next_restart_at"] is not None
        assert row["next_words"].startswith("restart attempt 1/5 in ")
        alerts = await here.get("/health/alerts")
        assert [(one["component_id"], one["severity"], one["next"]) for one in alerts["firing"]] == [
            ("a", "critical", row["next"])
        ]
        shown = await here.get("/health/components/a")
        assert shown["bars"]["1h"][-1] == "dead"
