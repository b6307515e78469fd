"""The brake on mass failure: when it trips, whom it holds, and that it always lets go."""

from __future__ import annotations

import pytest

from healthmon.core.blindness import Blindness
from healthmon.core.policy import Defaults
from healthmon.core.rules import Moment, judge
from healthmon.core.table import Table
from healthmon.store.codec import Wire, hash_fields, read_component
from tests.core.shard import Shard, flat

# The specification's stages at a tenth of their time, but for the brake: that is of minutes.
QUICK = Defaults(
    heartbeat_timeout_ms=4_500, degraded_threshold_ms=9_000, dead_threshold_ms=18_000, startup_timeout_ms=5_000
)
RESTART = {"method": "handler", "jitter": False}
PROBE = {"url": "tcp://db:5432", "interval": 1}


class Fleet(Shard):
    """Components c0, c1 …; those that `beats` names send a heartbeat every second."""

    def __init__(self, count: int, defaults: Defaults = QUICK) -> None:
        super().__init__(defaults)
        self.names = [f"c{number}" for number in range(count)]

    def beat(self, names: list[str]) -> None:
        """All of them say ok at this moment."""
        self._seq += len(self.names)
        self.hear(*(flat(self.now_ms, one, self._seq + n, interval=1) for n, one in enumerate(names)))

    def run(self, seconds: int, quiet: int = 0) -> None:
        """Time passes; the first `quiet` components say nothing."""
        for _ in range(seconds):
            self.watch(1)
            self.beat(self.names[quiet:])

    def states(self, first: int = 0, upto: int | None = None) -> set[str]:
        """The states of some of them."""
        return {self.state(one) for one in self.names[first:upto]}

    def trips(self) -> list[float]:
        """When the brake tripped, seconds since the start."""
        return [at_s for at_s, why in self.braked if "fell silent" in why]


def fleet(count: int, defaults: Defaults = QUICK) -> Fleet:
    found = Fleet(count, defaults)
    found.beat(found.names)
    found.run(10)
    return found


# -- tripping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "silent", "trips"),
    [(10, 4, False), (10, 5, True), (17, 5, False), (16, 5, True), (100, 29, False), (100, 30, True)],
)
def test_it_trips_at_5_components_and_30_percent_of_the_fleet(count: int, silent: int, trips: bool) -> None:
    shard = fleet(count)
    shard.run(30, quiet=silent)
    assert bool(shard.braked) is trips
    assert shard.states(0, silent) == {"unhealthy" if trips else "dead"}


def test_it_says_what_happened_once_and_deaths_and_restarts_wait() -> None:
    shard = fleet(100)
    shard.run(60, quiet=40)
    (told,) = shard.braked
    assert told == (
        *(14.5,),
        "mass failure: 40 of 100 components fell silent within 4.5 s; deaths and restarts wait, 5 minutes at most",
    )
    assert [state for _, state in shard.path("c7")] == ["healthy", "degraded", "unhealthy"]
    assert shard.states(40) == {"healthy"}


def test_those_who_fall_silent_one_after_the_other_do_not_trip_it() -> None:
    shard = fleet(20)
    for quiet in range(20):
        shard.run(3, quiet=quiet)
    assert shard.braked == []


def test_the_fleet_is_who_ran_when_they_fell_silent() -> None:
    shard = fleet(40)
    shard.run(30, quiet=6)
    assert shard.states(0, 6) == {"dead"}
    shard.run(10, quiet=16)
    assert shard.braked == [], "10 of 34"
    shard.run(20, quiet=16)
    shard.run(10, quiet=24)
    assert len(shard.trips()) == 1, "8 of 24"


def test_switched_off_it_never_trips() -> None:
    shard = fleet(10, Defaults(**{name: getattr(QUICK, name) for name in QUICK.__slots__} | {"mass_failure": False}))
    shard.run(30, quiet=10)
    assert (shard.braked, shard.states()) == ([], {"dead"})


# -- letting go --------------------------------------------------------------------------------------------------------


def test_it_ends_when_less_than_15_percent_are_silent_and_the_rest_die_then() -> None:
    shard = fleet(100)
    shard.run(30, quiet=40)
    assert shard.states(0, 40) == {"unhealthy"}
    shard.run(2, quiet=15)
    assert len(shard.braked) == 1, "15 of 100"
    shard.run(1, quiet=14)
    assert shard.braked[1:] == [(43, "mass failure is over after 28 s: 14 of 100 components are silent")]
    shard.run(60, quiet=14)
    assert (shard.states(0, 14), shard.states(14)) == ({"dead"}, {"healthy"})
    assert len(shard.trips()) == 1


def test_it_ends_after_five_minutes_and_those_who_are_still_silent_die() -> None:
    shard = fleet(10)
    shard.run(320, quiet=6)
    (tripped_s, _), (ended_s, why) = shard.braked
    assert 300 <= ended_s - tripped_s <= 301
    assert why == "mass failure held for 300 s, the longest: deaths and restarts go on"
    deaths = [at for one in shard.names[:6] for at, state in shard.path(one) if state == "dead"]
    assert len(deaths) == 6
    assert all(0 <= at - ended_s <= 1 for at in deaths)
    shard.run(60, quiet=6)
    assert len(shard.braked) == 2, "the same silence does not trip it again"


def test_an_operator_who_says_that_it_is_real_ends_it() -> None:
    shard = fleet(10)
    shard.run(20, quiet=6)
    shard.set_brake("the mass failure is real, said by alice", 0)
    shard.run(60, quiet=6)
    assert len(shard.braked) == 2
    assert shard.states(0, 6) == {"dead"}


def test_lifted_at_once_it_does_not_trip_again_for_the_same_silence() -> None:
    shard = fleet(10)
    shard.run(5, quiet=6)
    assert shard.table.brake.on
    shard.set_brake("the mass failure is real, said by alice", 0)
    shard.run(5, quiet=6)
    assert len(shard.braked) == 2


def test_no_silence_is_held_longer_than_five_minutes_however_often_it_trips() -> None:
    shard = fleet(10)
    shard.run(10, quiet=1)
    component, dead_ms = shard["c0"], shard["c0"].last_heartbeat_ms + 18_000
    for now_ms, state in ((dead_ms, "unhealthy"), (dead_ms + 299_999, "unhealthy"), (dead_ms + 300_000, "dead")):
        assert judge(component, Moment(now_ms, Blindness(), braked=True)).state.value == state


def test_a_restart_that_is_due_waits_for_the_brake() -> None:
    shard = fleet(10)
    shard.declare("x", restart=RESTART, heartbeat_timeout=1, degraded_threshold=2, dead_threshold=3)
    shard.say("x")
    shard.run(3, quiet=6)
    shard.run(20, quiet=6)
    assert (shard.state("x"), shard["x"].restart.waits) == ("dead", "mass failure")
    shard.set_brake("lifted", 0)
    shard.run(1, quiet=6)
    assert shard.state("x") == "restarting"


# -- proof overrides ---------------------------------------------------------------------------------------------------


def test_reported_exits_are_not_counted_and_not_held() -> None:
    shard = fleet(10)
    for one in shard.names[:6]:
        shard.report("exit", one, code=1)
    shard.run(10, quiet=6)
    assert (shard.braked, shard.states(0, 6)) == ([], {"dead"})
    other = fleet(10)
    other.register("c9", restart=RESTART)
    other.run(10, quiet=6)
    assert other.table.brake.on
    other.report("exit", "c9", code=1)
    assert (other.state("c9"), other.states(0, 6)) == ("dead", {"unhealthy"})
    other.names.remove("c9")
    other.run(10, quiet=6)
    assert other.state("c9") == "restarting"


def probed_fleet(outcome: str, *, others_ok: bool = True, count: int = 6) -> Fleet:
    """Of twelve, six fall silent, and the probes of `count` of these find this."""
    shard = Fleet(12)
    for one in shard.names:
        shard.declare(one, probe=PROBE, breaker={"failure_threshold": 1000})
    shard.beat(shard.names)
    shard.run(5)
    for _ in range(40):
        shard.run(1, quiet=6)
        for one in shard.names[:count]:
            shard.probe(outcome, one)
        if others_ok:
            shard.probe("ok", "c11")
    return shard


def test_a_refused_probe_while_others_succeed_is_neither_counted_nor_held() -> None:
    shard = probed_fleet("refused")
    assert (shard.braked, shard.states(0, 6)) == ([], {"dead"})
    mixed = probed_fleet("refused", count=1)
    assert len(mixed.trips()) == 1
    assert (mixed.state("c0"), mixed.states(1, 6)) == ("dead", {"unhealthy"})


@pytest.mark.parametrize(("outcome", "others_ok"), [("failed", True), ("refused", False)])
def test_a_probe_that_timed_out_or_is_refused_like_all_others_proves_nothing(outcome: str, others_ok: bool) -> None:
    shard = probed_fleet(outcome, others_ok=others_ok)
    assert len(shard.trips()) == 1
    assert shard.states(0, 6) == {"unhealthy"}


def test_one_that_nobody_can_probe_is_held_like_any_other() -> None:
    shard = probed_fleet("ok", count=0)
    assert len(shard.trips()) == 1
    assert shard.states(0, 6) == {"unhealthy"}
    shard.run(280, quiet=6)
    assert shard.states(0, 6) == {"dead"}


# -- another replica ---------------------------------------------------------------------------------------------------


def loaded(shard: Fleet) -> Table:
    """The table of a replica that starts now; records come in any order."""
    table = Table(shard.defaults, Wire())
    for one in reversed(shard.names):
        table.put(read_component(hash_fields(shard[one]), shard.defaults))
    table.seen_ms = shard.table.seen_ms
    table.brake.learn(*shard.brake_said)
    return table


@pytest.mark.parametrize("seconds", [0, 4, 6, 10, 30, 310, 330])
def test_a_replica_that_starts_later_judges_the_brake_as_one_that_saw_it_all(seconds: int) -> None:
    shard = fleet(20)
    shard.run(6, quiet=3)
    shard.run(seconds, quiet=9)
    table, now_ms = loaded(shard), shard.now_ms
    for later_ms in (0, 1_000, 2_000, 4_000, 400_000):
        here, there = (
            one.brake.judge(one.census, now_ms + later_ms, shard.defaults.heartbeat_timeout_ms)
            for one in (shard.table, table)
        )
        assert here == there


def test_after_it_held_for_five_minutes_the_deaths_that_follow_do_not_trip_it_at_the_next_leader() -> None:
    shard = fleet(20)
    shard.run(306, quiet=9)
    assert shard.states(0, 9) == {"dead"}
    table = loaded(shard)
    assert not table.brake.judge(table.census, shard.now_ms, shard.defaults.heartbeat_timeout_ms)


def test_what_an_operator_called_real_does_not_trip_it_at_a_replica_that_starts_later() -> None:
    shard = fleet(20)
    shard.run(6, quiet=9)
    assert shard.table.brake.on
    shard.set_brake("it is real", 0)
    table = loaded(shard)
    assert len(table.census.fallen(shard.now_ms - shard.defaults.heartbeat_timeout_ms)) == 9
    assert not table.brake.judge(table.census, shard.now_ms, shard.defaults.heartbeat_timeout_ms)


def test_whoever_fell_silent_long_before_is_not_counted_at_a_replica_that_starts_later() -> None:
    shard = fleet(20)
    shard.run(12, quiet=5)
    shard.run(6, quiet=7)
    table = loaded(shard)
    assert len(table.census.silent) == 7
    assert not table.brake.judge(table.census, shard.now_ms, shard.defaults.heartbeat_timeout_ms)


def test_records_that_are_read_back_are_counted_once() -> None:
    shard = fleet(20)
    shard.run(5, quiet=4)
    for one in shard.names[:4]:
        shard.table.put(read_component(hash_fields(shard[one]), shard.defaults))
    assert len(shard.table.census.fallen(0)) == 4
