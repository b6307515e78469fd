"""`GET /health/cluster` and `GET /health/alerts`: who watches, and what people are told of now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from healthmon.core.alert import alert_of, rfc3339
from healthmon.core.component import Component
from healthmon.core.decide import FIRING
from healthmon.core.event import Event, EventType
from healthmon.core.overlays import is_silenced
from healthmon.store.cluster import ClusterReader
from healthmon.store.reading import Reader
from healthmon.views import schemas
from healthmon.views.endpoint import Answer, Asked, Endpoint, answered
from healthmon.views.fleet import Fleet
from healthmon.views.following import Following
from healthmon.views.listing import SORTS
from healthmon.views.picture import cluster_warnings, replica_json, replica_of
from healthmon.views.slices import in_slices

# Of more, the worst are shown; the totals say how many there are.
SHOWN_MAX: Final = 500


@dataclass(frozen=True)
class ClusterViews:
    """The handlers over one fleet, and the readers for what only Redis knows."""

    fleet: Fleet
    cluster: ClusterReader
    reader: Reader
    following: Following

    async def watchers(self, _: Asked) -> Response:
        """The leader, the replicas, the way in, and what an operator should know. Asked of Redis each time."""
        self.fleet.ask_redis()
        watch, sightings = await self.cluster.watch(), await self.cluster.replicas()
        election, beats = await self.cluster.last_leader(), await self.cluster.heartbeats()
        rejected = await self.reader.refused_totals()
        replicas = [replica_of(one.replica, one.last_seen_ms, watch.now_ms, one.said) for one in sightings]
        lease = watch.lease
        leaderless_ms = watch.now_ms - watch.as_of_ms if lease is None and watch.as_of_ms else 0
        said = election.fields if election else {}
        leader = lease and {"replica": lease.replica, "epoch": lease.epoch, "since": rfc3339(lease.epoch)}
        elected = {"at": said.get("at"), "reason": said.get("reason", ""), "replica": said.get("replica")}
        return answered(
            {
                "at": rfc3339(watch.now_ms),
                "leader": leader,
                "epoch": lease.epoch if lease else None,
                "lease_left_ms": watch.left_ms if lease else None,
                "last_election": elected if election else None,
                "mass_failure": self.fleet.mass_failure(),
                "replicas": [replica_json(replica) for replica in replicas],
                "warnings": cluster_warnings(replicas, lease.replica if lease else "", leaderless_ms),
                "heartbeats": {
                    "length": beats.length,
                    "added": beats.added,
                    "oldest": rfc3339(beats.first_ms) or None,
                    "newest": rfc3339(beats.last_ms) or None,
                },
                "rejected": rejected,
                "viewers": self.following.viewers,
            }
        )

    async def alerts(self, _: Asked) -> Response:
        """What fires now and what is silenced, of the table: the worst first."""
        fleet, now_ms = self.fleet, self.fleet.now_ms()
        firing, silences = list[Component](), list[Component]()
        async for component in in_slices(list(fleet.table.components.values())):
            if component.incident and component.state in FIRING:
                firing.append(component)
            if is_silenced(component, now_ms):
                silences.append(component)
        worst = sorted(firing[: 10 * SHOWN_MAX], key=SORTS["worst"])[:SHOWN_MAX]
        soonest = sorted(silences[: 10 * SHOWN_MAX], key=lambda one: one.silenced_until_ms)[:SHOWN_MAX]
        return answered(
            {
                "at": rfc3339(now_ms) or None,
                "firing": [self._firing(one) async for one in in_slices(worst, look_every=10)],
                "firing_total": len(firing),
                "silences": [_silence(one) for one in soonest],
                "silences_total": len(silences),
            }
        )

    def _firing(self, component: Component) -> dict[str, Any]:
        """The data of the alert that its last change makes, as it would be told now."""
        change = Event(
            EventType.TRANSITION,
            component.id,
            rev=component.rev,
            born_ms=component.born_ms,
            at_ms=component.since_ms,
            reason=component.reason,
            rule=component.rule,
            source=component.previous,
            target=component.state.value,
            epoch=component.epoch,
        )
        calm = component.__copy__()
        calm.flapping = 0  # of a flapping one the turns are told to nobody; here it is shown what it is in
        alert = alert_of(calm, calm, change, self.fleet.keys.prefix, self.fleet.keys.shard)
        data: dict[str, Any] = alert["data"] if alert else {}
        return {name: value for name, value in data.items() if name not in ("replica", "rev")}

    def endpoints(self) -> Sequence[Endpoint]:
        """What these handlers answer."""
        away = Answer("Redis is away.", schemas.ERROR)
        return (
            Endpoint(
                "GET",
                "/health/alerts",
                "alerts",
                "What fires now, the worst first, and the silences, those that end soonest first: 500 of each at most.",
                self.alerts,
                answers={200: Answer("The alerts.", schemas.ALERTS)},
                tag="events",
            ),
            Endpoint(
                "GET",
                "/health/cluster",
                "cluster",
                "Who leads, who would take over, how full the way in is, and what an operator should know.",
                self.watchers,
                answers={200: Answer("The cluster.", schemas.CLUSTER), 503: away},
                tag="cluster",
            ),
        )


def _silence(component: Component) -> dict[str, Any]:
    return {
        "id": component.id,
        "until": rfc3339(component.silenced_until_ms),
        "by": component.silenced_by or None,
        "reason": component.silenced_reason,
    }
