"""The names of the specification's examples, from one place: `from healthmon.integration import ...`."""

from __future__ import annotations

from healthmon.agent.helper import HeartbeatHelper
from healthmon.agent.ownership import Ownership, OwnershipCoordinator, get_unified_coordinator
from healthmon.core.circuit import CircuitState
from healthmon.core.component import HealthState
from healthmon.core.event import EventType, TrinityEventType
from healthmon.core.health import ComponentHealth, EventsMissed, HealthEvent, HealthMetrics
from healthmon.core.restart import RestartPolicy
from healthmon.core.roles import ComponentRole, ComponentType, EntryPoint
from healthmon.monitor_api import DistributedHealthMonitor, get_health_monitor
from healthmon.monitor_api.bridge import EventBridge, create_event_bridge, create_trinity_bridge

__all__ = [
    "CircuitState",
    "ComponentHealth",
    "ComponentRole",
    "ComponentType",
    "DistributedHealthMonitor",
    "EntryPoint",
    "EventBridge",
    "EventType",
    "EventsMissed",
    "HealthEvent",
    "HealthMetrics",
    "HealthState",
    "HeartbeatHelper",
    "Ownership",
    "OwnershipCoordinator",
    "RestartPolicy",
    "TrinityEventType",
    "create_event_bridge",
    "create_trinity_bridge",
    "get_health_monitor",
    "get_unified_coordinator",
]
