"""What a program says through a monitor object: heartbeats, and commands that the leader answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from healthmon.core.component import Status
from healthmon.core.heartbeat import CUSTOM, STANDARD_METRICS
from healthmon.core.ids import valid_id
from healthmon.core.restart import RestartPolicy
from healthmon.errors import HealthmonError, NoLeader, Refused, TimedOut
from healthmon.monitor_api.membership import Membership
from healthmon.store.asking import ask, wait_for
from healthmon.store.calls import call
from healthmon.store.codec import pack_heartbeat

SEEN_WITHIN_S: Final = 2.0


@dataclass(slots=True)
class Written:
    """What this object wrote and has not yet seen folded: the last entries, and each component's last heartbeat."""

    heartbeat_at: str = "0-0"
    control_at: str = "0-0"
    components: dict[str, str] = field(default_factory=dict)


class Writing:
    """Appends to the streams in. `given`: policy parts of every component that is registered here."""

    def __init__(self, membership: Membership, given: Mapping[str, Any]) -> None:
        self.written = Written()
        self._membership = membership
        self._given = given

    async def register(
        self, component_id: str, role: str | None, restart_policy: RestartPolicy | None, policy: Mapping[str, Any]
    ) -> None:
        """Register, and wait for the leader's answer. Raises Refused, NoLeader."""
        check_id(component_id)
        said: dict[str, Any] = {**self._given, **{k: v for k, v in policy.items() if v is not None}}
        if role is not None:
            said["role"] = str(role)
        if restart_policy is not None:
            said["restart"] = restart_policy.to_policy()
        await self.ask("register", component_id, policy=json.dumps(said))

    async def forget(self, component_id: str) -> None:
        """Forget, and wait for the leader's answer. Raises Refused, NoLeader."""
        check_id(component_id)
        await self.ask("forget", component_id)

    async def heartbeat(self, component_id: str, metrics: Mapping[str, float] | None, status: str, msg: str) -> str:
        """Append one heartbeat; its stream id."""
        check_id(component_id)
        said: dict[str, Any] = {
            name if name in STANDARD_METRICS or name.startswith(CUSTOM) else f"{CUSTOM}{name}": value
            for name, value in (metrics or {}).items()
        }
        if Status(status) is not Status.OK:
            said["status"] = status
        if msg:
            said["msg"] = msg
        packed: list[str | bytes] = ["p", pack_heartbeat(said)] if said else []
        keys, client = self._membership.keys, self._membership.client
        entry: bytes = await call(client, "XADD", keys.heartbeats, "*", "id", component_id, *packed)
        self.written.heartbeat_at = self.written.components[component_id] = entry.decode()
        return self.written.heartbeat_at

    async def ask(self, cmd: str, component_id: str, **fields: str) -> None:
        """Append one command and wait for its event, 2 s at most. Raises Refused with the reason, NoLeader."""
        keys, client = self._membership.keys, self._membership.client
        asked = await ask(client, keys, cmd, id=component_id, **fields)
        try:
            await wait_for(client, keys, asked, lambda event: event.fields.get("cause") == asked.entry, SEEN_WITHIN_S)
        except TimedOut as late:
            raise NoLeader(str(late)) from None
        except HealthmonError as refused:
            raise Refused(str(refused)) from None
        self.written.control_at = asked.entry
        self.written.components.setdefault(component_id, self.written.heartbeat_at)


def check_id(component_id: str) -> None:
    """Raises Refused for what can be no component's id."""
    if not valid_id(component_id):
        raise Refused(f"{component_id!r} is no id: 1 to 128 letters, digits and ._@-, no dot in front")
