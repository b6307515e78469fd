"""The names of the specification's examples, from one place: `from healthmon.integration import ...`."""

from __future__ import annotations

from healthmon.agent.helper import HeartbeatHelper
from healthmon.core.component import HealthState
from healthmon.core.event import EventType
from healthmon.core.health import ComponentHealth, HealthMetrics
from healthmon.core.restart import RestartPolicy
from healthmon.core.roles import ComponentRole
from healthmon.monitor_api import DistributedHealthMonitor, get_health_monitor

__all__ = [
    "ComponentHealth",
    "ComponentRole",
    "DistributedHealthMonitor",
    "EventType",
    "HealthMetrics",
    "HealthState",
    "HeartbeatHelper",
    "RestartPolicy",
    "get_health_monitor",
]
