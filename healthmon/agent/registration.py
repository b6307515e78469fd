"""Registers the supervised component: at the start, and again where its record was lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import anyio
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from healthmon.agent.supervise_plan import AGENT
from healthmon.errors import HealthmonError, NotPermitted
from healthmon.store.calls import call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.agent.supervise_plan import Plan
    from healthmon.store.calls import Client
    from healthmon.store.keys import Keys

LOOK_EVERY_S: Final = 10.0
WAIT_MAX_S: Final = 5.0


class Registration:
    """Keeps the component registered with the policy that it is given here. `asked` is set when that was asked for."""

    def __init__(self, plan: Plan, client: Client, keys: Keys) -> None:
        self._plan = plan
        self._client = client
        self._keys = keys
        self._generation = b""
        self._known = False
        self.asked = anyio.Event()

    async def keep(self) -> None:
        """Register, then look every 10 s whether the record is still there. For ever, also while Redis is away."""
        again = AsyncRetrying(
            retry=retry_if_exception_type(HealthmonError),
            wait=wait_random_exponential(multiplier=0.1, max=WAIT_MAX_S),
            sleep=anyio.sleep,
        )
        while True:
            await again(self._look)
            await anyio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        """Ask once for the record. Where nobody leads yet there is none for a while: then it is asked for once only."""
        generation, raw = await self._stored()
        stored = _read(raw)
        lost = bool(generation and self._generation and generation != self._generation) or (self._known and raw is None)
        if lost or not self.asked.is_set():
            wanted = self._wanted(stored)
            if any(stored.get(part) != value for part, value in wanted.items()) or raw is None:
                await self._register(wanted)
            self.asked.set()
        self._generation = generation or self._generation
        self._known = raw is not None

    async def _stored(self) -> tuple[bytes, bytes | None]:
        """The data set's identity, and the stored policy. Nothing for a user who may only append: then we just ask."""
        record = self._keys.component(self._plan.component_id)
        try:
            generation: bytes | None = await call(self._client, "GET", self._keys.generation)
            (raw,) = await call(self._client, "HMGET", record, "policy")
        except NotPermitted:
            return b"", None
        return generation or b"", raw

    def _wanted(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The parts to register. A fleet file may have set the pace of restarts: what is not given here is kept."""
        given = dict(self._plan.policy)
        kept = stored.get("restart", {}) if _method(stored) == AGENT else {}
        given["restart"] = {**kept, **given.get("restart", {}), "method": AGENT}
        return given

    async def _register(self, policy: Mapping[str, Any]) -> None:
        said = {
            "cmd": "register",
            "id": self._plan.component_id,
            "policy": json.dumps(policy, sort_keys=True, separators=(",", ":")),
            "by": self._plan.name,
        }
        fields = [part for pair in said.items() for part in pair]
        await call(self._client, "XADD", self._keys.control, "*", *fields)


def _read(raw: bytes | None) -> dict[str, Any]:
    """The stored policy; nothing where there is none that can be read."""
    try:
        policy = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return policy if isinstance(policy, dict) else {}


def _method(stored: Mapping[str, Any]) -> str:
    restart = stored.get("restart")
    return str(restart.get("method", "")) if isinstance(restart, dict) else ""
