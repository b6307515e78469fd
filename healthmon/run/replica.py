"""One replica from its settings: its rounds, its campaign, and what runs beside them."""

from __future__ import annotations

import gc
import logging
import secrets
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.from_thread

from healthmon.core.claims import Means
from healthmon.core.measures import Measures
from healthmon.core.policy import Defaults
from healthmon.core.score import DEFAULT_ROWS
from healthmon.core.table import Table
from healthmon.errors import HealthmonError
from healthmon.monitor.agreements import Agreements
from healthmon.monitor.announce import Announcer
from healthmon.monitor.busy_fields import BusyFields
from healthmon.monitor.campaign import Campaign
from healthmon.monitor.healing import Healing
from healthmon.monitor.ledger import Ledger
from healthmon.monitor.observer import Observer
from healthmon.monitor.orders import Orders
from healthmon.monitor.parts import Parts
from healthmon.monitor.reading import Reading
from healthmon.monitor.redis_clock import RedisClock
from healthmon.monitor.repair import Repair
from healthmon.monitor.replica import Replica
from healthmon.monitor.round import Round
from healthmon.monitor.wake import Alarm
from healthmon.probes.callable import Function
from healthmon.restarts.handler import Handler
from healthmon.run.alerting import give_voice, plan_of, put_alerts_beside
from healthmon.run.beside import put_beside
from healthmon.settings import Settings
from healthmon.store.alive import Alive
from healthmon.store.calls import Client, open_raw
from healthmon.store.client import open_client
from healthmon.store.codec import Wire
from healthmon.store.commits import Commits
from healthmon.store.keys import Keys
from healthmon.store.leases import Leases
from healthmon.store.liveness import LeaderWatch
from healthmon.store.ownership import OwnerVerifier
from healthmon.store.scripts import Scripts
from healthmon.store.streams import Tail

Beside = Callable[[Replica], Coroutine[Any, Any, None]]
logger = logging.getLogger("healthmon")
# Objects made until the youngest are looked at, and how often before those that survived are. One reply is thousands.
COLLECTED_AFTER = (50_000, 20, 100)
LOOK_FOR_GROWTH_S = 10.0


def defaults_of(settings: Settings) -> Defaults:
    """What the rules take for granted, in milliseconds, from the settings."""
    return Defaults(
        heartbeat_timeout_ms=round(settings.heartbeat_timeout * 1000),
        degraded_threshold_ms=round(settings.degraded_threshold * 1000),
        dead_threshold_ms=round(settings.dead_threshold * 1000),
        startup_timeout_ms=round(settings.startup_timeout * 1000),
        recovery_heartbeats=settings.recovery_heartbeats,
        max_retries=settings.max_retries,
        base_delay_ms=round(settings.base_delay * 1000),
        max_delay_ms=round(settings.max_delay * 1000),
        exponential_base=settings.exponential_base,
        restart_timeout_ms=round(settings.restart_timeout * 1000),
        failure_threshold=settings.failure_threshold,
        recovery_timeout_ms=round(settings.recovery_timeout * 1000),
        success_threshold=settings.success_threshold,
        check_interval_ms=round(settings.check_interval * 1000),
        probe_timeout_ms=round(settings.probe_timeout * 1000),
        restarts_concurrent=settings.restarts_concurrent,
        restarts_per_minute=settings.restarts_per_minute,
        auto_restart=settings.enable_auto_restart,
        circuit_breakers=settings.enable_circuit_breakers,
        mass_failure=settings.mass_failure,
        reset_after_ms=round(settings.reset_after * 1000),
        forget_after_ms=round(settings.forget_after * 1000),
        forget_after_unknown_ms=round(settings.forget_after_unknown * 1000),
        max_components=settings.max_components,
        new_components_per_minute=settings.new_components_per_minute,
        auto_register=settings.auto_register,
    )


def make_replica(
    settings: Settings,
    scripts: Scripts | None = None,
    *,
    handlers: dict[str, Handler] | None = None,
    callables: dict[str, Function] | None = None,
    observes: bool = False,
) -> Replica:
    """One replica of the monitor, not connected yet. `scripts`: other texts for the verbs, for tests of the fence.

    `handlers` and `callables`: the restart handlers and probes that this process offers, by component id (a handler
    also for `*`, all). They may change while the replica runs. `observes`: it never leads, and offers nothing.
    """
    verbs, plan = scripts or Scripts(), plan_of(settings)
    if observes:
        observer = Observer(settings, _make_rounds(settings, verbs))
        if plan is not None:
            give_voice(observer, plan)  # when the last monitor is gone, it is left to say so
        return observer
    replica = Replica(settings, _make_rounds(settings, verbs))
    offered = {} if handlers is None else handlers
    put_beside(replica, verbs, replica.parts.plain, offered, {} if callables is None else callables)
    if plan is not None:
        put_alerts_beside(replica, verbs, plan, replica.parts.measures.alert_deliveries)
    return replica


def _make_rounds(settings: Settings, verbs: Scripts) -> Parts:
    name, url = settings.replica_id, settings.redis_url
    keys, incarnation = Keys(settings.prefix, 0), secrets.token_hex(4)
    ttl_s = settings.lease_ttl
    # A commit whose answer takes longer than the lease is worth nothing; every other call may wait as long.
    pen = open_raw(url, name=f"{name}-commit", timeout_s=ttl_s, dedicated=True)
    renewer = open_raw(url, name=f"{name}-renew", timeout_s=ttl_s, dedicated=True)
    plain = open_raw(url, name=name, timeout_s=ttl_s)
    checker = open_client(url, name=f"{name}-check", timeout_s=ttl_s)
    table = Table(defaults_of(settings), Wire())
    tail, clock = Tail(url, keys, name), RedisClock()
    measures = Measures()
    commits = Commits(keys, verbs, broadcast=settings.broadcast_events, measures=measures)
    alarm = Alarm(tail)
    busy = BusyFields(settings, table, tail, commits, pen)
    ledger = Ledger(settings, keys, table, tail, commits, pen, plain, busy, measures)
    agreements = Agreements(OwnerVerifier(plain, keys).agrees)
    healing = Healing(table, ledger, agreements, Means(name, allow_exec=settings.allow_exec))
    orders = Orders(table, tail, ledger, healing)
    repair = Repair(name, table, tail, ledger, commits, plain, measures)
    reading = Reading(name, table, tail, alarm, clock, settings.coalesce_effective)
    leases = Leases(keys, verbs, round(ttl_s * 1000))
    campaign = _make_campaign(
        settings, keys=keys, incarnation=incarnation, leases=leases, client=renewer, repair=repair, time=clock
    )
    digest = settings.rules_digest(repr(sorted(DEFAULT_ROWS.items())))
    return Parts(
        keys=keys,
        table=table,
        tail=tail,
        time=clock,
        alarm=alarm,
        reading=reading,
        orders=orders,
        ledger=ledger,
        repair=repair,
        healing=healing,
        round=Round(table, tail, reading, orders, healing, ledger, repair, measures),
        leases=leases,
        watch=campaign.watch,
        alive=campaign.alive,
        campaign=campaign,
        announcer=Announcer(keys, plain, name, incarnation, digest),
        checker=checker,
        plain=plain,
        clients=(pen, renewer, plain, checker),
        measures=measures,
    )


def _make_campaign(
    settings: Settings,
    *,
    keys: Keys,
    incarnation: str,
    leases: Leases,
    client: Client,
    repair: Repair,
    time: RedisClock,
) -> Campaign:
    """The campaign, with what wakes it: the hint channel, and the thread that watches the leader."""
    name, url, ttl_s = settings.replica_id, settings.redis_url, settings.lease_ttl

    def asked(value: str = "") -> None:
        campaign.leader_is_dead(value)

    def asked_from_thread(value: str) -> None:
        anyio.from_thread.run_sync(asked, value)

    alive = Alive(url, keys, name, incarnation, asked)
    watch = LeaderWatch(url, keys, name, settings.takeover_grace, ttl_s, asked_from_thread)
    campaign = Campaign(name, incarnation, leases, client, watch, alive, repair, time, ttl_s, repair.measures)
    return campaign


def run_monitor(settings: Settings, beside: Beside | None = None, *, observes: bool = False) -> None:
    """Run one replica in this process until SIGINT or SIGTERM. Raises what keeps it from starting, as one error.

    `beside`: what else runs in the same task group, given the replica. `observes`: it never leads.
    """
    anyio.run(_until_signal, settings, beside, observes)


async def _keep_collections_short(replica: Replica) -> None:
    """Python's collector looks at every object of the table again and again: 240 ms at 100 000 components, measured.

    Records are not garbage: those that are there are exempt, and so are later ones when they have become many. Only in
    a process that is a replica and nothing else: elsewhere the collector is its owner's.
    """
    gc.set_threshold(*COLLECTED_AFTER)
    exempt = 0
    while True:
        known = len(replica.parts.table.components)
        if known > exempt * 1.25 + 1000:
            gc.freeze()
            exempt = known
        await anyio.sleep(LOOK_FOR_GROWTH_S)


async def _until_signal(settings: Settings, beside: Beside | None, observes: bool) -> None:  # for `run`
    replica = make_replica(settings, observes=observes)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(replica.run)
            group.start_soon(_keep_collections_short, replica)
            if beside is not None:
                group.start_soon(beside, replica)
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for received in signals:
                    logger.info("stopping on %s", signal.Signals(received).name)
                    group.cancel_scope.cancel()
                    return
    except* HealthmonError as failed:
        error: BaseException = failed
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
