"""A replica's table and counts as Prometheus sees them: a custom collector that asks nothing of Redis.

What is collected comes in pieces of bounded size, so that whoever renders them can let others run in between: a leader
with a thousand components makes fifteen thousand lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from prometheus_client import Metric, ProcessCollector

from healthmon import __version__
from healthmon.core import measures
from healthmon.core.circuit import OPEN_TEXT
from healthmon.core.component import LEGAL_EDGES, Component, HealthState
from healthmon.core.decide import shown_score
from healthmon.core.marks import settle
from healthmon.core.measures import Measures
from healthmon.core.score import SILENT_SCORES
from healthmon.core.table import Table
from healthmon.views.families import Value, by_word, from_zero, histogram, pieces
from healthmon.views.states import WORST_FIRST


@dataclass(frozen=True, slots=True)
class Standing:
    """What a replica is at the moment of a scrape.

    `now_ms` is the clock of Redis, `skew_s` that clock less the machine's. `lease_until_s`: Unix seconds, 0 where it
    does not lead. `may_lead`: a gateway never does.
    """

    replica: str
    leads: bool
    may_lead: bool
    epoch: int
    now_ms: float
    skew_s: float
    lease_until_s: float = 0.0


@dataclass
class HealthCollector:
    """Reads the table in the thread that changes it. `components_max`: how many components get series of their own.

    `accepted` and `refused`: heartbeats that came by this process's own doors, by channel and by reason.
    `folders`: how many folders of heartbeat files are in which of measures.FOLDERS.
    `specification`: the specification's two series, too. `everywhere`: the components' series whoever leads.
    """

    table: Table
    measures: Measures
    standing: Callable[[], Standing]
    components_max: int
    accepted: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    folders: Callable[[], Mapping[str, int]] = dict
    specification: bool = False
    everywhere: bool = False
    _process: ProcessCollector = field(default_factory=lambda: ProcessCollector(registry=None))

    def collect(self) -> Iterator[Metric]:
        """All families whole, as the client library's registries want them."""
        whole: Metric | None = None
        for piece in self.pieces():
            if whole is not None and piece.name == whole.name:
                whole.samples += piece.samples
                continue
            if whole is not None:
                yield whole
            whole = piece
        if whole is not None:
            yield whole

    def pieces(self) -> Iterator[Metric]:
        """All families in order, the long ones as several of the same name in a row.

        Between two pieces others may run: each piece is true of its own moment.
        """
        standing = self.standing()
        yield from self._itself(standing)
        yield from self._work(standing)
        if standing.leads or self.everywhere:
            yield from self._fleet(standing)
        yield from self._process.collect()

    # -- the fleet -------------------------------------------------------------------------------------------------

    def _fleet(self, standing: Standing) -> Iterator[Metric]:
        shown = self._shown()
        omitted = len(self.table.components) - len(shown)
        yield from pieces("healthmon_components", self._counts())
        yield from pieces("healthmon_metrics_components_omitted", [((), omitted)])
        for name, values_of in _OF_COMPONENT.items():
            said = (values_of(one, (one.id, self.measures.role_of(one.role)), standing) for one in shown)
            yield from pieces(name, (value for values in said for value in values))
        if self.specification:
            for name, value_of in _SPECIFIED.items():
                yield from pieces(name, (((one.id,), value_of(one)) for one in shown))

    def _shown(self) -> list[Component]:
        """Who has series of its own: everybody, or of too many those that are not well, the worst and longest first."""
        known = self.table.components
        if len(known) <= self.components_max:
            return list(known.values())
        shown: list[Component] = []
        for state in WORST_FIRST:  # whoever changed last was put last: nothing needs to be sorted
            here = (one for one in self.table.census.unwell.values() if one.state == state)
            shown += islice(here, self.components_max - len(shown))
        return shown

    def _counts(self) -> Iterator[Value]:
        counts = dict[tuple[str, HealthState], int]()
        for (role, state), count in self.table.census.roles.items():
            named = self.measures.role_of(role), state
            counts[named] = counts.get(named, 0) + count
        for role in self._roles():
            yield from (((role, state.value), counts.get((role, state), 0)) for state in HealthState)

    def _roles(self) -> list[str]:
        return sorted({self.measures.role_of(role) for role, _ in self.table.census.roles})

    # -- what was done, and the replica itself ----------------------------------------------------------------------

    def _work(self, standing: Standing) -> Iterator[Metric]:
        counted, roles = self.measures, self._roles() if standing.leads else []
        edges = [(role, source, target) for role in roles for source in LEGAL_EDGES for target in LEGAL_EDGES[source]]
        yield from pieces("healthmon_state_transitions_total", from_zero(counted.transitions, edges))
        ends = [(role, result) for role in roles for result in measures.RESTART_RESULTS]
        yield from pieces("healthmon_restarts_total", from_zero(counted.restarts, ends))
        yield histogram("healthmon_restart_duration_seconds", {(): counted.restarting})
        yield histogram("healthmon_detection_delay_seconds", {(): counted.detection})
        heard = {**self.accepted, measures.CHANNELS[0]: self.table.heard}
        rejected = Counter(counted.rejected) + Counter(self.refused)
        yield from pieces("healthmon_heartbeats_total", by_word(heard, measures.CHANNELS))
        yield from pieces("healthmon_heartbeats_rejected_total", by_word(rejected, measures.REJECTIONS))
        yield from pieces("healthmon_heartbeat_folders", by_word(self.folders(), measures.FOLDERS))
        yield from pieces("healthmon_alerts_published_total", by_word(counted.alerts_published, measures.ALERT_TYPES))
        sinks = dict.fromkeys(sink for sink, _ in counted.alert_deliveries)
        results = [(sink, result) for sink in sinks for result in measures.DELIVERIES]
        yield from pieces("healthmon_alert_deliveries_total", from_zero(counted.alert_deliveries, results))

    def _itself(self, standing: Standing) -> Iterator[Metric]:
        counted = self.measures
        singles = {
            **({"healthmon_is_leader": standing.leads} if standing.may_lead else {}),
            "healthmon_epoch": standing.epoch,
            "healthmon_redis_up": counted.redis_up,
            "healthmon_clock_skew_seconds": standing.skew_s,
            "healthmon_stream_lag_entries": counted.lag_entries,
            "healthmon_stream_trimmed_unread_total": counted.trimmed_unread,
            "healthmon_fenced_writes_total": counted.fenced_writes,
            "healthmon_blind_seconds_total": counted.blind_s,
            "healthmon_mass_failure_active": self.table.brake.on,
            **({"healthmon_lease_expiry_timestamp_seconds": standing.lease_until_s} if standing.leads else {}),
        }
        yield from pieces("healthmon_build_info", [((standing.replica, __version__), 1)])
        for name, number in singles.items():
            yield from pieces(name, [((), float(number))])
        yield from pieces("healthmon_elections_total", by_word(counted.elections, measures.ELECTIONS))
        yield from pieces("healthmon_redis_errors_total", by_word(counted.redis_errors, measures.ERROR_KINDS))
        yield histogram("healthmon_loop_duration_seconds", {(): counted.rounds})
        commands = {(name,): buckets for name, buckets in sorted(counted.commands.items())}
        yield histogram("healthmon_redis_command_duration_seconds", commands)


# -- one component -----------------------------------------------------------------------------------------------------

_Labels = tuple[str, str]


def _states(one: Component, labels: _Labels, _: Standing) -> list[Value]:
    return [((*labels, state.value), float(state is one.state)) for state in HealthState]


def _score(one: Component, labels: _Labels, _: Standing) -> list[Value]:
    settle(one)
    return [(labels, shown_score(one, SILENT_SCORES))]


def _heard(one: Component, labels: _Labels, _: Standing) -> list[Value]:
    settle(one)
    return [(labels, one.last_heartbeat_ms / 1000)] if one.last_heartbeat_ms else []


def _since(one: Component, labels: _Labels, _: Standing) -> list[Value]:
    return [(labels, one.since_ms / 1000)]


def _restarts(one: Component, labels: _Labels, _: Standing) -> list[Value]:
    return [(labels, one.restart_count)]


def _breaker(one: Component, labels: _Labels, _: Standing) -> list[Value]:
    return [(labels, float(one.breaker.state == OPEN_TEXT))]


def _silenced(one: Component, labels: _Labels, standing: Standing) -> list[Value]:
    return [(labels, float(one.silenced_until_ms > standing.now_ms))]


def _info(one: Component, labels: _Labels, _: Standing) -> list[Value]:
    return [((*labels, one.host, one.version), 1)]


_OF_COMPONENT: Final[dict[str, Callable[[Component, _Labels, Standing], list[Value]]]] = {
    "healthmon_component_state": _states,
    "healthmon_component_health_score_ratio": _score,
    "healthmon_component_last_heartbeat_timestamp_seconds": _heard,
    "healthmon_component_state_since_timestamp_seconds": _since,
    "healthmon_component_restarts_total": _restarts,
    "healthmon_component_breaker_open": _breaker,
    "healthmon_component_silenced": _silenced,
    "healthmon_component_info": _info,
}
_STATE_NUMBERS: Final = {
    HealthState.DEAD: 0,
    HealthState.UNHEALTHY: 1,
    HealthState.DEGRADED: 2,
    HealthState.HEALTHY: 3,
}
_SPECIFIED: Final[dict[str, Callable[[Component], float]]] = {
    "jarvis_component_health_state": lambda one: _STATE_NUMBERS.get(one.state, -1),
    "jarvis_component_restarts_total": lambda one: one.restart_count,
}
