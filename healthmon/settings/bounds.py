"""Fields with bounds, each bound with its reason."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import Field

Bound = tuple[float, str]
_N = TypeVar("_N", int, float)


def number(default: _N, says: str, least: Bound, most: Bound, *, unit: str = "", decides: bool = True) -> _N:
    """A bounded field. `decides`: were it another on the next leader, a failover would change the rules."""
    notes: dict[str, Any] = {"unit": unit, "least": least, "most": most, "decides": decides}
    return Field(default, description=says, ge=least[0], le=most[0], allow_inf_nan=False, json_schema_extra=notes)


def seconds(default: float, says: str, least: Bound, most: Bound, *, decides: bool = True) -> float:
    """A bounded duration."""
    return number(default, f"Seconds {says}", least, most, unit=" s", decides=decides)


def switch(says: str) -> bool:
    """On or off, on unless told otherwise; it decides."""
    return Field(default=True, description=f"On or off: {says}", json_schema_extra={"decides": True})
