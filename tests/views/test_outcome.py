from __future__ import annotations

from healthmon.views.outcome import Outcome, outcome_of


def test_a_restart_ends_by_being_healthy_dead_or_given_up() -> None:
    well = {"type": "transition", "to": "healthy", "reason": "heard from after restart 1 of 5"}
    assert outcome_of(well, 7) == Outcome("healthy", "heard from after restart 1 of 5", 7, ok=True)
    for state in ("dead", "permanently_failed"):
        ended = outcome_of({"type": "transition", "to": state}, 7)
        assert ended is not None
        assert (ended.state, ended.ok) == (state, False)
    gone = outcome_of({"type": "forgotten", "reason": "forgotten by ann"}, 7)
    assert gone is not None
    assert (gone.state, gone.ok) == ("", False)


def test_what_is_in_between_is_no_end() -> None:
    for state in ("restarting", "initializing", "degraded", "unhealthy"):
        assert outcome_of({"type": "transition", "to": state}, 7) is None
    assert outcome_of({"type": "restart", "rule": "taken"}, 7) is None
