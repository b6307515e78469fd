"""Alerts for Prometheus Alertmanager, by its API v2: it groups, silences, inhibits and reminds by itself.

An alert is known there by its labels: alertname, component, role, severity, source. What changes its severity ends the
one with the former severity in the same call. What fires ends by itself after four times `refresh_s`, so it is told
again until then: if no monitor is left, it is over there, and the rule NoLeader speaks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from healthmon import clock
from healthmon.alerts.webhook import check
from healthmon.core.alert import rfc3339
from healthmon.core.messages import Message
from healthmon.posting import Poster, origin_of

KEPT_REFRESHES: Final = 4
_NAMES: Final = {
    "component": "HealthmonComponent",
    "shard": "HealthmonShard",
    "self": "HealthmonSelf",
    "test": "HealthmonTest",
}


@dataclass
class Alertmanager:
    """Posts to `<url>/api/v2/alerts`. `refresh_s`: how often what fires is told again."""

    url: str = field(repr=False)
    timeout_s: float
    refresh_s: float
    groups: bool = True

    def __post_init__(self) -> None:
        self._poster = Poster(shown=origin_of)

    async def send(self, messages: Sequence[Message]) -> None:
        """All in one call. Raises Undelivered."""
        said = [one for message in messages for one in self._said(message)]
        body = json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json"}
        check(await self._poster.post(f"{self.url.rstrip('/')}/api/v2/alerts", body, headers, self.timeout_s))

    def _said(self, message: Message) -> list[dict[str, Any]]:
        data = message.data
        time_ms = _ms(message.alert["time"])
        resolved = data["status"] == "resolved"
        known_as = message.severity_before or data["severity"]
        found = []
        if message.severity_before and (resolved or known_as != data["severity"]):
            found.append(self._alert(message, known_as, ends_ms=time_ms))
        if not resolved:
            found.append(self._alert(message, data["severity"]))
        return found

    def _alert(self, message: Message, severity: str, ends_ms: int = 0) -> dict[str, Any]:
        data = message.data
        labels = {
            "alertname": _NAMES.get(str(message.alert["type"]).split(".")[2], "Healthmon"),
            "severity": severity,
            "source": message.alert["source"],
            "component": data.get("component_id", ""),
            "role": data.get("role", ""),
            "rule": "" if data.get("component_id") else str(message.alert["type"]).rpartition(".")[2],
        }
        return {
            # Alertmanager knows no empty label.
            "labels": {name: value for name, value in labels.items() if value},
            "annotations": {"summary": data["summary"], "description": data.get("reason", "")},
            "startsAt": rfc3339(min(message.began_ms, ends_ms or message.began_ms)),
            "endsAt": rfc3339(ends_ms or round((clock.unix_s() + KEPT_REFRESHES * self.refresh_s) * 1000)),
        }


def _ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
