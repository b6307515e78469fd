"""Whether a sink is told of an alert now, later, or not: one incident, what each sink knows of it, and the verdict.

Edge-triggered: a sink is told when an incident begins, when it gets worse than what it was told, and when it is over.
What is held (a dependency that was told, a mass failure, a silence, an acknowledgement) is kept, and told when the
reason is gone and the incident is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeGuard

from healthmon.core.component import SILENCE
from healthmon.core.guard import RULE as MASS_FAILURE

_RANKS: Final = {"degraded": 1, "unhealthy": 2, "dead": 3, "permanently_failed": 4}
# Told whenever it is said: that it flaps, the digests, and how it ends. At most one in ten minutes.
_FLAPPING: Final = "flapping"
_RESTARTING: Final = "restarting"
INHIBITED: Final = "inhibited"


class Verdict(StrEnum):
    """What becomes of an alert for one sink."""

    SEND = "send"
    HOLD = "hold"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Overlay:
    """What people laid over a component: silenced until (ms, 0 for not), acknowledged by ("" for nobody)."""

    silenced_until_ms: int = 0
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every sink. `wait_ms`: how long a reason for holding must be gone before what it held is told.

    `remind_ms`: how often an incident is told again while it lasts, 0 for never.
    """

    wait_ms: int = 10_000
    remind_ms: int = 0
    tell_restarting: bool = False


@dataclass(slots=True)
class Told:
    """What one sink knows of an incident: the worst that it was told and when; why it is kept waiting.

    `took`: alerts that are done with for this sink, and not yet for another. `free_ms`: since when nothing holds it.
    """

    rank: int = 0
    severity: str = ""
    at_ms: int = 0
    held: str = ""
    took: list[str] = field(default_factory=list)
    free_ms: int = 0


@dataclass(slots=True)
class Incident:
    """From its first alert until every sink that was told knows that it is over. `alert`: the latest one.

    `silent`: its latest alert is about silence. `notice`: it never resolves, and is kept until it is told.
    """

    key: str
    alert: Mapping[str, Any]
    began_ms: int
    silent: bool = False
    notice: bool = False
    sinks: dict[str, Told] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return bool(self.alert["data"]["status"] == "resolved")

    @property
    def component_id(self) -> str:
        return str(self.alert["data"].get("component_id", ""))

    def to_dict(self) -> dict[str, Any]:
        """What is stored of it."""
        sinks = {
            name: {"rank": one.rank, "severity": one.severity, "at": one.at_ms, "held": one.held, "took": one.took}
            for name, one in self.sinks.items()
        }
        return {
            "began": self.began_ms,
            "silent": self.silent,
            "notice": self.notice,
            "sinks": sinks,
            "alert": self.alert,
        }


def read_incident(key: str, said: Mapping[str, Any]) -> Incident | None:
    """An incident as it was stored; None when that can't be one."""
    try:
        sinks = {
            str(name): Told(int(one["rank"]), str(one["severity"]), int(one["at"]), str(one["held"]), list(one["took"]))
            for name, one in said["sinks"].items()
        }
        alert = said["alert"]
        found = Incident(key, alert, int(said["began"]), bool(said["silent"]), bool(said["notice"]), sinks)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return found if is_alert(alert) else None


def is_alert(alert: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this is an alert as healthmon writes it: whoever may write to Redis may have written it."""
    if not isinstance(alert, Mapping) or not isinstance(alert.get("data"), Mapping):
        return False
    data = alert["data"]
    texts = [alert.get(name) for name in ("id", "source", "type", "time")]
    texts += [data.get("summary"), data.get("dedup_key")]
    texts += [data.get(name, "") for name in ("component_id", "role", "incident", "reason", "new_state")]
    return (
        all(isinstance(text, str) for text in texts)
        and data.get("status") in ("firing", "resolved")
        and data.get("severity") in ("info", "warning", "error", "critical")
    )


def key_of(alert: Mapping[str, Any]) -> str:
    """Which incident an alert is of. A notice of the shard, which never resolves, is one of its own."""
    data = alert["data"]
    if data.get("incident"):
        return str(data["incident"])
    return str(alert["id"] if is_notice(alert) else data["dedup_key"])


def is_notice(alert: Mapping[str, Any]) -> bool:
    """Whether nothing will ever say that it is over."""
    return not alert["data"].get("component_id") and not str(alert.get("type", "")).endswith(f".{MASS_FAILURE}")


def rank_of(alert: Mapping[str, Any]) -> int:
    """How bad what it tells is: 1 degraded to 4 given up; what is no state of a component counts as the worst."""
    kind = alert["data"].get("new_state")
    return _RANKS.get(str(kind), 0) if kind else 4


def take_in(alert: Mapping[str, Any], rule: str, at_ms: int, known: Incident | None) -> Incident:
    """The incident with this alert as its latest; a new one where none is known."""
    incident = known or Incident(key_of(alert), alert, _began_ms(alert, at_ms), notice=is_notice(alert))
    if incident.over and alert["data"]["status"] == "firing" and alert["time"] > incident.alert["time"]:
        incident.began_ms = _began_ms(alert, at_ms)
    if alert["time"] >= incident.alert["time"]:  # one that comes again after a crash may be older
        incident.alert, incident.silent = alert, rule in SILENCE
    return incident


def _began_ms(alert: Mapping[str, Any], at_ms: int) -> int:
    """An incident is named by its component and its first moment, so that every replica knows how long it is."""
    ms = str(alert["data"].get("incident", "")).rpartition("@")[2]
    return int(ms) if ms.isascii() and ms.isdigit() else at_ms


@dataclass(slots=True)
class Judge:
    """Knows the incidents of a shard, and what each sink may be told. `overlay` tells what lies over a component."""

    rules: Rules
    overlay: Callable[[str], Overlay]
    incidents: dict[str, Incident] = field(default_factory=dict)

    def judge(
        self, incident: Incident, alert: Mapping[str, Any], sink: str, now_ms: int, *, every_change: bool = False
    ) -> tuple[Verdict, str]:
        """What becomes of an alert for one sink, and why it is held. `every_change`: it is told of improvements too."""
        told = incident.sinks.setdefault(sink, Told())
        if alert["data"]["status"] == "resolved":
            return (Verdict.SEND if told.rank else Verdict.SKIP), ""
        if not incident.notice and not self._is_news(alert, told, every_change=every_change):
            return Verdict.SKIP, ""
        why = self.why_held(incident, sink, now_ms)
        return (Verdict.HOLD if why else Verdict.SEND), why

    def _is_news(self, alert: Mapping[str, Any], told: Told, *, every_change: bool) -> bool:
        kind, rank = alert["data"].get("new_state"), rank_of(alert)
        if kind == _FLAPPING or (kind == _RESTARTING and self.rules.tell_restarting):
            return True
        if every_change and rank:
            return bool(alert["data"]["severity"] != told.severity)
        return rank > told.rank

    def why_held(self, incident: Incident, sink: str, now_ms: int) -> str:
        """Why a firing incident is not told to a sink now, "" for no reason."""
        if not incident.component_id:
            return ""
        overlay = self.overlay(incident.component_id)
        if overlay.silenced_until_ms > now_ms:
            return "silenced"
        if overlay.acknowledged_by:
            return f"acknowledged by {overlay.acknowledged_by}"
        for cause in _causes(incident.alert):
            if self._explains(self.incidents.get(cause), sink):
                return f"{INHIBITED} by {cause}"
        if incident.silent and self._explains(self._mass_failure(incident), sink):
            return f"{INHIBITED} by {MASS_FAILURE}"
        return ""

    def _explains(self, cause: Incident | None, sink: str) -> bool:
        """Whether the sink knows of the cause, or of what explains that one in turn; and it is not over."""
        if cause is None or cause.over:
            return False
        told = cause.sinks.get(sink)
        return told is not None and (told.rank > 0 or told.held.startswith(INHIBITED))

    def _mass_failure(self, incident: Incident) -> Incident | None:
        """The alert of the shard whose component this is: `healthmon/0/mass_failure`."""
        return self.incidents.get(f"{str(incident.alert['source']).lstrip('/')}/{MASS_FAILURE}")

    def released(self, incident: Incident, sink: str, now_ms: int) -> bool:
        """Whether what was held for a sink may be told now: nothing has held it for `wait_ms`, and it is not over.

        A silence and an acknowledgement were ended by somebody's will: what they held is told at once.
        """
        told = incident.sinks[sink]
        if not told.held or incident.over:
            return False
        why = self.why_held(incident, sink, now_ms)
        if why:
            told.held, told.free_ms = why, 0
            return False
        told.free_ms = told.free_ms or now_ms
        return not told.held.startswith(INHIBITED) or now_ms - told.free_ms >= self.rules.wait_ms

    def reminds(self, incident: Incident, sink: str, now_ms: int) -> bool:
        """Whether a sink is due to be told again of what lasts."""
        told, every_ms = incident.sinks[sink], self.rules.remind_ms
        if not every_ms or incident.over or incident.notice or not told.rank or told.held:
            return False
        return now_ms - told.at_ms >= every_ms and not self.why_held(incident, sink, now_ms)


def note_sent(told: Told, alert: Mapping[str, Any], now_ms: int) -> None:
    """A sink took this alert."""
    data = alert["data"]
    if data["status"] == "resolved":
        told.rank = 0
    else:
        told.rank = max(told.rank, rank_of(alert), 1)
        told.severity = str(data["severity"])
    told.at_ms, told.held, told.free_ms = now_ms, "", 0


def _causes(alert: Mapping[str, Any]) -> Sequence[str]:
    causes = alert["data"].get("inhibited_by", ())
    return [str(one) for one in causes] if isinstance(causes, list) else []
