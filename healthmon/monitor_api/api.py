"""The Python face: a monitor object is one replica of the cluster and a client of it.

Two objects, in one process or in many, are two replicas: one leads, the others follow hot. What a call changed is seen
by the next read through the same object.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Self
from weakref import WeakKeyDictionary

from healthmon.core.event import EventType
from healthmon.core.health import ComponentHealth, EventsMissed, HealthEvent
from healthmon.core.restart import RestartPolicy
from healthmon.errors import ConfigurationError
from healthmon.monitor_api.events import Callback, Events
from healthmon.monitor_api.membership import Membership
from healthmon.monitor_api.reading import Reading
from healthmon.monitor_api.writing import Writing
from healthmon.settings import Settings, load_settings

_THRESHOLDS: Final = ("heartbeat_timeout", "degraded_threshold", "dead_threshold")


class DistributedHealthMonitor:
    """One replica of the monitor in this process, and the calls that programs make.

    Arguments are settings by their names, seconds where they are durations; they win over the environment. Thresholds
    given here go into the policy of the components that this object registers; all others follow the leader's
    settings. Nothing connects before `start`. Raises ConfigurationError for arguments that make no sense.
    """

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  # each setting has its own type; they are checked
        self.settings: Settings = load_settings(**given)
        self._membership = Membership(self.settings)
        self._writing = Writing(
            self._membership, {name: given[name] for name in _THRESHOLDS if given.get(name) is not None}
        )
        self._reading = Reading(self._membership, self._writing.written)
        self._events = Events(self._membership)

    # -- start and stop ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the cluster; returns when a leader exists. Raises NoLeader after 10 s, StoreUnavailable and others."""
        await self._membership.start()

    async def stop(self) -> None:
        """Sign off and end; a leader hands over. A failure of the replica is raised here if no call has raised it."""
        await self._membership.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -- writing -------------------------------------------------------------------------------------------------------

    async def register_component(
        self,
        component_id: str,
        role: str | None = None,
        restart_policy: RestartPolicy | None = None,
        **policy: Any,  # noqa: ANN401  # the parts of a policy have types of their own; the leader checks them
    ) -> None:
        """Make a component known, or give a known one the parts that are named here; its state and totals stay.

        `policy`: interval, heartbeat_timeout, degraded_threshold, dead_threshold, startup_timeout, expected, score …
        Returns when the leader has accepted it. Raises Refused with the reason, NoLeader after 2 s.
        """
        await self._writing.register(component_id, role, restart_policy, policy)

    async def forget_component(self, component_id: str) -> None:
        """Remove a component and its history. Raises Refused for an unknown one, NoLeader after 2 s."""
        await self._writing.forget(component_id)

    async def heartbeat(
        self,
        component_id: str,
        metrics: Mapping[str, float] | None = None,
        *,
        status: str = "ok",
        msg: str = "",
    ) -> str:
        """Send one heartbeat for a component; its stream id. Metrics of other names than the standard become custom."""
        return await self._writing.heartbeat(component_id, metrics, status, msg)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def get_component_health(self, component_id: str) -> ComponentHealth:
        """The health of one component. Raises NoSuchComponent; NoLeader when an own write is not seen within 2 s."""
        return await self._reading.health(component_id)

    async def get_all_health(self) -> dict[str, ComponentHealth]:
        """The health of every component, by id."""
        return await self._reading.all_health()

    # -- events --------------------------------------------------------------------------------------------------------

    async def subscribe(self, event_type: EventType | str | None, callback: Callback) -> None:
        """Have `callback` called with every later event of the type (None: of every type), in order, from any replica.

        A plain or an async function. One that raises is logged, and hears of the next event all the same. A slow one
        delays nobody but itself. Events that were trimmed before it came to them are logged with their number.
        """
        await self._events.subscribe(event_type, callback)

    def events(self, since: str | None = None) -> AsyncGenerator[HealthEvent | EventsMissed, None]:
        """Every event after the stream id `since`, or from now on, for as long as it is iterated.

        Yields EventsMissed where events were trimmed before they were read. Raises StoreUnavailable when Redis is away;
        go on from the last `stream_id` then.
        """
        return self._events.after(since)


_monitors: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[dict[str, Any], DistributedHealthMonitor]] = (
    WeakKeyDictionary()
)


async def get_health_monitor(**given: Any) -> DistributedHealthMonitor:  # noqa: ANN401  # settings, as above
    """The monitor of the running loop, started. Raises ConfigurationError when called again with other arguments."""
    loop = asyncio.get_running_loop()
    known = _monitors.get(loop)
    if known is not None and given and given != known[0]:
        raise ConfigurationError(
            f"this loop's monitor was made with {known[0]}: call get_health_monitor() without arguments, or make a "
            "DistributedHealthMonitor of your own"
        )
    if known is None:
        known = (dict(given), DistributedHealthMonitor(**given))
        _monitors[loop] = known
    await known[1].start()
    return known[1]
