"""The files that `healthmon export` prints: for Prometheus, Grafana, systemd, compose, and the reference of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from healthmon.views import grafana, series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Files = dict[str, str]
UNITS: Final = ("healthmon-monitor.service", "healthmon-gateway.service")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the files depend on. `executable`: the path of `healthmon`; `runbooks`: where the runbooks are read."""

    executable: str
    runbooks: str


def _rules(wanted: Wanted) -> Files:
    return {"healthmon-rules.yml": _stored("prometheus-rules.yml").replace("RUNBOOKS", wanted.runbooks)}


def _grafana(_: Wanted) -> Files:
    return {"healthmon-dashboard.json": grafana.dashboard() + "\n"}


def _systemd(wanted: Wanted) -> Files:
    return {unit: _stored(unit).replace("EXECUTABLE", wanted.executable) for unit in UNITS}


def _compose(_: Wanted) -> Files:
    return {"compose.yml": _stored("compose.yml")}


def _metrics(_: Wanted) -> Files:
    return {"metrics.md": series.page()}


EXPORTS: Final[Mapping[str, Callable[[Wanted], Files]]] = {
    "prometheus-rules": _rules,
    "grafana": _grafana,
    "systemd": _systemd,
    "compose": _compose,
    "metrics": _metrics,
}


def _stored(name: str) -> str:
    return resources.files("healthmon.views").joinpath("exports", name).read_text("utf-8")
