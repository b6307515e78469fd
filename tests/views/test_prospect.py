from __future__ import annotations

import pytest

from healthmon.core.alert import rfc3339
from healthmon.views.prospect import prospect

NOW = 1_795_462_265_000


def at(seconds: float) -> str:
    return rfc3339(NOW + round(seconds * 1000))


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"state": "healthy"}, ""),
        ({"state": "dead"}, ""),
        (
            {"state": "dead", "restart_attempt": "2", "restart_max": "5", "next_restart_at": at(21)},
            "restart attempt 3/5 in 21 s",
        ),
        (
            {
                "state": "dead",
                "restart_attempt": "0",
                "restart_max": "5",
                "next_restart_at": at(-3),
                "restart_waits": "held by ann",
                "held": "by ann",
            },
            "restart attempt 1/5 waits: held by ann",
        ),
        ({"state": "dead", "restart_attempt": "x", "next_restart_at": at(-3)}, "restart attempt ? is due"),
        ({"state": "restarting", "restart_taken": "agent-1"}, "taken by agent-1"),
        ({"state": "restarting"}, "not taken yet"),
        ({"state": "permanently_failed", "restart_method": "agent"}, "`revive` restarts it"),
        ({"state": "permanently_failed"}, "`revive` has it watched anew"),
        ({"state": "healthy", "held": "by ann: disk", "flapping": at(-60)}, "held by ann: disk; flapping"),
        ({"state": "dead", "acknowledged_by": "ann"}, "acknowledged by ann"),
        (
            {"state": "dead", "silenced_until": at(90), "silenced_by": "ann", "silenced_reason": "disk"},
            "silenced for 1 m 30 s by ann: disk",
        ),
        ({"state": "dead", "silenced_until": at(0), "silenced_by": "ann", "silenced_reason": "disk"}, ""),
        ({"state": "dead", "silenced_until": "tomorrow", "silenced_by": "ann"}, ""),
        (
            {"state": "unhealthy", "circuit_breaker_state": "open", "breaker_retry_at": at(48), "reason": "silent"},
            "breaker open, tried again in 48 s",
        ),
        ({"state": "unhealthy", "circuit_breaker_state": "open", "reason": "circuit breaker open: x"}, ""),
        ({"state": "dead", "next_restart_at": "tomorrow"}, ""),
    ],
)
def test_what_comes_next_and_what_lies_upon_it_fit_on_one_line(record: dict[str, str], told: str) -> None:
    assert prospect(record, NOW) == told
