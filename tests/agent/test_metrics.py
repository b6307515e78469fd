"""What rides along: the process, the loop's lag, the component's own metrics."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from decimal import Decimal
from pathlib import Path
from time import monotonic, process_time

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from healthmon.agent.metrics import GivenMetrics, LoopLag, ProcessMetrics, usable_cpus
from tests.waiting import eventually


def cpus_by(tmp_path: Path, files: dict[str, str], own: str) -> float:
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "own").write_text(own)
    return usable_cpus(tmp_path / "cgroup", tmp_path / "own")


AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def test_the_smallest_quota_up_to_the_root_bounds_the_cpus(tmp_path: Path) -> None:
    files = {"app/worker/cpu.max": "max 100000\n", "app/cpu.max": "25000 100000\n", "cpu.max": "50000 100000\n"}
    assert cpus_by(tmp_path, files, "0::/app/worker\n") == 0.25


def test_the_older_control_groups_bound_them_too(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}
    assert cpus_by(tmp_path, files, "3:memory:/job\n2:cpu,cpuacct:/job\n1:name=systemd:/x\n") == 0.5


@pytest.mark.parametrize(
    ("files", "own"),
    [
        ({"cpu.max": "max 100000\n"}, "0::/\n"),
        ({"cpu.max": "words\n"}, "0::/../..\n"),
        (
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            "2:cpu,cpuacct:/gone\n",
        ),
        ({}, "nonsense"),
        ({}, ""),
    ],
)
def test_without_a_quota_the_affinity_counts(tmp_path: Path, files: dict[str, str], own: str) -> None:
    assert cpus_by(tmp_path, files, own) == AFFINITY


def test_a_busy_process_uses_its_share_and_the_first_look_has_no_stretch_to_measure() -> None:
    metrics = ProcessMetrics()
    first = metrics.read()
    assert first.keys() == {"memory_mb"}
    assert 5 < first["memory_mb"] < 2000
    until_s, used_s = monotonic() + 0.6, process_time()
    while monotonic() < until_s:
        pass
    busy = metrics.read()["cpu_percent"]
    expected = 100 * (process_time() - used_s) / 0.6 / usable_cpus()
    assert busy == pytest.approx(min(100, expected), abs=15)


async def _block(loop_may_go_on: threading.Event) -> None:
    loop_may_go_on.wait(10)


@pytest.mark.anyio
async def test_a_stalled_loop_shows_by_its_lag_while_it_stalls_and_once_after() -> None:
    lag = LoopLag(asyncio.get_running_loop())
    assert await anyio.to_thread.run_sync(lag.read) in range(50)

    go_on = threading.Event()
    seen: list[float] = []

    def look() -> None:
        try:
            until_s = monotonic() + 5
            while (not seen or seen[-1] < 200) and monotonic() < until_s:
                seen.append(lag.read() or 0.0)
                go_on.wait(0.01)
        finally:
            go_on.set()

    looker = threading.Thread(target=look)
    looker.start()
    await _block(go_on)
    await anyio.to_thread.run_sync(looker.join)
    assert seen == sorted(seen)
    assert seen[-1] >= 200

    async def told_after() -> bool:
        told = await anyio.to_thread.run_sync(lag.read)
        return told is not None and told >= 200

    await eventually(told_after)
    await eventually(lambda: _is_small(lag))


async def _is_small(lag: LoopLag) -> bool:
    told = await anyio.to_thread.run_sync(lag.read)
    return told is not None and told < 50


def test_a_closed_loop_has_no_lag() -> None:
    loop = asyncio.new_event_loop()
    lag = LoopLag(loop)
    closed = [lag.closed]
    loop.close()
    closed.append(lag.closed)
    assert closed == [False, True]
    assert lag.read() is None


class _Strange:
    def __float__(self) -> float:
        raise TypeError


def test_names_that_are_not_standard_become_custom_and_numbers_of_all_kinds_are_taken() -> None:
    given = {"latency_ms": 12, "queue": 3.5, "m.own": 1, "exact": Decimal("0.5"), "huge": 2**80, "status": 1}
    assert GivenMetrics().clean(given) == {
        "latency_ms": 12.0,
        "m.queue": 3.5,
        "m.own": 1.0,
        "m.exact": 0.5,
        "m.huge": 2.0**80,
        "m.status": 1.0,
    }


def test_what_is_no_finite_number_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = GivenMetrics()
    given = {
        "a": float("nan"),
        "b": float("inf"),
        "c": "12",
        "d": True,
        "e": 10**400,
        "f": _Strange(),
        "g": [1],
        "latency_ms": None,
        "n" * 127: 1,
        "\udcff": 2,
        "good": 1,
    }
    with caplog.at_level(logging.WARNING, "healthmon.agent"):
        assert metrics.clean(given) == {"m.good": 1.0, "m.?": 2.0}
        assert metrics.clean(given) == {"m.good": 1.0, "m.?": 2.0}
    assert len(caplog.records) == 8
    assert "metric 'm.a' has no finite number as its value: it is left out" in caplog.messages


def test_no_more_metrics_are_taken_than_a_heartbeat_holds(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "healthmon.agent"):
        assert len(GivenMetrics().clean({f"n{i}": i for i in range(1000)})) == 64
    assert len(caplog.records) == 64
