"""A component that is restarted, and one that is probed, at a pace that suits tests."""

from __future__ import annotations

from typing import Any

from healthmon.core.policy import Defaults
from tests.core.shard import Shard

# Stages at 1, 2 and 4 s; a restart may take 3 s, and 5 s pass until the restarted one must be heard from.
QUICK = Defaults(
    heartbeat_timeout_ms=1_000,
    degraded_threshold_ms=2_000,
    dead_threshold_ms=4_000,
    startup_timeout_ms=5_000,
    restart_timeout_ms=3_000,
    reset_after_ms=30_000,
    forget_after_ms=10**9,
)
RESTART = {"method": "handler", "base_delay": 5, "jitter": False, "max_retries": 2}
PROBE = {"url": "tcp://db:5432", "interval": 0.5, "timeout": 0.4}
STAGES = {"heartbeat_timeout": 1, "degraded_threshold": 2, "dead_threshold": 4}
PATIENT = {"failure_threshold": 1000}


def shard_of(defaults: Defaults = QUICK, /, **policy: Any) -> Shard:
    shard = Shard(defaults)
    shard.declare(**policy)
    return shard


def supervised(**restart: Any) -> Shard:
    """One that is restarted, heard from once as its incarnation i1."""
    shard = shard_of(restart={**RESTART, **restart})
    shard.say(incarnation="i1")
    return shard


def claimed(**restart: Any) -> Shard:
    """Its first restart was just claimed: dead since 4 s, due at 9 s."""
    shard = supervised(**restart)
    shard.watch(9)
    assert shard.path()[-2:] == [(4, "dead"), (9, "restarting")]
    return shard


def take(shard: Shard, by: str = "mon-a") -> None:
    shard.report("restart", rev=shard["a"].restart.rev, taken=by)
