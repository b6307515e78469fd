"""Self-healing health monitoring for fleets of components, on Redis.

Nothing is imported before it is used: `import healthmon` costs nothing, and connects to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from healthmon.agent.helper import HeartbeatHelper
    from healthmon.core.circuit import CircuitState
    from healthmon.core.component import HealthState
    from healthmon.core.event import EventType
    from healthmon.core.health import ComponentHealth, EventsMissed, HealthEvent, HealthMetrics
    from healthmon.core.restart import RestartPolicy
    from healthmon.core.roles import ComponentRole
    from healthmon.errors import (
        ConfigurationError,
        HealthmonError,
        NoLeader,
        NoSuchComponent,
        NotPermitted,
        Refused,
        StoreUnavailable,
    )
    from healthmon.monitor_api import DistributedHealthMonitor, get_health_monitor

__version__ = "0.1.0"

_ERRORS = "ConfigurationError HealthmonError NoLeader NoSuchComponent NotPermitted Refused StoreUnavailable"
_HOMES = {
    "DistributedHealthMonitor": "healthmon.monitor_api",
    "get_health_monitor": "healthmon.monitor_api",
    "HeartbeatHelper": "healthmon.agent.helper",
    "CircuitState": "healthmon.core.circuit",
    "HealthState": "healthmon.core.component",
    "EventType": "healthmon.core.event",
    "ComponentHealth": "healthmon.core.health",
    "EventsMissed": "healthmon.core.health",
    "HealthEvent": "healthmon.core.health",
    "HealthMetrics": "healthmon.core.health",
    "RestartPolicy": "healthmon.core.restart",
    "ComponentRole": "healthmon.core.roles",
    **dict.fromkeys(_ERRORS.split(), "healthmon.errors"),
}

__all__ = [
    "CircuitState",
    "ComponentHealth",
    "ComponentRole",
    "ConfigurationError",
    "DistributedHealthMonitor",
    "EventType",
    "EventsMissed",
    "HealthEvent",
    "HealthMetrics",
    "HealthState",
    "HealthmonError",
    "HeartbeatHelper",
    "NoLeader",
    "NoSuchComponent",
    "NotPermitted",
    "Refused",
    "RestartPolicy",
    "StoreUnavailable",
    "get_health_monitor",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'healthmon' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
