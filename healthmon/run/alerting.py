"""What a replica does with alerts: the plan, the delivery while it leads, and what it tells of itself."""

from __future__ import annotations

import os
from collections import Counter

from healthmon import clock
from healthmon.alerts.dispatch import Dispatcher
from healthmon.alerts.plan import Plan, load_plan
from healthmon.alerts.self_alerts import SelfAlerts
from healthmon.core.incidents import Overlay
from healthmon.core.lease import Lease
from healthmon.monitor.replica import Replica
from healthmon.settings import Settings
from healthmon.store.calls import open_raw
from healthmon.store.deliveries import GROUP, Deliveries
from healthmon.store.groups import Group
from healthmon.store.scripts import Scripts


def plan_of(settings: Settings) -> Plan | None:
    """What the file of HEALTH_ALERTS_FILE says; None where none is set. Raises ConfigurationError for a wrong one."""
    return load_plan(settings.alerts_file.expanduser(), os.environ) if settings.alerts_file else None


def put_alerts_beside(replica: Replica, scripts: Scripts, plan: Plan, counts: Counter[tuple[str, str]]) -> None:
    """Give the replica the delivery of alerts, and its voice. `counts`: (sink, delivered | failed | dead)."""
    settings, parts = replica.settings, replica.parts
    name, url = settings.replica_id, settings.redis_url
    # A read blocks for a second, on a connection of its own.
    reader, writer = open_raw(url, name=f"{name}-alerts", dedicated=True), open_raw(url, name=f"{name}-alerts-settle")

    def leading() -> Lease | None:
        return replica.leadership.lease if replica.leadership is not None else None

    def overlay(component_id: str) -> Overlay:
        component = parts.table.get(component_id)
        return Overlay(component.silenced_until_ms, component.acknowledged_by) if component else Overlay(0, "")

    dispatcher = Dispatcher(
        plan,
        Group(reader, parts.keys, GROUP, name),
        Deliveries(writer, parts.keys, scripts),
        leading,
        lambda: round(parts.time.now_ms()),
        overlay,
        counts,
    )
    parts.beside = (*parts.beside, dispatcher.run)
    give_voice(replica, plan)
    parts.clients = (*parts.clients, reader, writer)


def give_voice(replica: Replica, plan: Plan) -> None:
    """Have the replica tell the sinks itself what befalls it: cut off, blind, leaderless, not committing."""
    settings, parts = replica.settings, replica.parts
    own = SelfAlerts(plan, settings.prefix, settings.replica_id, lambda: round(clock.unix_s() * 1000))
    replica.vigil.tell = own.note
    parts.beside = (*parts.beside, own.run)
