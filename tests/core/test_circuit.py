"""The states of a breaker as the specification's tests compare them."""

from __future__ import annotations

from healthmon.core.circuit import CircuitState


def test_what_a_breaker_is_equals_its_name_in_any_case() -> None:
    assert CircuitState.HALF_OPEN == "HALF_OPEN"
    assert CircuitState.OPEN == "open"
    assert hash(CircuitState.OPEN) == hash("open")
    assert CircuitState.OPEN != "closed"
    assert not CircuitState.OPEN != "OPEN"  # noqa: SIM202  # `!=` is what is asked for
    assert CircuitState.OPEN != 1
