"""The Python face: a monitor object is one replica of the cluster and a client of it.

Two objects, in one process or in many, are two replicas: one leads, the others follow hot. What a call changed is seen
by the next read through the same object.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Self
from weakref import WeakKeyDictionary

from healthmon.core.claims import ANYBODY
from healthmon.core.event import EventType
from healthmon.core.health import ComponentHealth, EventsMissed, HealthEvent
from healthmon.core.restart import RestartPolicy
from healthmon.errors import ConfigurationError, Refused
from healthmon.monitor.replica import Replica
from healthmon.monitor_api.events import Events
from healthmon.monitor_api.feed import Callback
from healthmon.monitor_api.membership import Membership
from healthmon.monitor_api.reading import Reading
from healthmon.monitor_api.registrations import (
    BREAKER,
    THRESHOLDS,
    Probe,
    Registrations,
    RestartMethod,
    probe_part,
    restart_part,
)
from healthmon.monitor_api.verification import Verification, Verifier
from healthmon.monitor_api.writing import Writing, check_id
from healthmon.restarts.handler import Handler
from healthmon.settings import Settings, load_settings


class DistributedHealthMonitor:
    """One replica of the monitor in this process, and the calls that programs make.

    Arguments are settings by their names, seconds where they are durations; they win over the environment. Thresholds
    and breaker settings given here go into the policy of the components that this object registers; all others follow
    the leader's settings. Nothing connects before `start`. Raises ConfigurationError for arguments that make no sense.
    """

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  # each setting has its own type; they are checked
        self.settings: Settings = load_settings(**given)
        known = {name: value for name, value in given.items() if value is not None}
        self._registrations = Registrations(
            self.settings,
            {name: known[name] for name in THRESHOLDS if name in known},
            {name: known[name] for name in BREAKER if name in known},
        )
        self._membership = Membership(self.settings, self._registrations.handlers, self._registrations.callables)
        self._verification = Verification()
        self._membership.prepare(self._let_it_ask)
        self._writing = Writing(self._membership, self._registrations)
        self._reading = Reading(self._membership, self._writing)
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
        *,
        restart_method: str | None = None,
        restart_command: Sequence[str] | None = None,
        restart_url: str | None = None,
        restart_timeout: float | None = None,
        probe: Probe | None = None,
        probe_interval: float | None = None,
        probe_timeout: float | None = None,
        depends_on: Sequence[str] | None = None,
        **policy: Any,  # noqa: ANN401  # the parts of a policy have types of their own; the leader checks them
    ) -> None:
        """Make a component known, or give a known one the parts that are named here; its state and totals stay.

        `restart_method`: agent (the `healthmon run` beside it), exec (`restart_command`, run on the leader's host),
        webhook (`restart_url`), handler (`set_restart_handler`) or none; `restart_timeout`: seconds for one attempt.
        `probe`: a URL (http, https, tcp, redis), an argument list to run, or a function of this process, async or not,
        that is well when it returns nothing or something true; every `probe_interval` seconds (check_interval unless
        given). `depends_on`: ids that are restarted before it. `policy`: interval, heartbeat_timeout,
        degraded_threshold, dead_threshold, startup_timeout, expected, recovery_heartbeats, score, breaker, and restart
        for what has no argument here (reset_after, auto).

        Returns when the leader has accepted it. Raises Refused with the reason, NoLeader after 2 s.
        """
        method = RestartMethod(restart_method, restart_command, restart_url, restart_timeout)
        restart = restart_part(restart_policy, method, policy.pop("restart", None))
        said = {"role": None if role is None else str(role), "depends_on": depends_on, **policy}
        if probe is not None:
            said["probe"] = probe_part(probe, probe_interval, probe_timeout)
        await self._writing.register(component_id, said, restart)
        if callable(probe):
            self._registrations.callables[component_id] = probe
        elif probe is not None:
            self._registrations.callables.pop(component_id, None)

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

    async def record_failure(self, component_id: str, detail: str = "") -> str:
        """Count one failure of a component against its circuit breaker; the report's stream id.

        failure_threshold of them in a row, with no heartbeat or good probe between, open it. `detail`: one line, shown
        with it. An unknown component is registered by it, as by a first heartbeat.
        """
        return await self._writing.fail(component_id, detail)

    async def _record_failure(self, component_id: str, detail: str = "") -> str:
        """`record_failure`, by the name that the specification's tests use."""
        return await self._writing.fail(component_id, detail)

    # -- operating: each returns when the leader has done it; raises Refused with the reason, NoLeader after 2 s -------

    async def reset_circuit_breaker(self, component_id: str, *, by: str = "", reason: str = "") -> None:
        """Close a component's circuit breaker: it counts failures anew from here."""
        await self._order("reset-breaker", component_id, by, reason)

    async def hold(self, component_id: str, *, by: str = "", reason: str = "") -> None:
        """Restart this component no more by itself, until `resume`. It is watched all the same."""
        await self._order("hold", component_id, by, reason)

    async def resume(self, component_id: str = "", *, by: str = "", reason: str = "") -> None:
        """Restart a held component by itself again. Without an id: a mass failure is real, hold deaths no longer."""
        await self._order("resume", component_id, by, reason)

    async def silence(self, component_id: str, seconds: float, *, reason: str, by: str = "") -> None:
        """Silence a component for so many seconds, 30 days at most, in the place of an earlier silence.

        It is watched and healed as before, and its alerts are published; they say `silenced_until`, so that whoever
        delivers them to people can leave them. It ends by itself; 0 seconds end it now. Refused without a reason.
        """
        await self._order("silence", component_id, by, reason, **{"for": f"{seconds:.12g}"})

    async def acknowledge(self, component_id: str, *, by: str = "", reason: str = "", end: bool = False) -> None:
        """Say that somebody looks after what is wrong with a component, until it is well again.

        `end` takes it back. Refused while nothing is wrong with it.
        """
        await self._order("acknowledge", component_id, by, reason, **({"for": "0"} if end else {}))

    async def restart(self, component_id: str, *, by: str = "", reason: str = "") -> None:
        """Restart a component now, whatever its state; it is attempt 1. Returns when the attempt is claimed.

        Refused where it has no restart method and while it is restarting.
        """
        await self._order("restart", component_id, by, reason)

    async def revive(self, component_id: str, *, by: str = "", reason: str = "") -> None:
        """Restart a component that has permanently failed, or wait for it anew where it has no method."""
        await self._order("revive", component_id, by, reason)

    async def _order(self, cmd: str, component_id: str, by: str, reason: str, **said: str) -> None:
        if component_id or cmd != "resume":
            check_id(component_id)
        await self._writing.ask(cmd, component_id, by=by or self.settings.replica_id, reason=reason, **said)

    @property
    def circuit_breaker_config(self) -> Mapping[str, float | int]:
        """failure_threshold, recovery_timeout (seconds) and success_threshold of components registered here; read only.

        Set it to a dict of some or all of them: it holds for all that this object registers, and is told again of those
        that it registered before, which the next read sees. Raises Refused for a wrong name or value.
        """
        return self._registrations.breaker_config

    @circuit_breaker_config.setter
    def circuit_breaker_config(self, config: Mapping[str, float | int]) -> None:
        self._registrations.configure_breaker(config)
        self._writing.say_again(*self._registrations.restarts)

    # -- what this process offers --------------------------------------------------------------------------------------

    def set_restart_handler(self, handler: Handler | None, component_id: str | None = None) -> None:
        """Have `handler(component_id)` restart a component, or all without a handler of their own; None takes it back.

        It is awaited in this process, also while another replica leads, once an attempt, for the attempt's time-out at
        most; true is success, an exception a failed attempt with its text. Components registered here before or after,
        without another method, are restarted by it; one that registers itself needs restart_method="handler".
        """
        if handler is not None and not callable(handler):
            raise Refused(
                f"the restart handler is {type(handler).__name__}; give an async function of a component's id"
            )
        if component_id is not None:
            check_id(component_id)
        self._registrations.handle(component_id or ANYBODY, handler)
        self._writing.say_again(*self._registrations.restarts)

    def set_ownership_verifier(self, verifier: Verifier | None) -> None:
        """Ask `verifier(component_id)` before each restart; None: ask the component's owner in Redis, as before.

        Async or not, it returns "" or true when the restart may begin, else why not, or false. An exception, or no
        answer within 5 s, is a refusal, and it is asked again later. It is asked while this replica leads, so give the
        same to every replica.
        """
        self._verification.plug(verifier)

    def _let_it_ask(self, replica: Replica) -> None:
        """A new replica asks whom this program plugged in."""
        self._verification.join(replica.parts.healing.agreements)

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
