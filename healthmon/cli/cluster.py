"""`healthmon cluster`: who leads, who would take over, and what to know of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from healthmon.cli.options import Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_all, say_one, terminal
from healthmon.cli.session import Where, run, session, watch_json
from healthmon.core.alert import rfc3339
from healthmon.views.care import ANYBODY
from healthmon.views.picture import (
    Replica,
    cluster_headline,
    cluster_warnings,
    handlers_of,
    json_of,
    replica_json,
    replica_of,
)
from healthmon.views.terminal import Cell
from healthmon.views.words import ago, named, seconds, when

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from healthmon.core.guard import Brake
    from healthmon.store.cluster import Watch
    from healthmon.store.reading import StreamEntry
    from healthmon.views.terminal import Terminal

_HEAD: Final = ("ROLE", "REPLICA", "SEEN", "LAG", "RTT", "PID", "VERSION", "HOST")
_WIDE_HEAD: Final = (
    *(*_HEAD[:-1], "RULES", "EPOCH", "SINCE", "ROUND P99", "ENTRIES BEHIND", "SKEW", "FENCED WRITES", "COMPONENTS"),
    *("INCARNATION", "HOST"),
)


def cluster(output: Output = Form.TABLE, redis_url: RedisUrl = None, prefix: Prefix = None) -> None:
    """Show the leader, its epoch and lease, the replicas, and what to know of them."""
    run(_cluster, output, Where(redis_url, prefix))


async def _cluster(form: Form, where: Where) -> None:
    async with session(where) as here:
        watch = await here.cluster.watch()
        sightings = await here.cluster.replicas()
        election, brake = await here.cluster.last_leader(), await here.brake()
    replicas = [replica_of(one.replica, one.last_seen_ms, watch.now_ms, one.said) for one in sightings]
    leader = watch.lease.replica if watch.lease else ""
    leaderless_ms = watch.now_ms - watch.as_of_ms if not leader and watch.as_of_ms else 0
    warnings = cluster_warnings(replicas, leader, leaderless_ms)
    if is_for_people(form):
        facts = list(_facts(watch, election, replicas, brake))
        say(_lines(terminal(), watch, facts, replicas, warnings, wide=form is Form.WIDE))
        return
    values = [replica_json(replica) for replica in replicas]
    if form is Form.NAME:
        say_all(form, values)
        return
    elected = json_of(election.fields) if election else None
    say_one(
        form,
        {
            **watch_json(watch),
            "last_election": elected,
            "mass_failure_since": rfc3339(brake.since_ms) or None,
            "replicas": values,
            "warnings": warnings,
        },
    )


def _facts(
    watch: Watch, election: StreamEntry | None, replicas: Sequence[Replica], brake: Brake
) -> Iterator[tuple[str, str]]:
    """What there is to know beside the replicas, labelled."""
    if watch.lease:
        yield "lease", f"{seconds(watch.left_ms)} left"
    if election:
        why = election.fields.get("reason", "?")
        yield "elected", f"{election.fields.get('replica', '?')} {ago(election.ms, watch.now_ms)}: {why}"
    offers = [(replica.id, handlers_of(replica)) for replica in replicas if replica.here]
    told = [f"{replica} for {'all' if ANYBODY in ids else named(ids)}" for replica, ids in offers if ids]
    if told:
        yield "handlers", "; ".join(told)
    if brake.on:
        since = when(brake.since_ms, watch.now_ms)
        yield "brake", f"mass failure since {since}; if it is real: healthmon resume --mass-failure"


def _lines(
    screen: Terminal,
    watch: Watch,
    facts: Sequence[tuple[str, str]],
    replicas: Sequence[Replica],
    warnings: Sequence[str],
    *,
    wide: bool,
) -> list[str]:
    lease = watch.lease
    leader, epoch = (lease.replica, lease.epoch) if lease else ("", 0)
    lines = [screen.plain(cluster_headline(replicas, leader, epoch, watch.now_ms - epoch))]
    lines += screen.labelled(facts)
    if replicas:
        rows = [_cells(replica, leader, watch.now_ms, wide=wide) for replica in replicas]
        # Cut to fit, no column of the wide table would say anything: its lines are as long as they get.
        table = replace(screen, width=0).table(_WIDE_HEAD, rows) if wide else screen.table(_HEAD, rows, under=False)
        lines += ["", *table]
    if warnings:
        lines += ["", *(line for each in warnings for line in screen.hanging([Cell("warning", "warn")], each))]
    return lines


def _role(replica: Replica, leader: str) -> str:
    """Who leads is what the lease says: what a replica said of itself may be a second older."""
    if not replica.here:
        return "gone"
    if replica.id == leader:
        return "leader"
    said = replica.get("role")
    return "led before" if said == "leader" else said


def _cells(replica: Replica, leader: str, now_ms: int, *, wide: bool) -> list[Cell | str]:
    role = _role(replica, leader)
    tone: dict[str, Any] = {"leader": "ok", "gone": "none", "led before": "none"}
    cells: list[Cell | str] = [
        Cell(role or "?", tone.get(role)),
        replica.id,
        ago(replica.last_seen_ms, now_ms, short=True),
        _in_ms(replica.get("lag_ms")),
        _in_ms(replica.get("rtt_ms")),
        *(replica.get(name) for name in ("pid", "version")),
    ]
    if wide:
        cells += [
            replica.get("digest"),
            replica.get("epoch"),
            replica.get("since"),
            _in_ms(replica.get("round_p99_ms")),
            replica.get("lag_entries"),
            _in_ms(replica.get("skew_ms")),
            replica.get("fenced_writes"),
        ]
        cells += [replica.get("components"), replica.get("incarnation")]
    return [*cells, replica.get("host")]


def _in_ms(text: str) -> str:
    return f"{float(text):.3g} ms" if text.removeprefix("-").replace(".", "", 1).isdecimal() else text
