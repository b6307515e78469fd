"""Alerts as healthmon writes them, for tests of what is done with them."""

from __future__ import annotations

from typing import Any

SEVERITY = {"degraded": "warning", "unhealthy": "error", "dead": "critical", "permanently_failed": "critical"}
T0 = "2026-11-23T19:31:02.114Z"


def alert(
    component: str,
    state: str,
    *,
    rev: int = 1,
    status: str = "firing",
    time: str = T0,
    incident: str = "",
    causes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """An alert of a component; its incident began at 1000 ms unless given."""
    return {
        "specversion": "1.0",
        "id": f"0/{component}/1795460000000/{rev}",
        "source": "/healthmon/0",
        "type": f"io.healthmon.component.{state}",
        "subject": component,
        "time": time,
        "datacontenttype": "application/json",
        "data": {
            "status": status,
            "severity": SEVERITY.get(state, "info"),
            "dedup_key": f"healthmon/{component}",
            "incident": incident or f"{component}@1000",
            "component_id": component,
            "role": "web",
            "new_state": state,
            "summary": f"{component} is {state}: it is quiet",
            "reason": "it is quiet",
            **({"inhibited_by": list(causes)} if causes else {}),
        },
    }


def mass_failure(*, status: str = "firing", number: int = 7) -> dict[str, Any]:
    """The alert of the shard that much of the fleet fell silent."""
    return {
        "specversion": "1.0",
        "id": f"0//generation/{number}",
        "source": "/healthmon/0",
        "type": "io.healthmon.shard.mass_failure",
        "time": T0,
        "datacontenttype": "application/json",
        "data": {
            "status": status,
            "severity": "warning",
            "dedup_key": "healthmon/0/mass_failure",
            "summary": "mass failure",
            "reason": "mass failure",
        },
    }
