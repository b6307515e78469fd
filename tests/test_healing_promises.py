"""The judge of restarts is judged: each forged history breaks one promise, and exactly that one is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.forging import EPOCH, POLICY, START_MS, Forge
from tests.healing_promises import HEALING
from tests.history import assert_kept, violations


def begun() -> Forge:
    """A leader, and three components: `b` needs `a`, `c` is not restarted."""
    forge = Forge()
    forge.say(0, "leader")
    forge.register("a", **POLICY)
    forge.register("b", **POLICY, depends_on=["a"])
    forge.register("c", breaker={"recovery_timeout": 2})
    return forge


def test_an_honest_history_of_failures_breaks_no_promise() -> None:
    forge = begun()
    forge.exit(1_000, "a", 0, 1_000)
    forge.exit(1_100, "b", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.take(2_010, "a")
    forge.fail(3_000, "a", 1, 2_000)
    forge.claim(5_000, "a", 2)
    forge.move(20_000, "a", "dead", "restart_untaken", set={"restart": {"done": 1, "next_ms": START_MS + 22_000}})
    forge.claim(22_000, "a", 2)
    forge.take(22_020, "a")
    forge.succeed(23_000, "a")
    forge.claim(23_500, "b", 1)
    forge.take(23_510, "b")
    forge.succeed(24_000, "b")
    forge.exit(30_000, "a", 2, 0)
    forge.give_up(30_000, "a")
    forge.turn(31_000, "c", "open", 1, 2_000)
    forge.turn(33_000, "c", "half_open", 2)
    forge.turn(34_000, "c", "open", 3, 4_000, reopened=1)
    forge.brake(40_000, on=True)
    forge.move(41_000, "c", "degraded", "silence")
    forge.move(42_000, "c", "unhealthy", "silence")
    forge.brake(50_000, on=False)
    forge.move(50_100, "c", "dead", "silence")
    assert_kept(forge.done())


def _an_order_that_nobody_claimed(forge: Forge) -> None:
    forge.history.orders.append((f"{START_MS}-0", {"id": "a", "rev": "99", "attempt": "3", "epoch": EPOCH}))


def _a_claim_without_an_order(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.history.orders.clear()


def _an_order_of_another_attempt(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.history.orders[0][1]["attempt"] = "2"


def _an_attempt_that_is_not_counted(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.fail(3_000, "a", 0, 1_000)


def _a_number_that_is_left_out(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 2)


def _a_due_time_against_the_schedule(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 900)
    forge.claim(2_000, "a", 1)


def _an_attempt_before_its_time(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(1_999, "a", 1)


def _an_attempt_that_was_never_due(forge: Forge) -> None:
    forge.claim(2_000, "a", 1)


def _a_restart_that_is_not_waited_for(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.take(2_010, "a")
    forge.move(16_999, "a", "dead", "restart_failed", set={"restart": {"done": 1, "next_ms": START_MS + 18_999}})


def _a_taken_one_called_untaken(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.take(2_010, "a")
    forge.move(22_000, "a", "dead", "restart_untaken", set={"restart": {"done": 0, "next_ms": START_MS + 23_000}})


def _a_start_that_is_not_waited_for(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    cause = forge.report(3_000, "a", "restart", ok="1")
    forge.move(3_000, "a", "initializing", "restart", cause=cause, set={"restart": {"awaiting_ms": START_MS + 3_000}})
    forge.move(7_999, "a", "dead", "restart_failed", set={"restart": {"done": 1, "next_ms": START_MS + 9_999}})


def _more_in_flight_than_allowed(forge: Forge) -> None:
    forge.history.settings["restarts_concurrent"] = 1
    forge.register("d", **POLICY)
    for one in ("a", "d"):
        forge.exit(1_000, one, 0, 1_000)
    for one in ("a", "d"):
        forge.claim(2_000, one, 1)


def _more_in_a_minute_than_allowed(forge: Forge) -> None:
    forge.history.settings["restarts_per_minute"] = 1
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.fail(3_000, "a", 1, 2_000)
    forge.claim(61_999, "a", 2)


def _an_execution_that_was_not_claimed(forge: Forge) -> None:
    forge.history.executed.append({"id": "a", "rev": 7, "entry": f"{START_MS}-0", "at_ms": START_MS})


def _an_execution_twice(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.take(2_010, "a")
    forge.history.executed.append(forge.history.executed[0])


def _a_taking_twice(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.take(2_010, "a")
    forge.take(2_020, "a")
    forge.history.executed.pop()


def _an_execution_after_the_next_claim(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.claim(2_000, "a", 1)
    forge.fail(3_000, "a", 1, 2_000)
    forge.claim(5_000, "a", 2)
    entry, order = forge.history.orders[0]
    forge.history.executed.append({"id": "a", "rev": int(order["rev"]), "entry": entry, "at_ms": START_MS + 5_001})


def _a_taking_that_nobody_wanted(forge: Forge) -> None:
    entry = forge.report(5_000, "a", "restart", taken="agent-1", rev="7")
    forge.history.rejected.append({"entry": entry, "channel": "control", "reason": "bad_command"})


def _one_that_is_not_given_up(forge: Forge) -> None:
    forge.spend(2)
    forge.exit(30_000, "a", 2, 0)


def _one_that_is_given_up_too_early(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.give_up(1_000, "a")


def _one_that_is_given_up_in_silence(forge: Forge) -> None:
    forge.spend(2)
    forge.exit(30_000, "a", 2, 0)
    del forge.give_up(30_000, "a")["json"]


def _a_dependant_first(forge: Forge) -> None:
    forge.exit(1_000, "a", 0, 1_000)
    forge.exit(1_000, "b", 0, 1_000)
    forge.claim(2_000, "b", 1)


def _a_death_within_a_mass_failure(forge: Forge) -> None:
    forge.move(1_000, "c", "degraded", "silence")
    forge.move(2_000, "c", "unhealthy", "silence")
    forge.brake(3_000, on=True)
    forge.move(4_000, "c", "dead", "silence")


def _a_restart_within_a_mass_failure(forge: Forge) -> None:
    forge.move(1_000, "a", "unhealthy", "silence")
    forge.move(2_000, "a", "dead", "silence", set={"restart": {"done": 0, "next_ms": START_MS + 3_000}})
    forge.brake(2_500, on=True)
    forge.claim(3_000, "a", 1)


def _a_brake_that_never_lets_go(forge: Forge) -> None:
    forge.brake(1_000, on=True)
    forge.brake(302_001, on=False)


def _a_brake_that_trips_twice(forge: Forge) -> None:
    forge.brake(1_000, on=True)
    forge.brake(2_000, on=True)


def _a_breaker_that_closes_from_open(forge: Forge) -> None:
    forge.turn(1_000, "c", "open", 1, 2_000)
    forge.turn(2_000, "c", "closed", 2)


def _a_breaker_that_leaves_a_generation_out(forge: Forge) -> None:
    forge.turn(1_000, "c", "open", 2, 2_000)


def _a_breaker_that_does_not_double(forge: Forge) -> None:
    forge.turn(1_000, "c", "open", 1, 2_000)
    forge.turn(3_000, "c", "half_open", 2)
    forge.turn(4_000, "c", "open", 3, 2_000)


def _a_death_without_a_proof(forge: Forge) -> None:
    forge.move(1_000, "c", "unhealthy", "exit")
    forge.move(1_000, "c", "dead", "exit")


def _a_death_by_another_report(forge: Forge) -> None:
    cause = forge.report(1_000, "c", "restart", ok="0")
    forge.move(1_000, "c", "unhealthy", "exit", cause=cause)
    forge.move(1_000, "c", "dead", "exit")


FORGERIES: dict[Callable[[Forge], None], str] = {
    _an_order_that_nobody_claimed: "orders_are_claims",
    _a_claim_without_an_order: "orders_are_claims",
    _an_order_of_another_attempt: "orders_are_claims",
    _an_attempt_that_is_not_counted: "attempts_are_counted",
    _a_number_that_is_left_out: "attempts_are_counted",
    _a_due_time_against_the_schedule: "no_attempt_comes_early",
    _an_attempt_before_its_time: "no_attempt_comes_early",
    _an_attempt_that_was_never_due: "no_attempt_comes_early",
    _a_restart_that_is_not_waited_for: "running_restarts_are_waited_for",
    _a_taken_one_called_untaken: "running_restarts_are_waited_for",
    _a_start_that_is_not_waited_for: "running_restarts_are_waited_for",
    _more_in_flight_than_allowed: "the_budget_is_kept",
    _more_in_a_minute_than_allowed: "the_budget_is_kept",
    _an_execution_that_was_not_claimed: "restarts_are_executed_once",
    _an_execution_twice: "restarts_are_executed_once",
    _a_taking_twice: "restarts_are_executed_once",
    _an_execution_after_the_next_claim: "restarts_are_executed_once",
    _a_taking_that_nobody_wanted: "restarts_are_executed_once",
    _one_that_is_not_given_up: "giving_up_follows_the_last_failure",
    _one_that_is_given_up_too_early: "giving_up_follows_the_last_failure",
    _one_that_is_given_up_in_silence: "giving_up_follows_the_last_failure",
    _a_dependant_first: "restarts_go_root_first",
    _a_death_within_a_mass_failure: "the_brake_holds",
    _a_restart_within_a_mass_failure: "the_brake_holds",
    _a_brake_that_never_lets_go: "the_brake_holds",
    _a_brake_that_trips_twice: "the_brake_holds",
    _a_breaker_that_closes_from_open: "breakers_turn_as_they_may",
    _a_breaker_that_leaves_a_generation_out: "breakers_turn_as_they_may",
    _a_breaker_that_does_not_double: "breakers_turn_as_they_may",
    _a_death_without_a_proof: "deaths_have_a_proof",
    _a_death_by_another_report: "deaths_have_a_proof",
}


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__.strip("_"))
def test_a_forged_history_of_failures_is_found_out_by_the_promise_that_it_breaks(
    forge: Callable[[Forge], None],
) -> None:
    forged = begun()
    forge(forged)
    found = violations(forged.done())
    assert list(found) == [FORGERIES[forge]], found


def test_every_promise_of_healing_is_broken_by_some_forgery() -> None:
    assert {promise.__name__ for promise in HEALING} == set(FORGERIES.values())
