"""What a program asks of a monitor object: the health of components, with all that was written through it before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import anyio

from healthmon.core.health import ComponentHealth, health_of
from healthmon.errors import NoLeader, NoSuchComponent
from healthmon.monitor.replica import Replica
from healthmon.monitor_api.membership import Membership
from healthmon.monitor_api.writing import SEEN_WITHIN_S, Last, Writing
from healthmon.store.asking import ask
from healthmon.store.calls import call
from healthmon.store.codec import read_component, text_map
from healthmon.store.event_log import EventLog
from healthmon.store.streams import order

LOOK_AGAIN_S: Final = 0.005


class Reading:
    """Reads the replica's table, after waiting for what was written."""

    def __init__(self, membership: Membership, writing: Writing) -> None:
        self._membership = membership
        self._writing = writing

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
        replica, written = self._membership.replica, self._writing.written
        try:
            with anyio.fail_after(SEEN_WITHIN_S):
                await self._writing.said_again()
                if not written.components:
                    return
                wrote = dict(written.components)
                heartbeats, control = written.heartbeat_at.encode(), written.control_at.encode()
                if replica.leadership is not None:
                    await self._membership.rounds_until(
                        lambda: replica.has_done("heartbeats", heartbeats) and replica.has_done("control", control)
                    )
                else:
                    await self._sync(replica, wrote)
                written.seen(wrote)
        except TimeoutError:
            raise NoLeader(f"what was written was not seen within {SEEN_WITHIN_S:g} s") from None

    async def _sync(self, replica: Replica, wrote: Mapping[str, Last]) -> None:
        """Have the leader fold up to the writes, then wait until this replica has followed up to there."""
        keys, client = self._membership.keys, self._membership.client
        open_ = {one: last for one, last in wrote.items() if last.heartbeat or last.report}
        entry = b"0-0"
        for component_id, last in open_.items():
            asked = await ask(client, keys, "sync", id=component_id, upto=last.heartbeat)
            entry = asked.entry.encode()
        while open_:
            answered = await call(client, "HGET", keys.cursor, "control")
            if order(answered or b"0-0") >= order(entry):
                break
            # The cursor stays behind reports that are not stored in bulk yet; a sync stores its own component at once.
            open_ = {one: last for one, last in open_.items() if not await self._is_stored(replica, one, last)}
            await anyio.sleep(LOOK_AGAIN_S)
        written = self._writing.written
        events = (await EventLog(client, keys).last()).encode()
        heartbeats, control = written.heartbeat_at.encode(), written.control_at.encode()
        await self._membership.rounds_until(
            lambda: (
                replica.leadership is not None
                or (
                    replica.has_done("heartbeats", heartbeats)
                    and replica.has_done("control", control)
                    and replica.has_done("events", events)
                )
            )
        )

    async def _is_stored(self, replica: Replica, component_id: str, last: Last) -> bool:
        """Whether the stored record says that it is folded up to what was written of it."""
        keys, client = self._membership.keys, self._membership.client
        said = text_map(await call(client, "HGETALL", keys.component(component_id)))
        if "rev" not in said:
            return False
        stored = read_component(said, replica.parts.table.defaults)
        return order(stored.last_id or b"0-0") >= order(last.heartbeat.encode() or b"0-0") and order(
            stored.reports_folded.encode() or b"0-0"
        ) >= order(last.report.encode() or b"0-0")
