"""The fields of a component's record as people and programs are shown them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from healthmon.views.picture import json_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# Title -> fields, in the order in which they are shown. What a later version adds comes under "More".
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "State": (
        *("reason", "since", "previous", "score", "incident", "acknowledged_by"),
        *("silenced_until", "silenced_by", "silenced_reason", "held", "flapping"),
    ),
    "Heartbeats": (
        *("last_heartbeat", "status", "msg", "interval_s", "total_heartbeats", "missed_heartbeats"),
        *("refused_heartbeats", "uptime_seconds", "metrics"),
    ),
    "Restarts": (
        *("restart_method", "restart_count", "restart_attempt", "restart_max", "next_restart_at", "restart_waits"),
        *("restart_deadline", "self_recoveries"),
    ),
    "Checks": ("circuit_breaker_state", "breaker_failures", "breaker_retry_at", "last_probe_at", "probe_detail"),
    "Identity": (
        *("role", "host", "pid", "version", "incarnation", "depends_on", "dependencies_down", "policy"),
        "registered_at",
    ),
    "Record": (
        *("epoch", "rev", "restart_rev", "restart_taken", "restart_token", "born", "folded", "control_folded"),
        "memory",
    ),
}
KNOWN: Final = frozenset(("id", "state", "failure", *(name for names in PARTS.values() for name in names)))
# These are not there before something happens that makes them.
STORED_ONLY: Final = frozenset(("restart_taken", "restart_token"))


def record_json(record: Mapping[str, str]) -> dict[str, Any]:
    """A record for a program, which finds every name, also of what is empty."""
    return json_of({**dict.fromkeys(KNOWN - STORED_ONLY, ""), **record})
