"""What `/metrics` shows of a replica: its table, its counts, and what it is at the moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from healthmon import clock
from healthmon.core.lease import GATEWAY
from healthmon.monitor.replica import Replica
from healthmon.settings import ServingSettings
from healthmon.views.collector import HealthCollector, Standing


def collector_of(
    replica: Replica,
    settings: ServingSettings,
    accepted: Mapping[str, int],
    refused: Mapping[str, int],
    folders: Callable[[], Mapping[str, int]] = dict,
) -> HealthCollector:
    """The collector of one replica. The others are of this process's own doors: see HealthCollector."""
    parts = replica.parts
    return HealthCollector(
        parts.table,
        parts.measures,
        lambda: standing_of(replica),
        settings.metrics_max_components,
        accepted,
        refused,
        folders,
        settings.metrics_specification,
        settings.metrics_everywhere,
    )


def standing_of(replica: Replica) -> Standing:
    """Who the replica is and whether it leads, now."""
    parts, leadership = replica.parts, replica.leadership
    now_ms, unix_s = parts.time.now_ms(), clock.unix_s()
    left_s = leadership.ends_s - clock.monotonic_s() if leadership is not None else 0.0
    return Standing(
        replica=replica.settings.replica_id,
        leads=leadership is not None,
        may_lead=replica.stands_by_as != GATEWAY,
        epoch=leadership.lease.epoch if leadership is not None else parts.repair.epoch_floor,
        now_ms=now_ms,
        skew_s=now_ms / 1000 - unix_s if now_ms else 0.0,
        lease_until_s=unix_s + left_s if leadership is not None else 0.0,
    )
