"""What is counted over a shard equals a recount of its records, whatever came, went and changed."""

from __future__ import annotations

import contextlib
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.census import Census
from healthmon.core.component import SILENCE, WORSE, HealthState
from healthmon.core.event import EventType
from healthmon.core.policy import Defaults
from healthmon.core.table import Table
from healthmon.errors import Refused
from healthmon.store.codec import hash_fields, read_component
from tests.core.shard import Shard

DEFAULTS = Defaults(
    heartbeat_timeout_ms=2_000,
    degraded_threshold_ms=4_000,
    dead_threshold_ms=8_000,
    startup_timeout_ms=3_000,
    restart_timeout_ms=2_000,
    reset_after_ms=20_000,
    forget_after_ms=30_000,
    forget_after_unknown_ms=10_000,
)
NAMES = ("a", "b", "c", "d")
POLICIES: tuple[dict[str, object], ...] = (
    {},
    {"heartbeat_timeout": 3, "depends_on": ["b", "nobody"]},
    {"restart": {"method": "handler", "max_retries": 1}, "depends_on": ["c"]},
    {"probe": {"url": "tcp://x:1", "interval": 1}},
    {"restart": {"method": "agent", "base_delay": 1}, "probe": {"url": "tcp://x:1"}, "dead_threshold": 5},
)


def recounted(table: Table) -> dict[str, object]:
    """The counts from the records alone."""
    records = list(table.components.values())
    silent = [one for one in records if one.rule in SILENCE and WORSE[one.state]]
    running = (HealthState.HEALTHY, HealthState.DEGRADED, HealthState.INITIALIZING)
    return {
        "states": Counter(one.state for one in records),
        "silent": {one.id for one in silent},
        "silent_running": sum(1 for one in silent if one.state is HealthState.DEGRADED),
        "due": {one.id for one in records if one.state is HealthState.DEAD and one.restart.next_ms},
        "probed": {one.id for one in records if one.limits.probe is not None},
        "dependants": {(on, one.id) for one in records for on in one.policy.depends_on},
        "running": sum(1 for one in records if one.state in running),
        "longest": max((one.limits.timeout_ms for one in records), default=7),
        "canary": min([1_000, *(max(5, one.limits.timeout_ms // 6) for one in records)]),
        "fallen": {one.id for one in silent if one.silent_ms > table.seen_ms - 2_000},
        "since": sum(1 for one in silent if one.silent_ms > table.seen_ms - 5_000),
    }


def counted(census: Census, now_ms: int) -> dict[str, object]:
    """The same of what was kept up to date; zeros may not stay behind."""
    assert all(census.states.values())
    return {
        "states": census.states,
        "silent": set(census.silent),
        "silent_running": census.silent_running,
        "due": set(census.due),
        "probed": set(census.probed),
        "dependants": {(on, one) for on, ones in census.dependants.items() for one in ones},
        "running": census.running,
        "longest": census.longest_timeout_ms(7),
        "canary": census.canary_ms,
        "fallen": census.fallen(now_ms - 2_000),
        "since": census.silent_since(now_ms - 5_000),
    }


def step(shard: Shard, kind: int, who: str, choice: int) -> None:
    """Something happens to a shard."""
    known = who in shard.table.components
    if kind < 6:
        shard.say(who, **({}, {"interval": 1.5}, {"status": "failing"}, {"status": "stopping"})[choice % 4])
    elif kind < 10:
        shard.watch((0.5, 2.5, 5, 9)[choice % 4])
    elif kind == 10:
        shard.go_blind((4, 1_000)[choice % 2])
    elif not known:
        shard.declare(who, **POLICIES[choice % len(POLICIES)])
    elif kind == 11:
        shard.register(who, **POLICIES[choice % len(POLICIES)])
    elif kind == 12:
        shard.probe(("failed", "ok")[choice % 2], who)
    elif kind == 13:
        shard.table.put(read_component(hash_fields(shard[who]), DEFAULTS))
    elif kind == 14:
        shard.table.drop(who)
    else:
        shard.ask(*(("hold", who), ("resume", who), ("restart", who), ("revive", who))[choice % 4])


@given(st.binary(min_size=6, max_size=60))
def test_the_census_equals_a_recount_of_the_table_after_anything(drawn: bytes) -> None:
    shard = Shard(DEFAULTS)
    for kind, choice in zip(drawn[::2], drawn[1::2], strict=False):
        with contextlib.suppress(Refused):
            step(shard, kind % 16, NAMES[kind // 16 % len(NAMES)], choice)
        assert counted(shard.table.census, shard.table.seen_ms) == recounted(shard.table)


def test_claims_are_counted_for_a_minute() -> None:
    shard = Shard(DEFAULTS)
    for one in ("x", "y"):
        shard.declare(one, restart={"method": "handler"})
        shard.ask("restart", one)
        shard.watch(30)
    census = shard.table.census
    claims = [one.at_ms for one in shard.events if one.type is EventType.TRANSITION and one.target == "restarting"]
    for now_ms in range(shard.now_ms, shard.now_ms + 90_000, 500):
        assert census.claimed(now_ms) == sum(1 for at_ms in claims if now_ms - 60_000 < at_ms)


def test_a_replica_that_starts_later_knows_when_a_probe_last_succeeded() -> None:
    shard = Shard(DEFAULTS)
    shard.declare(probe={"url": "tcp://x:1"})
    shard.watch(1)
    shard.probe()
    table = Table(DEFAULTS, shard.table.wire)
    table.put(read_component(hash_fields(shard["a"]), DEFAULTS))
    assert table.census.probed_ok_ms == shard.table.census.probed_ok_ms == shard.now_ms
