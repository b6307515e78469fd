"""The benchmark: judgements on forged figures, and a quick run of the whole course."""

from __future__ import annotations

import json
import math

import anyio
import pytest

from healthmon.bench import QUICK, SECTIONS, Row, run_bench
from healthmon.bench.figures import ROUNDS_MIN, TRIES_MAX, Target, percentile, spread, take_turns

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("ours", "reference", "most", "verdict"),
    [
        (1.4, 1.0, 1.5, "within"),
        (1.5, 1.0, 1.5, "within"),
        (1.6, 1.0, 1.5, "misses"),
        (0.3, 1.0, 1 / 3, "within"),
        (1.0, 0.0, 1.5, "misses"),
        (math.nan, 1.0, 1.5, "misses"),
        (1.0, math.nan, 1.5, "misses"),
        (249.0, None, 250, "within"),
        (251.0, None, 250, "misses"),
        (math.nan, None, 250, "misses"),
    ],
)
def test_a_figure_is_judged_by_its_ratio_where_it_has_a_reference_and_by_itself_where_not(
    ours: float, reference: float | None, most: float, verdict: str
) -> None:
    assert Row("forged", ours, "us", Target(most), reference).verdict == verdict


def test_a_row_for_a_program_holds_no_number_that_json_lacks() -> None:
    row = Row("forged", math.nan, "ms", Target(3), 0.0, "nothing")
    assert json.loads(json.dumps(row.to_dict(), allow_nan=False)) == {
        "what": "forged",
        "ours": None,
        "unit": "ms",
        "reference": 0.0,
        "against": "nothing",
        "ratio": None,
        "target": "<= 3 x",
        "specification": None,
        "verdict": "misses",
        "note": None,
    }


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, percent) for percent in (1, 50, 95, 100)] == [1.0, 3.0, 5.0, 5.0]
    assert math.isnan(percentile([], 50))
    assert spread(values) == 5.0
    assert spread([]) == spread([0.0, 1.0]) == math.inf


async def test_both_sides_take_turns_and_their_medians_count() -> None:
    turns: list[str] = []

    def side(name: str, costs: list[float]) -> float:
        turns.append(name)
        return costs[turns.count(name) - 1]

    async def reference() -> float:
        return side("reference", [1.0, 1.2, 1.1, 1.9, 1.0])

    async def ours() -> float:
        return side("ours", [2.0, 9.0, 2.2, 2.1, 2.3])

    assert await take_turns([reference, ours], 1) == [1.1, 2.2]
    assert turns == ["reference", "ours"] * ROUNDS_MIN


async def test_a_disturbed_reference_is_measured_again_but_not_for_ever_and_the_calmest_counts() -> None:
    tries = 0

    async def reference() -> float:
        nonlocal tries
        tries += 1
        measurement, turn = divmod(tries - 1, ROUNDS_MIN)
        return 9.0 - measurement if turn else 1.0

    assert await take_turns([reference], ROUNDS_MIN) == [9.0 - (TRIES_MAX - 1)]
    assert tries == TRIES_MAX * ROUNDS_MIN


def test_a_quick_run_measures_every_figure(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    async def measure() -> list[Row]:
        return await run_bench(QUICK, say=said.append)

    rows = anyio.run(measure)
    assert len(said) >= len(SECTIONS)
    assert len(rows) == len({row.what for row in rows if not row.what.startswith(" ")}) + 4
    for row in rows:
        assert math.isfinite(row.ours), row
        assert row.ours >= 0, row
        assert row.ratio is None or 0 < row.ratio < 1000, row
    assert capfd.readouterr().err == ""  # no replica complained


def test_a_run_on_a_given_server_leaves_no_key_there(url: str) -> None:
    from healthmon.bench.raw import Raw

    async def measure() -> list[Row]:
        return await run_bench(QUICK, url=url, only=["publishing"])

    assert len(anyio.run(measure)) == 2
    raw = Raw(url)
    assert raw.call("DBSIZE") == 0
    raw.close()
