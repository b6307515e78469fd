"""The Grafana dashboard over the names of `/metrics`, as the JSON that Grafana imports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from healthmon.views.states import LOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from healthmon.views.states import Tone

WIDTH: Final = 24
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
# The page's tones on a dark ground.
_COLOURS: Final[dict[Tone, str]] = {
    "ok": "#97F5CC",
    "warn": "#F8E076",
    "bad": "#EE443F",
    "busy": "#5C85D6",
    "none": "#8D8D8D",
}
_UP: Final[list[dict[str, Any]]] = [{"color": _COLOURS["bad"], "value": None}, {"color": _COLOURS["ok"], "value": 1}]
_FEW: Final[list[dict[str, Any]]] = [{"color": _COLOURS["ok"], "value": None}, {"color": _COLOURS["bad"], "value": 1}]
# The components of the chosen installation and roles.
_HERE: Final = 'job=~"$job"'
_THEIR: Final = 'job=~"$job",role=~"$role"'


def dashboard() -> str:
    """One dashboard: counts, problems, states over time, restarts, detection delay, the cluster, deliveries."""
    return json.dumps(
        {
            "uid": "healthmon",
            "title": "healthmon",
            "tags": ["healthmon"],
            "schemaVersion": 38,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": list(_variables())},
            "panels": _placed(list(_panels())),
        },
        indent=2,
        ensure_ascii=False,
    )


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    for name, query in {
        "job": "label_values(healthmon_build_info, job)",
        "role": 'label_values(healthmon_components{job=~"$job"}, role)',
    }.items():
        yield {
            "name": name,
            "type": "query",
            "datasource": _SOURCE,
            "query": query,
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


def _panels() -> Iterator[dict[str, Any]]:
    yield from _fleet()
    yield from _work()
    yield from _itself()


def _fleet() -> Iterator[dict[str, Any]]:
    for look in LOOKS.values():
        query = f'sum(healthmon_components{{{_THEIR},state="{look.state.value}"}})'
        steps: list[dict[str, Any]] = [
            {"color": _COLOURS["none"], "value": None},
            {"color": _COLOURS[look.tone], "value": 1},
        ]
        yield _panel("stat", f"{look.shape} {look.word}", [(query, "")], width=3, height=4, steps=steps)
    problems = f'healthmon_component_state{{{_THEIR},state=~"permanently_failed|dead|unhealthy|degraded"}} == 1'
    since = f"healthmon_component_state_since_timestamp_seconds{{{_THEIR}}} * 1000"
    table = _panel("table", "Needs attention", [(problems, ""), (f"{since} and on (job, component) ({problems})", "")])
    for target in table["targets"]:
        target.update(format="table", instant=True)
    table["transformations"] = [{"id": "joinByField", "options": {"byField": "component", "mode": "outer"}}]
    yield table
    yield _panel(
        "timeseries",
        "Components without series of their own",
        [(f"healthmon_metrics_components_omitted{{{_HERE}}}", "omitted")],
        width=12,
    )
    states = f"sum by (state) (healthmon_components{{{_THEIR}}})"
    yield _panel("timeseries", "Components by state", [(states, "{{state}}")], width=12)
    number = " or ".join(
        f'(healthmon_component_state{{{_THEIR},state="{look.state.value}"}} == 1) * {look.order}'
        for look in LOOKS.values()
        if look.state.value != "healthy"
    )
    timeline = _panel("state-timeline", "States of those that are not healthy", [(number, "{{component}}")], height=10)
    timeline["fieldConfig"]["defaults"]["mappings"] = [
        {
            "type": "value",
            "options": {
                str(look.order): {"text": look.word, "color": _COLOURS[look.tone], "index": look.order}
                for look in LOOKS.values()
            },
        }
    ]
    yield timeline


def _work() -> Iterator[dict[str, Any]]:
    changes = f"sum by (from, to) (increase(healthmon_state_transitions_total{{{_THEIR}}}[5m])) > 0"
    yield _panel("timeseries", "State changes in 5 minutes", [(changes, "{{from}} → {{to}}")], width=12)
    ended = f"sum by (result) (increase(healthmon_restarts_total{{{_THEIR}}}[5m]))"
    yield _panel("timeseries", "Restarts in 5 minutes", [(ended, "{{result}}")], width=12)
    yield _panel("timeseries", "Detection delay", _quantiles("healthmon_detection_delay_seconds"), width=12, unit="s")
    yield _panel("timeseries", "Restart duration", _quantiles("healthmon_restart_duration_seconds"), width=12, unit="s")
    heard = f"sum by (channel) (rate(healthmon_heartbeats_total{{{_HERE}}}[1m]))"
    yield _panel("timeseries", "Heartbeats a second", [(heard, "{{channel}}")], width=12, unit="cps")
    refused = f"sum by (reason) (increase(healthmon_heartbeats_rejected_total{{{_HERE}}}[5m])) > 0"
    yield _panel("timeseries", "Refused heartbeats in 5 minutes", [(refused, "{{reason}}")], width=12)
    published = f"sum by (type) (increase(healthmon_alerts_published_total{{{_HERE}}}[5m])) > 0"
    yield _panel("timeseries", "Alerts in 5 minutes", [(published, "{{type}}")], width=12)
    delivered = f"sum by (sink, result) (increase(healthmon_alert_deliveries_total{{{_HERE}}}[5m]))"
    yield _panel("timeseries", "Deliveries in 5 minutes", [(delivered, "{{sink}} {{result}}")], width=12)


def _itself() -> Iterator[dict[str, Any]]:
    replica = "{{instance}}"
    leaders = f"sum(healthmon_is_leader{{{_HERE}}})"
    yield _panel("stat", "Leaders", [(leaders, "")], width=4, height=4, steps=_UP)
    redis = f"min(healthmon_redis_up{{{_HERE}}})"
    yield _panel("stat", "Redis", [(redis, "")], width=4, height=4, steps=_UP)
    brake = f"max(healthmon_mass_failure_active{{{_HERE}}})"
    yield _panel("stat", "Mass failure", [(brake, "")], width=4, height=4, steps=_FEW)
    left = f"max(healthmon_lease_expiry_timestamp_seconds{{{_HERE}}}) - time()"
    yield _panel("stat", "Lease left", [(left, "")], width=4, height=4, unit="s", steps=_FEW[:1])
    elections = f"sum by (reason) (increase(healthmon_elections_total{{{_HERE}}}[1h]))"
    yield _panel("stat", "Elections in an hour", [(elections, "{{reason}}")], width=8, height=4, steps=_FEW[:1])
    yield _panel("timeseries", "Who leads", [(f"healthmon_is_leader{{{_HERE}}} * healthmon_epoch", replica)], width=12)
    yield _panel("timeseries", "Rounds", _quantiles("healthmon_loop_duration_seconds"), width=12, unit="s")
    yield _panel(
        "timeseries", "Trips to Redis", _quantiles("healthmon_redis_command_duration_seconds"), width=12, unit="s"
    )
    errors = f"sum by (kind) (increase(healthmon_redis_errors_total{{{_HERE}}}[5m]))"
    yield _panel("timeseries", "Errors of Redis in 5 minutes", [(errors, "{{kind}}")], width=12)
    yield _panel(
        "timeseries",
        "Behind the stream",
        [
            (f"healthmon_stream_lag_entries{{{_HERE}}}", f"{replica} entries"),
            (f"increase(healthmon_stream_trimmed_unread_total{{{_HERE}}}[5m])", f"{replica} trimmed unread"),
        ],
        width=12,
    )
    yield _panel(
        "timeseries",
        "Blind time, clocks apart",
        [
            (f"increase(healthmon_blind_seconds_total{{{_HERE}}}[5m])", f"{replica} blind in 5 minutes"),
            (f"healthmon_clock_skew_seconds{{{_HERE}}}", f"{replica} clock"),
        ],
        width=12,
        unit="s",
    )
    fenced = f"increase(healthmon_fenced_writes_total{{{_HERE}}}[5m])"
    yield _panel("timeseries", "Fenced writes in 5 minutes", [(fenced, replica)], width=12)


def _quantiles(name: str) -> list[tuple[str, str]]:
    rate = f"sum by (le) (rate({name}_bucket{{{_HERE}}}[5m]))"
    return [(f"histogram_quantile({share}, {rate})", f"p{round(share * 100)}") for share in (0.5, 0.99)]


def _panel(
    kind: str,
    title: str,
    queries: Sequence[tuple[str, str]],
    *,
    width: int = WIDTH,
    height: int = 8,
    unit: str = "short",
    steps: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": unit}
    if steps:
        defaults["thresholds"] = {"mode": "absolute", "steps": list(steps)}
    return {
        "type": kind,
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(queries)
        ],
    }


def _placed(panels: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """From left to right, a new row where the width is full."""
    x = y = tallest = 0
    for number, panel in enumerate(panels, 1):
        where = panel["gridPos"]
        if x + where["w"] > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        where.update(x=x, y=y)
        x, tallest = x + where["w"], max(tallest, where["h"])
        panel["id"] = number
    return list(panels)
