"""Restart orders: the tail of them, the taking of one, and the report of how it went.

Promised: of all who take one order, one succeeds, in time and while it is still wanted; an order that may still be
taken is not missed, whenever the reading begins and however often Redis was away.
Not promised: that a taken order is executed; whoever took it may be killed. Its attempt then ends by its deadline.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import anyio
import tenacity

from healthmon.core.ids import valid_id
from healthmon.core.marks import Entry
from healthmon.errors import HealthmonError, StoreUnavailable
from healthmon.store.calls import call, first_id, open_raw
from healthmon.store.codec import read_time_ms, text_map
from healthmon.store.keys import Keys
from healthmon.store.scripts import Scripts
from healthmon.store.streams import order as numbers

logger = logging.getLogger("healthmon.store")
COUNT: Final = 1000
# A read blocks for at most a second, far below the socket's time-out, so that a dead connection is noticed.
BLOCK_MS: Final = 1000
DETAIL_MAX: Final = 512
# The server's clock may have been set back since the oldest running restart was claimed.
MARGIN_MS: Final = 60_000
AGAIN_S_MAX: Final = 2.0
# A server that starts again answers within seconds; an order is soon too late in any case.
TAKE_WITHIN_S: Final = 30.0
# Beyond that the attempt was counted as failed long ago, by its deadline.
REPORT_WITHIN_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class RestartOrder:
    """One entry of the restarts stream: a claimed attempt and who shall execute it.

    `rev` names the restart among those of one life of the component, which `born` names. `runner`: a replica, or
    "agent". `incarnation`: the one seen before the claim, if any.
    """

    id: str
    rev: int
    attempt: int
    epoch: int
    incarnation: str
    runner: str
    method: str
    not_after_ms: int
    reason: str
    entry: str
    born: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """An order that is the taker's alone. `policy`: the component's, as JSON. `left_ms`: until its deadline, if any."""

    order: RestartOrder
    policy: str
    left_ms: int | None


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Why an order must not be executed."""

    reason: str


class Restarts:
    """The restart orders of one shard. `name` is for CLIENT LIST. Nothing is sent before the first call.

    `block_ms`: how long one read waits at most, below the socket's time-out of 5 s; many idle readers take longer ones.
    """

    def __init__(self, url: str, keys: Keys, scripts: Scripts, name: str, *, block_ms: int = BLOCK_MS) -> None:
        self._keys = keys
        self._script = scripts.take
        self._block_ms = block_ms
        self._reader = open_raw(url, name=f"{name}-restarts", dedicated=True)
        self._client = open_raw(url, name=f"{name}-take")
        self._at = b""
        self._generation = b""
        self._epoch = 0
        self._met = False
        self._away = False

    async def close(self) -> None:
        """Close every connection."""
        await self._reader.aclose()
        await self._client.aclose()

    async def wait(self) -> list[RestartOrder]:
        """The next orders, of all runners, the oldest first. Waits as long as it takes, also while Redis is away.

        The first call begins so far back that no order is missed which may still be taken.
        """
        while True:
            orders: list[RestartOrder] = await _trying(None, HealthmonError)(self._look)
            if orders:
                return orders

    async def take(self, order: RestartOrder, name: str) -> Taken | NotTaken:
        """Take an order under this name, or learn why not. Tried again while Redis is away, for 30 s at most.

        An answer that was lost is asked for again; a second call for the same order is refused, by whomever.
        Raises StoreUnavailable, NotPermitted.
        """
        said = [
            order.id,
            str(order.rev),
            str(order.epoch),
            str(order.not_after_ms),
            name,
            secrets.token_hex(8),
            order.born,
        ]
        keys = [self._keys.component(order.id), self._keys.control]
        reply: list[bytes] = await _trying(TAKE_WITHIN_S)(self._script, self._client, keys, said)
        word, *values = [value.decode("utf-8", "replace") for value in reply]
        if word != "OK":
            return NotTaken(values[0])
        policy, deadline, now_ms = values
        return Taken(order, policy, _left_ms(deadline, int(now_ms)))

    async def report(
        self, order: RestartOrder, *, ok: bool, detail: str, ms: int, by: str, within_s: float = REPORT_WITHIN_S
    ) -> None:
        """Say how the attempt went and how long it took. Tried again until Redis takes it, for `within_s` at most.

        Where the answer was lost it may be said twice; the first counts. Raises StoreUnavailable, NotPermitted.
        """
        said = {
            "cmd": "report",
            "kind": "restart",
            "id": order.id,
            "rev": str(order.rev),
            "ok": "1" if ok else "0",
            "detail": detail[:DETAIL_MAX].encode("utf-8", "replace").decode(),
            "ms": str(ms),
            "by": by,
        }
        fields = [part for pair in said.items() for part in pair]
        await _trying(within_s)(call, self._client, "XADD", self._keys.control, "*", *fields)

    async def _look(self) -> list[RestartOrder]:
        """What comes within one blocking read. After an error, first where to go on."""
        try:
            if not self._met:
                await self._begin()
            block = ("COUNT", COUNT, "BLOCK", self._block_ms)
            reply = await call(self._reader, "XREAD", *block, "STREAMS", self._keys.restarts, self._at)
        except HealthmonError as error:
            if not self._away:
                logger.warning("restart orders can't be read: %s", error)
            self._met, self._away = False, True
            raise
        if self._away:
            logger.info("restart orders can be read again")
        self._met, self._away = True, False
        entries: Sequence[Entry] = reply[0][1] if reply else ()
        if entries:
            self._at = entries[-1][0]
        return [order for entry in entries if (order := self._admitted(entry))]

    async def _begin(self) -> None:
        """Where to read on: after the last entry read; at first, or where that is lost, at the oldest running restart.

        The end of the stream is asked for before the running restarts are: what is claimed in between comes after it.
        """
        keys, reader = self._keys, self._reader
        newest = first_id(await call(reader, "XREVRANGE", keys.restarts, "+", "-", "COUNT", 1)) or b"0-0"
        generation = await call(reader, "GET", keys.generation) or b""
        if generation != self._generation:
            self._generation, self._epoch = generation, 0
        if self._at and numbers(self._at) <= numbers(newest):
            return
        running = await call(reader, "ZRANGE", keys.state("restarting"), 0, 0, "WITHSCORES")
        since = str(max(0, int(float(running[1])) - MARGIN_MS)).encode() if running else newest
        self._at = min(since, newest, key=numbers)

    def _admitted(self, entry: Entry) -> RestartOrder | None:
        """The order that an entry holds. One of an earlier epoch than was read before comes from a split brain."""
        order = _read(entry)
        if order is None:
            logger.warning("entry %s of the restarts stream is no restart order", entry[0].decode())
        elif order.epoch < self._epoch:
            logger.warning("restart order %s of %s is of an earlier epoch: not obeyed", order.entry, order.id)
        else:
            self._epoch = order.epoch
            return order
        return None


def _trying(within_s: float | None, on: type[HealthmonError] = StoreUnavailable) -> tenacity.AsyncRetrying:
    """Calls again after such errors, for so long at most; without a time, for ever."""
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(on),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=AGAIN_S_MAX),
        stop=tenacity.stop_never if within_s is None else tenacity.stop_after_delay(within_s),
        sleep=anyio.sleep,
        reraise=True,
    )


def _left_ms(deadline: str, now_ms: int) -> int | None:
    try:
        deadline_ms = read_time_ms(deadline)
    except ValueError:
        return None
    return max(0, deadline_ms - now_ms) if deadline_ms else None


def _read(entry: Entry) -> RestartOrder | None:
    said = text_map(entry[1])
    if said.get("cmd") != "restart" or not valid_id(said.get("id", "")):
        return None
    try:
        return RestartOrder(
            id=said["id"],
            rev=int(said["rev"]),
            attempt=int(said["attempt"]),
            epoch=int(said["epoch"]),
            incarnation=said.get("incarnation", ""),
            runner=said["runner"],
            method=said["method"],
            not_after_ms=int(said["not_after_ms"]),
            reason=said.get("reason", ""),
            entry=entry[0].decode(),
            born=said.get("born", ""),
        )
    except (KeyError, ValueError):
        return None
