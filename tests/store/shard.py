"""One shard on a real server for tests of the verbs: who leads it, what is committed, what is stored afterwards."""

from __future__ import annotations

import copy
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.asyncio import Redis

from healthmon.core.alert import alert_of
from healthmon.core.component import Component
from healthmon.core.event import Event, EventType, apply
from healthmon.core.lease import Lease
from healthmon.core.policy import Defaults, Policy
from healthmon.store.calls import call
from healthmon.store.client import open_sync
from healthmon.store.codec import text_map
from healthmon.store.commits import Batch, Change, Commits, ShardEvent, alert_text
from healthmon.store.keys import STATES, Keys
from healthmon.store.leases import Acquired, Claim, Held, Leases
from healthmon.store.scripts import Scripts

DEFAULTS = Defaults()
T0 = 1_795_460_000_000
TTL_MS = 3000


def blank(component_id: str, *, born_ms: int = T0, heard_ms: int = T0) -> Component:
    """A component that was heard from once and is not committed yet."""
    policy = Policy()
    component = Component(component_id, born_ms, policy, policy.limits(DEFAULTS), since_ms=born_ms)
    component.last_heartbeat_ms = component.alive_since_ms = heard_ms
    component.total_heartbeats, component.last_id = 1, f"{heard_ms}-0".encode()
    return component


def counted(component: Component, total: int) -> Component:
    """This component after so many heartbeats."""
    component.total_heartbeats = total
    return component


def moved(before: Component, *targets: str, epoch: int = 1, replica: str = "test") -> Change:
    """The change that registers a blank component, if it is one, and takes it through these states."""
    after = copy.copy(before)
    events: list[Event] = []
    alerts: list[str] = []
    wanted = ["", *targets] if before.rev == 0 else list(targets)
    for target in wanted:
        step = copy.copy(after)
        event = Event(
            EventType.TRANSITION if target else EventType.REGISTERED,
            after.id,
            rev=after.rev + 1,
            born_ms=after.born_ms,
            at_ms=after.born_ms + after.rev,
            reason=f"{target or 'registered'} by a test",
            source=after.state.value if target else "",
            target=target,
            epoch=epoch,
            replica=replica,
            set={"incident": f"{after.id}@1"} if target in ("degraded", "dead") else {},
        )
        apply(after, event, DEFAULTS)
        events.append(event)
        alerts.append(alert_text(alert_of(step, after, event, "t", 0)))
    return Change(before, after, tuple(events), tuple(alerts))


@dataclass
class Shard:
    """The verbs of one shard. `changed`: other texts for some of them."""

    client: Redis
    keys: Keys
    url: str
    changed: dict[str, str] = field(default_factory=dict)
    generation: str = ""
    _count: int = 0

    def __post_init__(self) -> None:
        self.scripts = Scripts(self.changed)
        self.leases = Leases(self.keys, self.scripts, TTL_MS)
        self.commits = Commits(self.keys, self.scripts)

    def with_scripts(self, changed: dict[str, str]) -> Shard:
        """The same shard by other texts of the verbs."""
        return Shard(self.client, self.keys, self.url, changed, self.generation)

    # -- leading ---------------------------------------------------------------------------------------------------

    async def claim(self, replica: str = "one", **more: Any) -> Acquired | Held:
        """Ask for the lease as this replica, whose incarnation is its own name turned round."""
        claim: dict[str, Any] = {"floor": 0, "generation": self.generation, "new_generation": secrets.token_hex(4)}
        return await self.leases.acquire(self.client, Claim(replica, replica[::-1], **{**claim, **more}), T0)

    async def lead(self, replica: str = "one", **more: Any) -> Lease:
        """Win the lease, or fail the test."""
        answer = await self.claim(replica, **more)
        assert isinstance(answer, Acquired), f"{replica} did not win the lease: {answer}"
        self.generation = answer.generation
        return answer.lease

    async def depose(self, replica: str = "two") -> Lease:
        """Let the lease run out and another replica take it."""
        await call(self.client, "DEL", self.keys.leader)
        return await self.lead(replica)

    @contextmanager
    def alive(self, replica: str) -> Iterator[None]:
        """This replica's process lives: it is subscribed to its alive channel."""
        with subscribed(self.url, self.keys.alive(replica, replica[::-1])):
            yield

    # -- writing ---------------------------------------------------------------------------------------------------

    async def commit(self, lease: Lease, *changes: Change, commit_id: str = "", **more: Any) -> Mapping[str, str]:
        """Commit, and say which components were refused and why."""
        self._count += 1
        name = commit_id or f"{lease.epoch}-test-{self._count}"
        batch = Batch(changes=changes, **more)
        outcome = await self.commits.commit(self.client, lease, self.generation, name, batch)
        return outcome.refused

    # -- what is stored --------------------------------------------------------------------------------------------

    async def record(self, component_id: str) -> dict[str, str]:
        return text_map(await call(self.client, "HGETALL", self.keys.component(component_id)))

    async def hash(self, key: str) -> dict[str, str]:
        return text_map(await call(self.client, "HGETALL", key))

    async def entries(self, stream: str) -> list[dict[str, str]]:
        """All entries of a stream as text, the oldest first."""
        return [text_map(fields) for _, fields in await call(self.client, "XRANGE", stream, "-", "+")]

    async def revs(self, component_id: str) -> list[int]:
        """The revs of a component's events in the order of the log."""
        events = await self.entries(self.keys.events)
        return [int(event["rev"]) for event in events if event.get("id") == component_id]

    async def states(self) -> dict[str, str]:
        """Component -> state by the indexes. Fails where one is in two of them."""
        found: dict[str, str] = {}
        for state in STATES:
            for raw in await call(self.client, "ZRANGE", self.keys.state(state), 0, -1):
                name = raw.decode()
                assert name not in found, f"{name} is both {found[name]} and {state}"
                found[name] = state
        return found

    async def assert_consistent(self, ids: Sequence[str]) -> None:
        """Hash, indexes, counts and events say the same of each, and no event is missing or twice."""
        states = await self.states()
        counts = {state: int(count) for state, count in (await self.hash(self.keys.counts)).items() if count != "0"}
        assert counts == Counter(states.values()), "counts and indexes differ"
        known = {raw.decode() for raw in await call(self.client, "ZRANGE", self.keys.components, 0, -1)}
        assert known == set(ids)
        for one in ids:
            record = await self.record(one)
            assert states.get(one) == record.get("state"), one
            assert await self.revs(one) == list(range(1, int(record["rev"]) + 1)), f"{one}: lost or doubled events"
            told = [entry["rev"] for entry in await self.entries(self.keys.history(one))]
            assert len(told) == len(set(told)), f"{one}: its history says something twice: {told}"


@contextmanager
def subscribed(url: str, channel: str, *, plainly: bool = False) -> Iterator[redis.Connection]:
    """A connection that listens on a sharded channel, or on a plain one; afterwards the server knows it is gone."""
    connection = open_sync(url, name="subscriber", timeout_s=5.0)
    kind = "" if plainly else "S"
    connection.send_command(f"{kind}SUBSCRIBE", channel)
    connection.read_response()
    try:
        yield connection
    finally:
        connection.send_command(f"{kind}UNSUBSCRIBE")
        while connection.read_response()[0] != f"{kind}unsubscribe".lower().encode():
            pass
        connection.disconnect()


def said_by_the_shard(number: int, rule: str = "test", epoch: int = 1) -> ShardEvent:
    """An event of the shard itself, the so-many-th."""
    event = Event(
        EventType.GUARD, "", rev=0, born_ms=0, at_ms=T0, reason="a test", rule=rule, epoch=epoch, replica="one"
    )
    return ShardEvent(event, number, {"note": rule})
