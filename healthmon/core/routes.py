"""Which sinks an alert is for: by severity, role and id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

# From harmless to worst; a route takes its own severity and all that are worse.
SEVERITIES: Final = ("info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts that fit all of its parts go to its sinks. An empty part fits all; roles and ids are patterns with `*`."""

    sinks: tuple[str, ...]
    severity: str = "info"
    roles: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def takes(self, alert: Mapping[str, Any]) -> bool:
        """Whether an alert fits. One of the shard or of a replica has neither role nor id."""
        data = alert["data"]
        if SEVERITIES.index(data["severity"]) < SEVERITIES.index(self.severity):
            return False
        return _fits(data.get("role", ""), self.roles) and _fits(data.get("component_id", ""), self.ids)


def sinks_for(alert: Mapping[str, Any], routes: Sequence[Route], every: Sequence[str]) -> tuple[str, ...]:
    """The sinks of every route that takes it, in the order of `every`; without routes all.

    What no route takes is told to nobody, except of the monitor itself (no component): that goes to all.
    """
    wanted = {sink for route in routes if route.takes(alert) for sink in route.sinks}
    if not routes or (not wanted and not alert["data"].get("component_id")):
        return tuple(every)
    return tuple(sink for sink in every if sink in wanted)


def _fits(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
