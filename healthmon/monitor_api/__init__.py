"""The Python face: a monitor object is one replica of the cluster and a client of it."""

from __future__ import annotations

from healthmon.monitor_api.api import DistributedHealthMonitor, get_health_monitor

__all__ = ["DistributedHealthMonitor", "get_health_monitor"]
