"""So many messages in a window and no more: what comes beyond is gathered, and told as one at the window's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from healthmon.core.incidents import rank_of
from healthmon.core.routes import SEVERITIES

NAMED_MAX: Final = 20
IDS_MAX: Final = 1000


@dataclass(slots=True)
class Window:
    """Counts the messages of one sink. A window begins with a message, and lets `cap` of them through."""

    window_ms: int
    cap: int
    began_ms: int = 0
    count: int = 0

    def admits(self, now_ms: int) -> bool:
        """Whether one more message may be sent now; if so it is counted."""
        if not self.is_open(now_ms):
            self.began_ms, self.count = now_ms, 0
        if self.count >= self.cap:
            return False
        self.count += 1
        return True

    def is_open(self, now_ms: int) -> bool:
        """Whether the last window still lasts. A clock that went back ends it."""
        return bool(self.count) and 0 <= now_ms - self.began_ms < self.window_ms

    @property
    def ends_ms(self) -> int:
        return self.began_ms + self.window_ms


def storm_of(alerts: Sequence[Mapping[str, Any]], sink: str, window_ms: int) -> dict[str, Any]:
    """One alert that stands for several (the oldest first), with the worst of them in its summary.

    Its id comes from the first of them: told again after a crash, it is known by it.
    """
    first, worst = alerts[0], max(alerts, key=_badness)
    ordered = sorted(alerts, key=_badness, reverse=True)
    firing = sum(one["data"]["status"] == "firing" for one in alerts)
    parts = [f"{count} {word}" for count, word in ((firing, "firing"), (len(alerts) - firing, "resolved")) if count]
    ids = [one["id"] for one in alerts]
    return {
        "specversion": "1.0",
        "id": f"{first['id']}/storm/{sink}",
        "source": first["source"],
        "type": "io.healthmon.storm",
        "time": max(one["time"] for one in alerts),
        "datacontenttype": "application/json",
        "data": {
            "status": "firing" if firing else "resolved",
            "severity": worst["data"]["severity"],
            "dedup_key": f"{first['id']}/storm",
            "summary": f"{' and '.join(parts)} more within {window_ms / 1000:g} s; the worst: "
            f"{worst['data']['summary']}",
            "reason": f"more than the sink takes in {window_ms / 1000:g} s",
            "count": len(alerts),
            "worst": [_named(one) for one in ordered[:NAMED_MAX]],
            "ids": ids[:IDS_MAX],
        },
    }


def _badness(alert: Mapping[str, Any]) -> tuple[bool, int, int]:
    data = alert["data"]
    return data["status"] == "firing", SEVERITIES.index(data["severity"]), rank_of(alert)


def _named(alert: Mapping[str, Any]) -> dict[str, Any]:
    data = alert["data"]
    return {
        "id": alert["id"],
        "component_id": data.get("component_id", ""),
        "status": data["status"],
        "severity": data["severity"],
        "summary": data["summary"],
    }
