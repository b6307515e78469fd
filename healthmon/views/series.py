"""Every time series of `/metrics`: name, kind, labels, and what it means. The one place where they are spelt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Kind = Literal["gauge", "counter", "histogram"]
# Who exports a series: the leader alone, every replica what it did itself, or whoever has a door for heartbeats.
Who = Literal["leader", "each"]


@dataclass(frozen=True, slots=True)
class Series:
    """One name. `says`: one sentence, the HELP line. `who`: the replicas that export it."""

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    who: Who = "each"


_COMPONENT: Final = ("component", "role")
_FLEET: Final = (
    Series("healthmon_components", "gauge", "Components by role and state.", ("role", "state"), "leader"),
    Series(
        "healthmon_component_state",
        "gauge",
        "1 for the state that the component is in, 0 for the seven others.",
        (*_COMPONENT, "state"),
        "leader",
    ),
    Series(
        "healthmon_component_health_score_ratio",
        "gauge",
        "Health score, from 0 to 1.",
        _COMPONENT,
        "leader",
    ),
    Series(
        "healthmon_component_last_heartbeat_timestamp_seconds",
        "gauge",
        "When the last heartbeat arrived, by the clock of Redis; absent before the first.",
        _COMPONENT,
        "leader",
    ),
    Series(
        "healthmon_component_state_since_timestamp_seconds",
        "gauge",
        "Since when the component is in its state, by the clock of Redis.",
        _COMPONENT,
        "leader",
    ),
    Series(
        "healthmon_component_restarts_total",
        "counter",
        "Starts of the component after its first, by healthmon or by itself.",
        _COMPONENT,
        "leader",
    ),
    Series("healthmon_component_breaker_open", "gauge", "1 while the circuit breaker is open.", _COMPONENT, "leader"),
    Series(
        "healthmon_component_silenced",
        "gauge",
        "1 while a silence keeps the component's alerts back.",
        _COMPONENT,
        "leader",
    ),
    Series(
        "healthmon_component_info",
        "gauge",
        "Always 1: where the component runs and what version it says it is.",
        (*_COMPONENT, "host", "version"),
        "leader",
    ),
    Series(
        "healthmon_metrics_components_omitted",
        "gauge",
        "Components without series of their own, because there are more than metrics_max_components.",
        (),
        "leader",
    ),
    Series("healthmon_mass_failure_active", "gauge", "1 while the brake on mass failure holds deaths and restarts."),
)
_WORK: Final = (
    Series(
        "healthmon_state_transitions_total",
        "counter",
        "State changes that this replica committed.",
        ("role", "from", "to"),
    ),
    Series(
        "healthmon_restarts_total",
        "counter",
        "Restart attempts that ended under this replica, by result.",
        ("role", "result"),
    ),
    Series(
        "healthmon_restart_duration_seconds",
        "histogram",
        "From the claim of a restart attempt to the first heartbeat after it.",
    ),
    Series(
        "healthmon_detection_delay_seconds",
        "histogram",
        "From the moment at which silence was to change a state to the commit of that change.",
    ),
    Series(
        "healthmon_heartbeats_total",
        "counter",
        "Heartbeats: redis is all that this replica read from the stream, the others came by this process's own doors.",
        ("channel",),
    ),
    Series(
        "healthmon_heartbeats_rejected_total",
        "counter",
        "Heartbeats that this process refused, or accepted without some of their metrics, by reason.",
        ("reason",),
    ),
    Series(
        "healthmon_heartbeat_folders",
        "gauge",
        "Folders of heartbeat files: watched by this process, by another one (standby), or by none (absent).",
        ("state",),
    ),
    Series("healthmon_alerts_published_total", "counter", "Alerts that this replica published, by type.", ("type",)),
    Series(
        "healthmon_alert_deliveries_total",
        "counter",
        "Attempts of this process to hand an alert to a sink, by result.",
        ("sink", "result"),
    ),
)
_ITSELF: Final = (
    Series("healthmon_build_info", "gauge", "Always 1: the replica's name and version.", ("replica", "version")),
    Series("healthmon_is_leader", "gauge", "1 on the replica that leads; absent on a gateway, which never does."),
    Series("healthmon_epoch", "gauge", "The epoch that this replica knows; it rises with every leader."),
    Series("healthmon_elections_total", "counter", "Elections that this replica won, by reason.", ("reason",)),
    Series(
        "healthmon_lease_expiry_timestamp_seconds",
        "gauge",
        "When the leader's lease ends unless it is renewed.",
        (),
        "leader",
    ),
    Series(
        "healthmon_loop_duration_seconds",
        "histogram",
        "Rounds of this replica, from the end of the read to the last commit's answer.",
    ),
    Series(
        "healthmon_stream_lag_entries",
        "gauge",
        "About how many heartbeats this replica has still to read; 0 while each read takes all that is there.",
    ),
    Series(
        "healthmon_stream_trimmed_unread_total",
        "counter",
        "How often heartbeats were gone before this replica had read them.",
    ),
    Series("healthmon_redis_up", "gauge", "1 while Redis answers this replica."),
    Series(
        "healthmon_redis_command_duration_seconds",
        "histogram",
        "Trips to Redis and back, by script.",
        ("command",),
    ),
    Series("healthmon_redis_errors_total", "counter", "Errors of Redis, or of the way to it, by kind.", ("kind",)),
    Series(
        "healthmon_clock_skew_seconds",
        "gauge",
        "The clock of Redis less this machine's; states are judged by the former.",
    ),
    Series(
        "healthmon_fenced_writes_total",
        "counter",
        "Writes of this replica that were refused because another one leads.",
    ),
    Series(
        "healthmon_blind_seconds_total",
        "counter",
        "Time in which no heartbeat could have arrived, as this replica committed it; it is nobody's silence.",
    ),
)
TITLES: Final[Mapping[str, Sequence[Series]]] = {
    "The fleet": _FLEET,
    "What was done for it": _WORK,
    "healthmon itself": _ITSELF,
}
SERIES: Final[Mapping[str, Series]] = {one.name: one for part in TITLES.values() for one in part}

# The specification's own two, as its example names and words them; exported where `metrics_specification` is on.
SPECIFIED: Final[Mapping[str, Series]] = {
    one.name: one
    for one in (
        Series(
            "jarvis_component_health_state",
            "gauge",
            "Current health state (0=dead, 1=unhealthy, 2=degraded, 3=healthy)",
            ("component_id",),
            "leader",
        ),
        Series(
            "jarvis_component_restarts_total",
            "counter",
            "Total number of component restarts",
            ("component_id",),
            "leader",
        ),
    )
}


def page() -> str:
    """The reference of all names for people, as Markdown: `docs/metrics.md`."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "`/metrics` of the gateway, of `healthmon monitor --http` and of `healthmon up`, in Prometheus' text format."
    yield "This page is made from the code: `healthmon export metrics > docs/metrics.md`."
    yield ""
    yield from _PREFACE
    for title, part in TITLES.items():
        yield from ("", f"## {title}", "", *_table(part))
    yield from ("", "## The specification's names", "", "Exported too while `HEALTH_METRICS_SPECIFICATION` is on.", "")
    yield from _table(list(SPECIFIED.values()))
    yield from ("", "Every other state than the four is -1. The client library's `process_*` series are there as well.")


_PREFACE: Final = (
    "- Scrape every replica that may lead, `healthmon monitor --http HOST:PORT`; with tokens, by one of scope `read`.",
    "  A gateway never leads: it exports itself and its doors, and components only while `HEALTH_METRICS_EVERYWHERE`",
    "  is on, for who scrapes it alone. `healthmon up` does so.",
    "- A scrape asks nothing of Redis: every replica holds the whole table.",
    "- Series of components come from the leader only; after a failover they come from the next one. Followers go on",
    "  to export what they counted themselves, so counters are to be summed over replicas:",
    "  `sum by (role) (rate(healthmon_restarts_total[5m]))`.",
    "- With more than `HEALTH_METRICS_MAX_COMPONENTS` (1000) components only those that are not well have series of",
    "  their own, the worst first and at most as many; `healthmon_metrics_components_omitted` counts the others.",
    "  `healthmon_components` always counts them all.",
    "- `component`, `role` and `state` are all the labels of a component, so that a series lasts as long as it does:",
    "  host and version stand in `healthmon_component_info`, to be joined on `component`. Reasons are no labels.",
    "- Of more than 100 roles the later ones are counted as `(other)`.",
    "- What is known in advance is there at zero, so that `increase()` sees the first event.",
)


def _table(part: Sequence[Series]) -> Iterator[str]:
    yield "| name | kind | labels | from | what |"
    yield "|---|---|---|---|---|"
    for one in part:
        labels = " ".join(f"`{label}`" for label in one.labels)
        whose = "the leader" if one.who == "leader" else "each replica"
        yield f"| `{one.name}` | {one.kind} | {labels} | {whose} | {one.says} |"
