"""OwnershipCoordinator: what a program holds to say that a component is its own, and whether it may be restarted."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self
from weakref import WeakKeyDictionary

import anyio
from anyio.abc import TaskGroup

from healthmon import clock
from healthmon.core.ids import valid_id
from healthmon.core.roles import EntryPoint
from healthmon.errors import ConfigurationError, HealthmonError, Refused
from healthmon.settings import load_client_settings
from healthmon.store.calls import Client, open_raw
from healthmon.store.keys import Keys
from healthmon.store.ownership import HeldBy, OwnerLease, Owners, Wanted

logger = logging.getLogger("healthmon.agent")

LEASE_TTL_S: Final = 15.0
LEASE_TTL_S_LEAST: Final = 0.5
LOOK_AGAIN_S: Final = 0.25
STOP_S: Final = 1.0
CERTAIN: Final = 0.9  # of a lease: two clocks do not drift apart by a tenth


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who owned a component when it was asked for; true when it was the coordinator that asked.

    `owner`: `<entry point>@<host>-<pid>-<random>`, empty for nobody. `epoch`: rises with each new owner; hand it to
    what you start, so that an earlier owner's children can be told from yours. `refusal`: why the owner wants no
    restarts, empty where it agrees to them. `left_s`: seconds that the lease has left.
    """

    component_id: str
    owner: str = ""
    epoch: int = 0
    mine: bool = False
    refusal: str = ""
    left_s: float = 0.0

    @property
    def entry_point(self) -> str:
        """The entry point of the owner, empty for nobody."""
        return self.owner.rpartition("@")[0]

    def __bool__(self) -> bool:
        return self.mine


Lost = Callable[[Ownership], Awaitable[None] | None]


@dataclass(slots=True)
class _Held:
    """A lease of ours. `until_s`: until when it is certain that nobody else has it, on this machine's steady clock."""

    wanted: Wanted
    lease: OwnerLease
    until_s: float


class OwnershipCoordinator:
    """Says which components this program owns for as long as it lives, so that two programs never run one.

    The specification's Unified State Coordinator.

    Promised:
    - At most one owner of a component at a time. A lease of `lease_ttl` seconds (15 unless given, at least 0.5) in
      Redis is renewed at each third of it; a program that died or was cut off loses its components when it runs out.
    - The monitor asks the owner before it restarts a component. An owner agrees unless it says otherwise: `refuse=` at
      `acquire_ownership`, or `refuse_restarts`, with the reason that people are shown.
    - What was lost to another owner is told: `on_lost`, and a log line. A lease that ran out while Redis was away and
      that nobody took is taken again under a new epoch.

    Not promised: that a program which was stopped and goes on knows at once that it lost a component. `owns` says what
    is certain by the local clock; `verify` asks Redis.

    Arguments win over HEALTH_REDIS_URL and HEALTH_PREFIX. Use it as a context manager, or `start` and `stop` it; a stop
    gives up what is owned. Raises ConfigurationError for arguments that make no sense; the calls raise
    StoreUnavailable and NotPermitted.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        prefix: str | None = None,
        lease_ttl: float = LEASE_TTL_S,
        on_lost: Lost | None = None,
    ) -> None:
        if not LEASE_TTL_S_LEAST <= lease_ttl <= 3600:
            raise ConfigurationError(
                f"lease_ttl is {lease_ttl:g} s; it must be from {LEASE_TTL_S_LEAST:g} s to an hour"
            )
        settings = load_client_settings(redis_url=redis_url, prefix=prefix)
        self._url = settings.redis_url
        self._owners = Owners(Keys(settings.prefix, 0))
        self._ttl_s = lease_ttl
        self._on_lost = on_lost
        self._holder = (
            f"{re.sub('[^A-Za-z0-9._-]', '-', socket.gethostname())[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        )
        self._held: dict[str, _Held] = {}
        self._epochs: dict[str, int] = {}
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._group: TaskGroup | None = None
        # One command at a time: a renewal and a release of one lease must not overtake each other.
        self._turn = anyio.Lock()

    # -- start and stop ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to renew what will be owned; nothing is sent before the first call. A second start does nothing."""
        if self._task is not None and not self._task.done():
            return
        self._client = open_raw(self._url, name="owner", timeout_s=max(LEASE_TTL_S_LEAST, self._ttl_s / 3))
        begun = anyio.Event()
        self._task = asyncio.create_task(self._run(self._client, begun), name="healthmon-ownership")
        await begun.wait()

    async def stop(self) -> None:
        """Give up what is owned, and end. Waits up to 1 s for Redis; what it is not told runs out by itself."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._group is not None:
            self._group.cancel_scope.cancel()
        await task

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _run(self, client: Client, begun: anyio.Event) -> None:
        """The one task that owns the renewal and the connection."""
        try:
            async with anyio.create_task_group() as self._group:
                begun.set()
                await self._keep()
        finally:
            self._group = None
            with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_S):
                await self._give_up_all(client)
            with anyio.CancelScope(shield=True):
                await client.aclose()

    async def _give_up_all(self, client: Client) -> None:
        held, self._held = self._held, {}
        try:
            for component_id, one in held.items():
                await self._owners.disown(client, component_id, one.lease)
        except HealthmonError as away:
            logger.debug("not given up, it runs out by itself: %s", away)

    # -- owning --------------------------------------------------------------------------------------------------------

    async def acquire_ownership(
        self, component: str, entry_point: str = EntryPoint.MANUAL, *, refuse: str = "", wait: float = 0.0
    ) -> Ownership:
        """Own a component until it is released or this ends; false, and whose it is, when another owns it.

        `refuse`: why the monitor may not restart it while it is owned here; empty: it may. `wait`: seconds to wait
        for the present owner to let go or to die. Owning what is owned here already says `refuse` anew.
        Raises Refused for a bad id or entry point, StoreUnavailable, NotPermitted.
        """
        component_id, name = _checked("component", component), self._name(entry_point)
        deadline_s = clock.monotonic_s() + wait
        while True:
            async with self._turn:
                ownership = await self._own(component_id, name, refuse)
            left_s = deadline_s - clock.monotonic_s()
            if ownership or left_s <= 0:
                return ownership
            await anyio.sleep(min(left_s, LOOK_AGAIN_S))

    async def release(self, component: str) -> bool:
        """Give a component up. False when it was not, or is no longer, owned here."""
        async with self._turn:
            held = self._held.pop(str(component), None)
            return held is not None and await self._owners.disown(self._live(), str(component), held.lease)

    async def refuse_restarts(self, component: str, reason: str) -> Ownership:
        """From now on the monitor does not restart it, and shows the reason. Raises Refused if it is not owned here."""
        if not reason:
            raise Refused("a refusal needs a reason: people are shown it while the component is down")
        return await self._say_anew(component, reason)

    async def allow_restarts(self, component: str) -> Ownership:
        """From now on the monitor may restart it. Raises Refused if it is not owned here."""
        return await self._say_anew(component, "")

    async def verify(self, component: str) -> Ownership:
        """Who owns a component now, by Redis; true when it is owned here. Raises StoreUnavailable, NotPermitted."""
        component_id = _checked("component", component)
        found = await self._owners.owner(self._live(), component_id)
        held = self._held.get(component_id)
        mine = found is not None and held is not None and found.lease == held.lease
        return Ownership(component_id) if found is None else _told(component_id, found, mine=mine)

    def owns(self, component: str) -> bool:
        """Whether it is certain, by this machine's clock and without asking, that nobody else owns this component."""
        held = self._held.get(str(component))
        return held is not None and clock.monotonic_s() < held.until_s

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _say_anew(self, component: str, refusal: str) -> Ownership:
        async with self._turn:
            held = self._held.get(str(component))
            if held is None:
                raise Refused(f"{component} is not owned here: acquire_ownership first")
            return await self._own(str(component), held.wanted.name, refusal)

    async def _renew(self, component_id: str) -> None:
        async with self._turn:
            held = self._held.get(component_id)
            if held is not None:
                await self._own(component_id, held.wanted.name, held.wanted.refusal)

    async def _own(self, component_id: str, name: str, refusal: str) -> Ownership:
        """Take, prolong or change a lease. What is held here under another name is another's."""
        client, known = self._live(), self._held.get(component_id)
        held = known.lease if known is not None and known.wanted.name == name else None
        wanted = Wanted(name, round(self._ttl_s * 1000), held, refusal, self._epochs.get(component_id, 0))
        sent_s = clock.monotonic_s()
        answer = await self._owners.own(client, component_id, wanted)
        self._epochs[component_id] = max(wanted.floor, answer.lease.epoch)
        if isinstance(answer, HeldBy):
            ownership = _told(component_id, answer, mine=False)
            if held is not None:
                self._lose(ownership)
            return ownership
        if held is not None and held.epoch != answer.lease.epoch:
            logger.warning("the lease of %s had run out; it is owned again", component_id)
        self._held[component_id] = _Held(wanted, answer.lease, sent_s + self._ttl_s * CERTAIN)
        return _told(component_id, HeldBy(answer.lease, wanted.ttl_ms), mine=True)

    def _lose(self, ownership: Ownership) -> None:
        del self._held[ownership.component_id]
        logger.warning("%s is owned by %s now: it was lost here", ownership.component_id, ownership.owner)
        if self._on_lost is not None and self._group is not None:
            self._group.start_soon(_call, self._on_lost, ownership)

    async def _keep(self) -> None:
        """Renew at each third of the lease; sooner again when Redis was away."""
        away_told = False
        pause_s = self._ttl_s / 3
        while True:
            await anyio.sleep(pause_s)
            try:
                for component_id in list(self._held):
                    await self._renew(component_id)
                pause_s, away_told = self._ttl_s / 3, False
            except HealthmonError as away:
                logger.log(logging.DEBUG if away_told else logging.WARNING, "ownership can't be renewed: %s", away)
                pause_s, away_told = self._ttl_s / 10, True

    def _live(self) -> Client:
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            self._task = None
            failure = task.exception()
            if failure is not None:
                raise failure
        if self._task is None or self._client is None:
            raise HealthmonError("this coordinator is not started: await start() first")
        return self._client

    def _name(self, entry_point: str) -> str:
        checked = _checked("entry point", entry_point)
        if "@" in checked:
            raise Refused(f"{checked!r} is no entry point: no @, which parts it from the process")
        return f"{checked}@{self._holder}"


_coordinators: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[dict[str, Any], OwnershipCoordinator]] = (
    WeakKeyDictionary()
)


async def get_unified_coordinator(**given: Any) -> OwnershipCoordinator:  # noqa: ANN401  # the coordinator's arguments
    """The coordinator of the running loop, started. Raises ConfigurationError for other arguments than before."""
    loop = asyncio.get_running_loop()
    known = _coordinators.get(loop)
    if known is not None and given and given != known[0]:
        raise ConfigurationError(
            "this loop's coordinator was made with other arguments: call get_unified_coordinator() without any, or "
            "make an OwnershipCoordinator of your own"
        )
    if known is None:
        known = (dict(given), OwnershipCoordinator(**given))
        _coordinators[loop] = known
    await known[1].start()
    return known[1]


async def _call(on_lost: Lost, ownership: Ownership) -> None:
    try:
        answer = on_lost(ownership)
        if answer is not None:
            await answer
    except Exception:
        logger.exception("on_lost failed for %s", ownership.component_id)


def _told(component_id: str, found: HeldBy, *, mine: bool) -> Ownership:
    lease = found.lease
    return Ownership(component_id, lease.owner, lease.epoch, mine, lease.refusal, found.left_ms / 1000)


def _checked(what: str, name: str) -> str:
    if not (isinstance(name, str) and valid_id(name)):
        raise Refused(f"{name!r:.150} is no {what}: 1 to 128 letters, digits and ._@-, no dot in front")
    return str(name)
