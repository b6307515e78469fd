"""A fleet with a past, written by the real verbs: heartbeats are folded, judged and committed as a leader does it.

Only time is made: a minute of the fleet takes no minute. Every moment lies before the server's now.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from redis.asyncio import Redis

from healthmon.core.alert import alert_of, rfc3339
from healthmon.core.component import Component
from healthmon.core.decide import decide
from healthmon.core.event import Event, apply
from healthmon.core.lease import Lease
from healthmon.core.policy import Defaults
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.store.calls import call, open_raw
from healthmon.store.codec import Wire
from healthmon.store.commits import Batch, Change, Commits, alert_text
from healthmon.store.founding import found
from healthmon.store.keys import Keys
from healthmon.store.leases import Acquired, Claim, Leases
from healthmon.store.scripts import Scripts

LEASE_MS = 60_000
PACE_MS = 1000


@dataclass
class Fleet:
    """The components under one prefix. `now_ms` is where its time stands, `age_s` before the server's now."""

    url: str
    prefix: str
    age_s: float = 240.0
    defaults: Defaults = field(default_factory=Defaults)
    replica: str = "mon-a"
    now_ms: int = 0
    events: list[Event] = field(default_factory=list)
    _changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = Keys(self.prefix)
        self.table = Table(self.defaults, Wire())
        self.server_ms = self.run(self._server_ms)
        self.now_ms = self.server_ms - round(self.age_s * 1000)
        self.lease = Lease(self.replica, "1", 1)

    # -- the past --------------------------------------------------------------------------------------------------

    def beat(self, *ids: str, **said: object) -> None:
        """A heartbeat of each at this moment."""
        for one in ids:
            self._fold(["id", one, *(str(part) for pair in said.items() for part in pair)])
        self.judge()

    def send(self, *parts: str) -> None:
        """Any entry of the way in, good or bad, at this moment."""
        self._fold(list(parts))
        self.judge()

    def passes(self, seconds: float, beating: Iterable[str] = (), **said: object) -> None:
        """Time passes; those that beat do so every second, and a canary shows that somebody watches."""
        ends_ms = self.now_ms + round(seconds * 1000)
        while self.now_ms < ends_ms:
            self.now_ms = min(ends_ms, self.now_ms + PACE_MS)
            self._fold(["canary", "test"])
            self.beat(*beating, **said)

    def judge(self) -> None:
        """What a leader would decide now, kept for `store`."""
        moment = self.table.moment(self.now_ms)
        for component in list(self.table.due(moment)):
            events = decide(component, moment, self.defaults)
            if events:
                self._change(component, events, moment)

    def _fold(self, parts: list[str]) -> None:
        self.table.fold([(f"{self.now_ms}-{self._seq()}".encode(), [part.encode() for part in parts])])

    def _seq(self) -> int:
        self._last = (self.now_ms, self._last[1] + 1 if self._last[0] == self.now_ms else 0)
        return self._last[1]

    _last: tuple[int, int] = (0, 0)

    def _change(self, component: Component, events: Iterable[Event], moment: Moment) -> None:
        before, after, alerts, signed = copy.copy(component), copy.copy(component), [], []
        for event in events:
            step = copy.copy(after)
            one = Event(**{**_fields(event), "epoch": self.lease.epoch, "replica": self.replica})
            apply(after, one, self.defaults)
            alerts.append(alert_text(alert_of(step, after, one, self.prefix, 0)))
            signed.append(one)
            self.table.apply(one, moment)
        self.events += signed
        self._changes.append(Change(before, after, tuple(signed), tuple(alerts)))

    # -- the present -----------------------------------------------------------------------------------------------

    def store(self, *, led: bool = True) -> None:
        """Commit it all, under a lease that lasts a minute more, or that has run out."""
        self.run(self._store)
        if not led:
            self.run(lambda client: call(client, "DEL", self.keys.leader))

    def announce(self, replica: str, *, seen_ago_s: float = 0.2, **said: str) -> None:
        """What a replica says of itself."""
        given = {"role": "follower", "version": "0.1.0", "digest": "d1", "host": "web-01", "pid": "7", "lag_ms": "3"}
        self.run(lambda client: self._announce(client, replica, round(seen_ago_s * 1000), {**given, **said}))

    def becomes(self, component_id: str, state: str, reason: str) -> None:
        """A transition after `store`, its state, index, counts and event written at once as the leader does it."""

        async def written(client: Redis) -> None:
            now_ms, key = await self._server_ms(client), self.keys.component(component_id)
            before = (await call(client, "HGET", key, "state")).decode()
            said = {"state": state, "since": rfc3339(now_ms), "reason": reason, "previous": before}
            event = {"type": "transition", "id": component_id, "from": before, "to": state, "reason": reason}
            async with client.pipeline() as together:
                together.execute_command("HSET", key, *(part for pair in said.items() for part in pair))
                together.execute_command("ZREM", self.keys.state(before), component_id)
                together.execute_command("ZADD", self.keys.state(state), now_ms, component_id)
                together.execute_command("HINCRBY", self.keys.counts, before, -1)
                together.execute_command("HINCRBY", self.keys.counts, state, 1)
                together.execute_command("XADD", self.keys.events, "*", *(p for pair in event.items() for p in pair))
                await together.execute()

        self.run(written)

    async def _store(self, client: Redis) -> None:
        scripts = Scripts()
        claim = Claim(self.replica, "1", 0, "", "generation-1")
        won = await Leases(self.keys, scripts, LEASE_MS).acquire(client, claim, self.now_ms)
        assert isinstance(won, Acquired), f"the lease is another's: {won}"
        self.lease = won.lease
        await found(client, self.keys, 1, 1000)
        commits = Commits(self.keys, scripts)
        rejections, self.table.rejections = list(self.table.rejections), type(self.table.rejections)()
        stretches = [(one.from_ms, one.to_ms) for one in self.table.blindness.stretches]
        batches = [Batch(changes=[self._signed(change)]) for change in self._changes]
        batches.append(Batch(rejections=rejections, stretches=stretches))
        for n, batch in enumerate(batches):
            outcome = await commits.commit(client, self.lease, won.generation, f"commit-{n}", batch)
            assert not outcome.refused, outcome.refused
        stored = list(self.table.components.values())
        await commits.checkpoint(client, self.lease, won.generation, stored, whole=True)

    def _signed(self, change: Change) -> Change:
        """The change as the leader that has the lease now signs it."""
        events = tuple(Event(**{**_fields(event), "epoch": self.lease.epoch}) for event in change.events)
        change.after.epoch = self.lease.epoch
        return Change(change.before, change.after, events, change.alerts)

    async def _announce(self, client: Redis, replica: str, ago_ms: int, said: Mapping[str, str]) -> None:
        seen_ms = await self._server_ms(client) - ago_ms
        await call(client, "ZADD", self.keys.monitors, seen_ms, replica)
        fields = {**said, "since": rfc3339(seen_ms - 60_000)}
        await call(client, "HSET", self.keys.monitor(replica), *(part for pair in fields.items() for part in pair))

    async def _server_ms(self, client: Redis) -> int:
        seconds, micros = await call(client, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def do(self, *command: str | int) -> Any:
        """One command, as an operator would give it; the raw reply."""
        return self.run(lambda client: call(client, *command))

    def run(self, work: Callable[[Redis], Coroutine[Any, Any, Any]]) -> Any:
        """Do something over a connection of its own."""

        async def over_a_client() -> Any:
            client = open_raw(self.url, name="fleet")
            try:
                return await work(client)
            finally:
                await client.aclose()

        return anyio.run(over_a_client)


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__dataclass_fields__}
