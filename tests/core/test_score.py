"""The score of metrics: rows, the bands they fall into, and which metric is named."""

from __future__ import annotations

import pytest

from healthmon.core.score import DEFAULT_ROWS, Row, band_of, metric_score, score_of

LATENCY = DEFAULT_ROWS["latency_ms"]


@pytest.mark.parametrize(
    ("value", "score"),
    [(0, 1.0), (50, 1.0), (125, 0.85), (200, 0.7), (600, 0.55), (1000, 0.4), (1500, 0.2), (2000, 0.0), (1e9, 0.0)],
)
def test_a_row_is_linear_between_good_warn_critical_and_twice_critical(value: float, score: float) -> None:
    assert metric_score(value, LATENCY) == pytest.approx(score)


@pytest.mark.parametrize(
    ("value", "score"),
    [(200, 1.0), (100, 1.0), (75, 0.85), (50, 0.7), (35, 0.55), (20, 0.4), (15, 0.2), (10, 0.0), (0, 0.0), (-5, 0.0)],
)
def test_a_falling_row_scores_a_metric_of_which_less_is_worse(value: float, score: float) -> None:
    assert metric_score(value, Row(100, 50, 20)) == pytest.approx(score)


def test_the_default_rows_are_the_documented_ones() -> None:
    assert dict(DEFAULT_ROWS) == {
        "latency_ms": (50, 200, 1000),
        "cpu_percent": (70, 85, 95),
        "error_rate": (0.1, 1, 10),
    }


def test_the_specifications_example_is_degraded_by_its_latency() -> None:
    score, worst = score_of({"latency_ms": 450, "memory_mb": 512, "cpu_percent": 45}, DEFAULT_ROWS)
    assert (band_of(score), worst) == (1, "latency_ms")
    assert score == pytest.approx(0.60625)


def test_the_worst_row_is_the_score_and_is_named() -> None:
    assert score_of({"latency_ms": 200, "error_rate": 10}, DEFAULT_ROWS) == (0.4, "error_rate")
    assert score_of({"latency_ms": 10, "error_rate": 0}, DEFAULT_ROWS) == (1.0, "")


def test_metrics_without_a_row_say_nothing() -> None:
    assert score_of({"memory_mb": 1e12, "request_rate": 0, "active_connections": 1e9, "m.x": -1}, DEFAULT_ROWS) == (
        1.0,
        "",
    )


def test_a_busy_processor_degrades_and_never_more() -> None:
    for percent in (95, 100, 400, 1e9):
        score, worst = score_of({"cpu_percent": percent}, DEFAULT_ROWS)
        assert (score, worst, band_of(score)) == (0.4, "cpu_percent", 1)


def test_a_falling_row_counts_in_the_whole_score() -> None:
    rows = {**DEFAULT_ROWS, "request_rate": Row(100, 50, 20)}
    assert score_of({"request_rate": 100}, rows) == (1.0, "")
    score, worst = score_of({"request_rate": 15}, rows)
    assert (round(score, 9), worst) == (0.2, "request_rate")


@pytest.mark.parametrize(("score", "band"), [(1.0, 0), (0.7, 0), (0.6999, 1), (0.4, 1), (0.3999, 2), (0.0, 2)])
def test_below_070_is_degraded_and_below_040_unhealthy(score: float, band: int) -> None:
    assert band_of(score) == band
