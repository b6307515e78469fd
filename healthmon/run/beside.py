"""What runs beside a replica's rounds: it carries out restarts, and probes while the replica leads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from healthmon.core.policy import NEVER_MS
from healthmon.core.probing import next_probe
from healthmon.monitor.replica import Replica
from healthmon.probes.callable import Function
from healthmon.probes.prober import Prober
from healthmon.probes.reports import sending
from healthmon.probes.schedule import ProbeTarget
from healthmon.restarts.handler import Handler, Handlers
from healthmon.restarts.method import methods_of
from healthmon.restarts.runner import Runner
from healthmon.store.calls import Client
from healthmon.store.restarts import Restarts
from healthmon.store.scripts import Scripts


@dataclass
class Wishes:
    """The replica's table as the prober sees it."""

    replica: Replica

    def leads(self) -> bool:
        """Whether this replica leads."""
        return self.replica.leadership is not None

    def ids(self) -> Collection[str]:
        """All components that have a probe."""
        return list(self.replica.parts.table.census.probed)

    def target(self, component_id: str) -> ProbeTarget | None:
        """What is wanted of one component now; None when it is gone or has no probe."""
        parts = self.replica.parts
        component = parts.table.get(component_id)
        if component is None or component.limits.probe is None or not component.rev:
            return None
        now_ms = round(parts.time.now_ms())
        wish, limits = next_probe(component, parts.table.moment(now_ms)), component.limits.probe
        return ProbeTarget(
            id=component_id,
            probe=component.policy.probe,
            interval_s=limits.every_ms / 1000,
            timeout_s=limits.timeout_ms / 1000,
            generation=component.breaker.generation,
            due_ms=min(wish.due_ms, NEVER_MS),
            urgent=wish.urgent,
        )


def make_runner(replica: Replica, scripts: Scripts, handlers: Handlers) -> Runner:
    """Carries out the restarts that name this replica as their runner, also while another one leads."""
    settings, keys = replica.settings, replica.parts.keys
    return Runner(
        settings.replica_id,
        Restarts(settings.redis_url, keys, scripts, settings.replica_id),
        methods_of(settings, handlers),
        settings.restart_timeout,
        settings.restarts_concurrent,
    )


def make_prober(replica: Replica, client: Client, callables: dict[str, Function]) -> Prober:
    """Probes what the table wants while this replica leads, and what has a function in this process in any case."""
    settings, parts = replica.settings, replica.parts
    return Prober(
        Wishes(replica),
        sending(client, parts.keys),
        parts.time.now_ms,
        settings.probes_concurrent,
        settings.allow_exec,
        callables,
    )


def put_beside(
    replica: Replica,
    scripts: Scripts,
    client: Client,
    handlers: dict[str, Handler],
    callables: dict[str, Function],
) -> None:
    """Give the replica what runs beside its rounds. The two tables may change while it runs."""
    offered = Handlers(handlers)
    runner, prober = make_runner(replica, scripts, offered), make_prober(replica, client, callables)
    replica.parts.beside = (runner.run, prober.run)
    replica.parts.offers, replica.parts.look_at = offered.announced, prober.look_at
