"""What a program says through a monitor object: heartbeats, failures, and commands that the leader answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import tenacity
from anyio.abc import TaskGroup

from healthmon.core.component import Status
from healthmon.core.heartbeat import CUSTOM, STANDARD_METRICS, shown
from healthmon.core.ids import valid_id
from healthmon.errors import HealthmonError, NoLeader, Refused, StoreUnavailable, TimedOut
from healthmon.monitor_api.membership import Membership
from healthmon.monitor_api.registrations import Registrations
from healthmon.store.asking import CommandRefused, answer_to, ask
from healthmon.store.calls import call
from healthmon.store.codec import pack_heartbeat

logger = logging.getLogger("healthmon")
SEEN_WITHIN_S: Final = 2.0
DETAIL_MAX: Final = 512
AGAIN_S_MAX: Final = 2.0


@dataclass(frozen=True, slots=True)
class Last:
    """The last heartbeat and the last report of a failure that were written of one component; empty for none."""

    heartbeat: str = ""
    report: str = ""


@dataclass(slots=True)
class Written:
    """What this object wrote and has not yet seen folded: the last entries of the streams, and of each component."""

    heartbeat_at: str = "0-0"
    control_at: str = "0-0"
    components: dict[str, Last] = field(default_factory=dict)

    def note(self, component_id: str, *, heartbeat: str = "", report: str = "") -> None:
        """An entry about this component was written; without one: a command of it was answered."""
        last = self.components.get(component_id, Last())
        self.components[component_id] = Last(heartbeat or last.heartbeat, report or last.report)
        self.heartbeat_at = max(self.heartbeat_at, heartbeat or "0-0", key=_numbers)

    def note_control(self, entry: str) -> None:
        """An entry of the control stream was written."""
        self.control_at = max(self.control_at, entry, key=_numbers)

    def seen(self, components: Mapping[str, Last]) -> None:
        """These were waited for; what was written meanwhile was not."""
        for component_id, last in components.items():
            if self.components.get(component_id) == last:
                del self.components[component_id]


class Writing:
    """Appends to the streams in. What changes of `registrations` is said again of all that were registered here."""

    def __init__(self, membership: Membership, registrations: Registrations) -> None:
        self.written = Written()
        self._membership = membership
        self._registrations = registrations
        self._group: TaskGroup | None = None
        self._stale: dict[str, None] = {}
        self._saying_again: anyio.Event | None = None
        membership.beside(self._begin, self._end)

    # -- components ----------------------------------------------------------------------------------------------------

    async def register(self, component_id: str, said: Mapping[str, Any], restart: Mapping[str, Any]) -> None:
        """Register, and wait for the leader's answer. Raises Refused, NoLeader."""
        check_id(component_id)
        registrations = self._registrations
        policy = registrations.policy(component_id, said, restart)
        await self.ask("register", component_id, policy=json.dumps(policy))
        registrations.restarts[component_id] = restart
        if registrations.policy(component_id, said, restart) != policy:
            self.say_again(component_id)

    async def forget(self, component_id: str) -> None:
        """Forget, and wait for the leader's answer. Raises Refused, NoLeader."""
        check_id(component_id)
        self._registrations.restarts.pop(component_id, None)
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
        self.written.note(component_id, heartbeat=entry.decode())
        return entry.decode()

    async def fail(self, component_id: str, detail: str) -> str:
        """Append the report of one failure; its stream id. Evidence is folded like a heartbeat, and not answered."""
        check_id(component_id)
        keys, client = self._membership.keys, self._membership.client
        said = ("cmd", "report", "kind", "failure", "id", component_id, "detail", shown(detail, DETAIL_MAX))
        entry: bytes = await call(client, "XADD", keys.control, "*", *said)
        self.written.note(component_id, report=entry.decode())
        self.written.note_control(entry.decode())
        return entry.decode()

    async def ask(self, cmd: str, component_id: str, **fields: str) -> None:
        """Append one command and wait for its event, 2 s at most. Raises Refused with the reason, NoLeader."""
        keys, client = self._membership.keys, self._membership.client
        asked = await ask(client, keys, cmd, id=component_id, **fields)
        try:
            await answer_to(client, keys, asked, SEEN_WITHIN_S)
        except TimedOut as late:
            raise NoLeader(str(late)) from None
        except CommandRefused as refused:
            raise Refused(str(refused)) from None
        self.written.note_control(asked.entry)
        if component_id:
            self.written.note(component_id)

    # -- what is said again --------------------------------------------------------------------------------------------

    def say_again(self, *component_ids: str) -> None:
        """Send the parts that changed of these, soon and in the background; the next read waits for it."""
        self._stale.update(dict.fromkeys(component_ids))
        if self._group is not None and self._stale and self._saying_again is None:
            self._saying_again = anyio.Event()
            self._group.start_soon(self._say_again, self._saying_again)

    async def said_again(self) -> None:
        """Returns when all that was to be said again is answered."""
        while self._saying_again is not None:
            await self._saying_again.wait()

    async def _begin(self, group: TaskGroup) -> None:
        self._group = group
        self.say_again()

    async def _end(self) -> None:
        self._group = self._saying_again = None

    async def _say_again(self, done: anyio.Event) -> None:
        """One after the other, until none is left. While Redis is away it is tried again, until the monitor stops."""
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(StoreUnavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=AGAIN_S_MAX),
            sleep=anyio.sleep,
        )
        while self._stale:
            component_id = next(iter(self._stale))
            del self._stale[component_id]
            try:
                await attempts(self._say_changed, component_id)
            except HealthmonError as error:
                logger.warning("the changed policy of %s was not taken: %s", component_id, error)
        self._saying_again = None
        done.set()

    async def _say_changed(self, component_id: str) -> None:
        """Nothing is said of a component that is gone: that would make it known again."""
        keys, client = self._membership.keys, self._membership.client
        if not await call(client, "EXISTS", keys.component(component_id)):
            self._registrations.restarts.pop(component_id, None)
        changed = self._registrations.changed(component_id)
        if changed:
            await self.ask("register", component_id, policy=json.dumps(changed))


def check_id(component_id: str) -> None:
    """Raises Refused for what can be no component's id."""
    if not valid_id(component_id):
        raise Refused(f"{component_id!r} is no id: 1 to 128 letters, digits and ._@-, no dot in front")


def _numbers(entry: str) -> tuple[int, int]:
    ms, _, seq = entry.partition("-")
    return int(ms), int(seq)
