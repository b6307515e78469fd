"""Alerts for a program, from a consumer group of its own: each comes until somebody acknowledges it."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import tenacity

from healthmon import clock
from healthmon.core.ids import valid_id
from healthmon.core.incidents import is_alert
from healthmon.errors import HealthmonError, Refused, StoreUnavailable
from healthmon.monitor_api.membership import Membership
from healthmon.store.calls import Client, open_raw
from healthmon.store.deliveries import GROUP
from healthmon.store.groups import Group, is_gone
from healthmon.store.reading import StreamEntry

AGAIN_S_MAX: Final = 2.0
READ: Final = 50


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `event`: the whole CloudEvent; `id` names it, also when it comes again."""

    id: str
    stream_id: str
    event: Mapping[str, Any]
    _group: Group = field(repr=False, compare=False)

    @property
    def data(self) -> Mapping[str, Any]:
        """What it says: component_id, status, severity, summary, reason, new_state, incident, and more."""
        found: Mapping[str, Any] = self.event["data"]
        return found

    @property
    def component_id(self) -> str:
        """The component that it is about, "" for the monitor's own."""
        return str(self.data.get("component_id", ""))

    @property
    def firing(self) -> bool:
        """True while something is wrong, False for the end of it."""
        return bool(self.data["status"] == "firing")

    @property
    def severity(self) -> str:
        """critical, error, warning or info."""
        return str(self.data["severity"])

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        return str(self.data["summary"])

    async def ack(self) -> None:
        """It is dealt with and comes no more to this group. Raises StoreUnavailable: then it comes again."""
        await self._group.acknowledge(self.stream_id)


class Alerts:
    """The consumers of one monitor object."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._clients: set[Client] = set()
        membership.beside(_nothing, self._end)

    async def after_now(self, group: str, again_after: float) -> AsyncGenerator[Alert, None]:
        """Every alert from the group's beginning on, and what other consumers left for so many seconds."""
        if group == GROUP or not valid_id(group):
            raise Refused(f"{group!r} can't be the group of a program: name it after what it does, such as pager")
        settings, keys = self._membership.replica.settings, self._membership.keys
        name = f"{settings.replica_id}-{secrets.token_hex(2)}"
        reader = open_raw(settings.redis_url, name=f"{settings.replica_id}-{group}", dedicated=True)
        self._clients.add(reader)
        own = Group(self._membership.client, keys, group, name)
        try:
            async for entry in _entries(Group(reader, keys, group, name), again_after):
                alert = _alert_in(entry, own)
                if alert is None:
                    await own.acknowledge(entry.id)
                else:
                    yield alert
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                with suppress(HealthmonError):  # its name is all that is left there, and goes with the next consumer
                    await own.leave()
                await reader.aclose()
            self._clients.discard(reader)

    async def _end(self) -> None:
        for client in list(self._clients):
            await client.aclose()


async def _nothing(_group: object) -> None:
    """Nothing runs beside the replica."""


async def _entries(group: Group, again_after_s: float) -> AsyncIterator[StreamEntry]:
    """What is new, and now and then what was read and is not acknowledged. Waits while Redis is away."""
    met, swept_s = False, clock.monotonic_s()

    async def look() -> list[StreamEntry]:
        nonlocal met, swept_s
        try:
            if not met:
                await group.begin("$")
                met = True
                return await group.claim(round(again_after_s * 1000))
            if clock.monotonic_s() - swept_s >= again_after_s / 2:
                swept_s = clock.monotonic_s()
                await group.tidy(await group.consumers())
                return await group.claim(round(again_after_s * 1000))
            return await group.read(count=READ)
        except HealthmonError:
            met = False
            raise

    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(_may_come_back),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=AGAIN_S_MAX),
        sleep=anyio.sleep,
        reraise=True,
    )
    while True:
        found: list[StreamEntry] = await attempts(look)
        for entry in found:
            yield entry


def _may_come_back(error: BaseException) -> bool:
    """Redis is away, or came back without its data: then the group is made again."""
    return isinstance(error, StoreUnavailable) or (isinstance(error, HealthmonError) and is_gone(error))


def _alert_in(entry: StreamEntry, group: Group) -> Alert | None:
    text = entry.fields.get("json", "")
    try:
        event = json.loads(text) if text else None
    except ValueError:
        return None
    return Alert(str(event["id"]), entry.id, event, group) if is_alert(event) else None
