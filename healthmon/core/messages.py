"""What a sink is handed: an alert as a CloudEvent, and the few things that some receivers want beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from healthmon.core.alert import rfc3339

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Message:
    """One alert for one sink. `began_ms`: of its incident. `severity_before`: under which it is known there, if so."""

    alert: Mapping[str, Any]
    began_ms: int
    severity_before: str = ""

    @property
    def data(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.alert["data"]
        return found


def message_of(alert: Mapping[str, Any], began_ms: int, at_ms: int, severity_before: str = "") -> Message:
    """The message for an alert made at this moment; one that resolves says how long it was."""
    data = alert["data"]
    if data["status"] == "resolved" and at_ms >= began_ms:
        lasted_ms = at_ms - began_ms
        said = {**data, "lasted_s": lasted_ms / 1000, "summary": f"{data['summary']} (it lasted {lasted(lasted_ms)})"}
        alert = {**alert, "data": said}
    return Message(alert, began_ms, severity_before)


def reminder_of(alert: Mapping[str, Any], began_ms: int, now_ms: int, every_ms: int) -> Message:
    """The alert once more, under an id of its own, which another leader would make alike."""
    number = max(1, (now_ms - began_ms) // every_ms)
    data = alert["data"]
    summary = f"{data['summary']} (for {lasted(now_ms - began_ms)} now)"
    again = {
        **alert,
        "id": f"{alert['id']}/reminder/{number}",
        "time": rfc3339(now_ms),
        "data": {**data, "summary": summary},
    }
    return Message(again, began_ms, data["severity"])


def trial_alert(prefix: str, sink: str, by: str, now_ms: int) -> Message:
    """What `healthmon alerts test` sends."""
    summary = f"a trial of the sink {sink}, sent by {by}: all is well"
    return Message(_own(prefix, f"test/{sink}/{now_ms}", now_ms, summary), now_ms)


def self_alert(prefix: str, replica: str, conditions: Sequence[str], began_ms: int, now_ms: int) -> Message:
    """What a replica says of itself: these conditions have lasted; without any, it is over."""
    if conditions:
        reason = f"{' and '.join(conditions)} for {lasted(now_ms - began_ms)}"
        summary = f"the monitor {replica} is {reason}"
    else:
        reason = f"it lasted {lasted(now_ms - began_ms)}"
        summary = f"the monitor {replica} is well again ({reason})"
    alert = _own(prefix, f"self/{replica}/{began_ms}/{now_ms}", now_ms, summary, reason)
    data = {
        **alert["data"],
        "status": "firing" if conditions else "resolved",
        "severity": "critical" if conditions else "info",
        "replica": replica,
    }
    return Message({**alert, "data": data}, began_ms, "" if conditions else "critical")


def _own(prefix: str, name: str, now_ms: int, summary: str, reason: str = "") -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": f"/{prefix}",
        "type": f"io.healthmon.{name.partition('/')[0]}",
        "time": rfc3339(now_ms),
        "datacontenttype": "application/json",
        "data": {
            "status": "firing",
            "severity": "info",
            "dedup_key": f"{prefix}/{name.partition('/')[0]}",
            "summary": summary,
            "reason": reason or summary,
        },
    }


def lasted(ms: int) -> str:
    """`0.4 s`, `43 s`, `3 m 12 s`, `2 h 4 m`: the two largest units."""
    if ms < 1000:
        return f"{max(0, ms) // 100 / 10:g} s"
    seconds = ms // 1000
    parts: list[str] = []
    for unit, name in _UNITS:
        count, seconds = divmod(seconds, unit)
        if count or parts:
            parts.append(f"{count} {name}" if count else "")
    return " ".join(part for part in parts[:2] if part)
