"""What a program asks of a monitor object: the health of components, with all that was written through it before."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from healthmon.core.health import ComponentHealth, health_of
from healthmon.errors import NoLeader, NoSuchComponent
from healthmon.monitor.replica import Replica
from healthmon.monitor_api.membership import Membership
from healthmon.monitor_api.writing import SEEN_WITHIN_S, Written
from healthmon.store.asking import ask
from healthmon.store.calls import call
from healthmon.store.event_log import EventLog
from healthmon.store.streams import order


class Reading:
    """Reads the replica's table, after waiting for what was `written`."""

    def __init__(self, membership: Membership, written: Written) -> None:
        self._membership = membership
        self._written = written

    async def health(self, component_id: str) -> ComponentHealth:
        """The health of one component. Raises NoSuchComponent, NoLeader."""
        await self._see_own_writes()
        replica = self._membership.replica
        component = replica.parts.table.get(component_id)
        if component is None or not component.rev:
            raise NoSuchComponent(f"no component {component_id!r}: register it, or send its first heartbeat")
        return health_of(component, round(replica.parts.time.now_ms()))

    async def all_health(self) -> dict[str, ComponentHealth]:
        """The health of every component, by id. Raises NoLeader."""
        await self._see_own_writes()
        parts = self._membership.replica.parts
        now_ms = round(parts.time.now_ms())
        records = (parts.table.get(one) for one in list(parts.table.components))
        return {one.id: health_of(one, now_ms) for one in records if one is not None and one.rev}

    async def _see_own_writes(self) -> None:
        """Wait until what this object wrote has been folded and committed, and stands in this replica's table."""
        replica, written = self._membership.replica, self._written
        if not written.components:
            return
        wrote, written.components = written.components, {}
        heartbeats, control = written.heartbeat_at.encode(), written.control_at.encode()
        try:
            with anyio.fail_after(SEEN_WITHIN_S):
                if replica.leadership is not None:
                    await self._membership.rounds_until(
                        lambda: replica.has_done("heartbeats", heartbeats) and replica.has_done("control", control)
                    )
                else:
                    await self._sync(replica, wrote)
        except TimeoutError:
            written.components = {**wrote, **written.components}
            raise NoLeader(f"what was written was not seen within {SEEN_WITHIN_S:g} s") from None

    async def _sync(self, replica: Replica, wrote: Mapping[str, str]) -> None:
        """Have the leader fold up to the writes, then wait until this replica has followed up to there."""
        keys, client = self._membership.keys, self._membership.client
        entry = b"0-0"
        for component_id, upto in wrote.items():
            asked = await ask(client, keys, "sync", id=component_id, upto=upto)
            entry = asked.entry.encode()
        while True:
            answered = await call(client, "HGET", keys.cursor, "control")
            if order(answered or b"0-0") >= order(entry):
                break
            await anyio.sleep(0.005)
        events = (await EventLog(client, keys).last()).encode()
        heartbeats = self._written.heartbeat_at.encode()
        await self._membership.rounds_until(
            lambda: (
                replica.leadership is not None
                or (replica.has_done("heartbeats", heartbeats) and replica.has_done("events", events))
            )
        )
