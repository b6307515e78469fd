"""Self-healing health monitoring for fleets of components, on Redis.

Nothing is imported before it is used: `import healthmon` costs nothing, and connects to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from healthmon.agent.helper import HeartbeatHelper
    from healthmon.agent.ownership import get_unified_coordinator
    from healthmon.core.circuit import CircuitState
    from healthmon.core.component import HealthState
    from healthmon.core.event import EventType, TrinityEventType
    from healthmon.core.health import ComponentHealth, EventsMissed, HealthEvent, HealthMetrics
    from healthmon.core.restart import RestartPolicy
    from healthmon.core.roles import ComponentRole, ComponentType, EntryPoint
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
    from healthmon.monitor_api.bridge import EventBridge, create_event_bridge, create_trinity_bridge

__version__ = "0.1.0"

_ERRORS = "ConfigurationError HealthmonError NoLeader NoSuchComponent NotPermitted Refused StoreUnavailable"
_HOMES = {
    "DistributedHealthMonitor": "healthmon.monitor_api",
    "get_health_monitor": "healthmon.monitor_api",
    "EventBridge": "healthmon.monitor_api.bridge",
    "create_event_bridge": "healthmon.monitor_api.bridge",
    "create_trinity_bridge": "healthmon.monitor_api.bridge",
    "HeartbeatHelper": "healthmon.agent.helper",
    "get_unified_coordinator": "healthmon.agent.ownership",
    "CircuitState": "healthmon.core.circuit",
    "HealthState": "healthmon.core.component",
    "EventType": "healthmon.core.event",
    "TrinityEventType": "healthmon.core.event",
    "ComponentHealth": "healthmon.core.health",
    "EventsMissed": "healthmon.core.health",
    "HealthEvent": "healthmon.core.health",
    "HealthMetrics": "healthmon.core.health",
    "RestartPolicy": "healthmon.core.restart",
    "ComponentRole": "healthmon.core.roles",
    "ComponentType": "healthmon.core.roles",
    "EntryPoint": "healthmon.core.roles",
    **dict.fromkeys(_ERRORS.split(), "healthmon.errors"),
}

__all__ = [
    "CircuitState",
    "ComponentHealth",
    "ComponentRole",
    "ComponentType",
    "ConfigurationError",
    "DistributedHealthMonitor",
    "EntryPoint",
    "EventBridge",
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
    "TrinityEventType",
    "create_event_bridge",
    "create_trinity_bridge",
    "get_health_monitor",
    "get_unified_coordinator",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'healthmon' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
