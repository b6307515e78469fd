"""The leader's writes: commit, checkpoint, forget, repair. Each is one script, fenced by the whole lease value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack
from redis.asyncio import Redis

from healthmon import clock
from healthmon.core.attempts import TAKE_WITHIN_MS
from healthmon.core.component import Component
from healthmon.core.event import Event
from healthmon.core.heartbeat import Rejection
from healthmon.core.lease import Lease
from healthmon.core.measures import Measures
from healthmon.errors import Fenced, GenerationChanged, StoreUnavailable
from healthmon.store.codec import busy_fields, event_fields, hash_fields, history_fields, silence_fields
from healthmon.store.keys import GONE_KEPT_MS, HISTORY_MAX, REJECTED_MAX, STATES, Keys
from healthmon.store.scripts import Script, Scripts

# One commit carries at most so many changes: 1000 take 26 to 46 ms of the server's time, and nobody else is served.
CHANGES_MAX: Final = 200
ITEMS_MAX: Final = 500

_as_json: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode  # `dumps` makes one for each call


@dataclass(frozen=True, slots=True)
class Change:
    """What one component's commit takes: the record on both sides, the events between them, an alert or "" for each."""

    before: Component
    after: Component
    events: tuple[Event, ...]
    alerts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShardEvent:
    """An event of the shard itself, and the fields of `guard` that it sets; `number` counts them."""

    event: Event
    number: int
    fields: Mapping[str, str]
    alert: str = ""


@dataclass(slots=True)
class Batch:
    """All that one call commits. `cursor` moves only when nothing was refused; `trims`: stream -> oldest id kept.

    The fleet's restart budget: so many in flight, so many claimed after `minute_from_ms`.
    """

    changes: Sequence[Change] = ()
    rejections: Sequence[Rejection] = ()
    rejected_counts: Mapping[str, int] = field(default_factory=dict)
    stretches: Sequence[tuple[int, int]] = ()
    shard_events: Sequence[ShardEvent] = ()
    cursor: Mapping[str, str] = field(default_factory=dict)
    trims: Mapping[str, str] = field(default_factory=dict)
    restarts_concurrent: int = 0
    restarts_per_minute: int = 0
    minute_from_ms: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a commit did: the last event's stream id, and the refused: id -> CONFLICT, WRONGTYPE or BUDGET."""

    event: str
    refused: Mapping[str, str]


class Commits:
    """The fenced writes of one shard, on a connection of their own, never pipelined, never sent twice by themselves.

    All raise Fenced when the lease is another's, GenerationChanged when the data set is, StoreUnavailable when Redis
    gave no answer: then the same call with the same commit id finds out, and adds nothing that is there.
    """

    def __init__(
        self, keys: Keys, scripts: Scripts, *, broadcast: bool = True, measures: Measures | None = None
    ) -> None:
        self._keys = keys
        self._scripts = scripts
        self._channel = keys.alerts if broadcast else ""
        self._measures = measures or Measures()

    async def commit(self, client: Redis, lease: Lease, generation: str, commit_id: str, batch: Batch) -> Outcome:
        """Commit a batch: state, history, indexes, events and publications move together."""
        k = self._keys
        keys = [k.leader, k.generation, k.cursor, k.guard, k.events, k.rejected, k.control, k.heartbeats, k.restarts]
        keys += [k.blind, k.components, k.counts, *(k.state(state) for state in STATES)]
        places = {k.events: 5, k.rejected: 6, k.control: 7, k.heartbeats: 8, k.restarts: 9, k.blind: 10}
        for change in batch.changes:
            keys += [k.component(change.after.id), k.history(change.after.id)]
        changes = [_change(change) for change in batch.changes]
        for change, said in zip(batch.changes, changes, strict=True):
            if _said_of_silence(change.before) != _said_of_silence(change.after):
                keys.append(k.silence(change.after.id))
                said["silence"] = [len(keys), *_silence(change.after)]
        message = {
            **_head(lease, generation),
            "commit": commit_id,
            "changes": changes,
            "rejected": [_rejected(rejection) for rejection in batch.rejections],
            "counted": dict(batch.rejected_counts),
            "blind": [[str(from_ms), str(to_ms)] for from_ms, to_ms in batch.stretches],
            "guard": [_shard_event(one) for one in batch.shard_events],
            "cursor": _flat(batch.cursor),
            "trims": {str(places[stream]): oldest for stream, oldest in batch.trims.items()},
            "capped": [HISTORY_MAX, REJECTED_MAX],
            "budget": [batch.restarts_concurrent, batch.restarts_per_minute, str(batch.minute_from_ms)],
            "channel": self._channel,
        }
        reply = await self._call(self._scripts.commit, client, keys, message)
        event, *refused = _text(reply[1]).split(" ")
        return Outcome(event, dict(one.split(",", 1) for one in refused))

    async def checkpoint(
        self,
        client: Redis,
        lease: Lease,
        generation: str,
        components: Sequence[Component],
        *,
        whole: bool,
        cursor: Mapping[str, str] | None = None,
    ) -> None:
        """Store the busy fields of many components; `whole` False: only when each was last heard from."""
        k = self._keys
        items = [
            {
                "id": one.id,
                "born": str(one.born_ms),
                "heard": str(one.last_heartbeat_ms),
                "hash": _flat(busy_fields(one)) if whole else [],
            }
            for one in components
        ]
        keys = [k.leader, k.generation, k.cursor, k.components, *(k.component(one.id) for one in components)]
        message = {**_head(lease, generation), "items": items, "cursor": _flat(cursor or {})}
        await self._call(self._scripts.checkpoint, client, keys, message)

    async def forget(self, client: Redis, lease: Lease, generation: str, event: Event, alert: str) -> str:
        """Remove a component; its tombstone and its event stay. The event's stream id, "" when it was gone already."""
        k = self._keys
        keys = [k.leader, k.generation, k.events, k.gone, k.components, k.counts]
        keys += [*(k.state(state) for state in STATES), k.component(event.id), k.history(event.id), k.silence(event.id)]
        message = {
            **_head(lease, generation),
            "id": event.id,
            "born": str(event.born_ms),
            "gone_ms": str(event.at_ms),
            "kept_ms": str(event.at_ms - GONE_KEPT_MS),
            "event": _flat({**event_fields(event), **({"json": alert} if alert else {})}),
            "alert": alert,
            "channel": self._channel,
        }
        reply = await self._call(self._scripts.forget, client, keys, message)
        return _text(reply[1]) if reply[0] == b"OK" else ""

    async def merge(self, client: Redis, generation: str, components: Sequence[tuple[Component, Event]]) -> int:
        """Write back what a lost data set held: per component the higher (epoch, rev) wins. How many were taken."""
        k = self._keys
        keys = [k.generation, k.gone, k.events, k.components, k.counts, *(k.state(state) for state in STATES)]
        for component, _ in components:
            keys += [k.component(component.id), k.history(component.id), k.silence(component.id)]
        items = [_merged(component, event) for component, event in components]
        message = {"generation": generation, "items": items, "states": list(STATES)}
        reply = await self._call(self._scripts.merge, client, keys, message)
        return int(reply[1])

    async def repair(
        self, client: Redis, lease: Lease, generation: str, event: Event, *, era: int, read: str
    ) -> tuple[str, str] | None:
        """Empty a stream whose ids ran ahead of the clock and set its last id to now. That id, and the event's.

        None, and nothing done, when its last entry is another than was `read`, unless that is "".
        """
        k = self._keys
        message = {**_head(lease, generation), "era": str(era), "event": _flat(event_fields(event)), "read": read}
        keys = [k.leader, k.generation, k.cursor, k.heartbeats, k.events]
        reply = await self._call(self._scripts.repair, client, keys, message)
        return (_text(reply[1]), _text(reply[3])) if reply[0] == b"OK" else None

    async def _call(self, script: Script, client: Redis, keys: list[str], message: Mapping[str, Any]) -> list[Any]:
        """One trip, measured; a refusal as the error that it is."""
        sent_s = clock.monotonic_s()
        reply = await script(client, keys, [_packed(message)])
        self._measures.note_command(script.verb, clock.monotonic_s() - sent_s)
        match reply[0]:
            case b"FENCED":
                self._measures.fenced_writes += 1
                raise Fenced(f"the lease is {_text(reply[1]) or 'nobody'}'s")
            case b"GENERATION":
                raise GenerationChanged(_text(reply[1]))
            case b"WRONGTYPE":
                raise StoreUnavailable(f"the key {_text(reply[1])} has a wrong type: rename or delete it")
            case _:
                return reply


def _head(lease: Lease, generation: str) -> dict[str, Any]:
    return {"lease": str(lease), "generation": generation, "states": list(STATES)}


def _change(change: Change) -> dict[str, Any]:
    before, after = change.before, change.after
    claimed = next((event for event in change.events if event.target == "restarting"), None)
    return {
        "id": after.id,
        "born": str(before.born_ms) if before.rev else "",
        "rev": str(before.rev),
        "from": before.state.value if before.rev else "",
        "after": [str(after.born_ms), str(after.rev)],
        "state": 13 + STATES.index(after.state.value),
        "since": str(after.since_ms),
        "heard": str(after.last_heartbeat_ms),
        "events": [_flat(_with_alert(e, a)) for e, a in zip(change.events, change.alerts, strict=True)],
        "names": [f"{event.id}/{event.born_ms}/{event.rev}" for event in change.events],
        "alerts": list(change.alerts),
        "history": [_flat(history_fields(event)) if _worth_history(before, event) else [] for event in change.events],
        "hash": _flat({**hash_fields(after, before), **({"restart_taken": ""} if claimed else {})}),
        "restart": _flat(_order(after, claimed)) if claimed else [],
        "budgeted": claimed is not None and not claimed.cause,
        "silence": [],
    }


def _said_of_silence(component: Component) -> tuple[int, str, str]:
    return component.silenced_until_ms, component.silenced_by, component.silenced_reason


def _silence(component: Component) -> list[Any]:
    """What the key of its own says of a silence, behind its end in milliseconds: nothing where there is none."""
    until_ms = component.silenced_until_ms
    return [str(until_ms), *_flat(silence_fields(component))] if until_ms else []


def _order(component: Component, claimed: Event) -> dict[str, str]:
    """The command by which the executor of a claimed attempt learns of it."""
    restart = component.restart
    return {
        "cmd": "restart",
        "id": component.id,
        "rev": str(restart.rev),
        "born": str(component.born_ms),
        "attempt": str(restart.done),
        "epoch": str(claimed.epoch),
        "incarnation": restart.incarnation,
        "runner": restart.runner,
        "method": restart.method,
        "not_after_ms": str(min(claimed.at_ms + TAKE_WITHIN_MS, restart.deadline_ms)),
        "reason": component.failure.get("reason") or claimed.reason,
    }


def _worth_history(before: Component, event: Event) -> bool:
    """History begins at the first change after becoming healthy: a stream of one entry costs 4 KB a component."""
    first = before.rev == 0 or (before.previous == "" and before.state.value == "unknown")
    return not (first and (event.type.value == "registered" or event.target == "healthy"))


def _with_alert(event: Event, alert: str) -> dict[str, str]:
    return {**event_fields(event), "json": alert} if alert else event_fields(event)


def _rejected(rejection: Rejection) -> list[str | bytes]:
    fields: dict[str, str | bytes] = {
        "entry": rejection.entry,
        "channel": rejection.channel,
        "reason": rejection.reason,
        "detail": rejection.detail[:512],
        "id": rejection.id,
        "payload": rejection.payload[:1024],
    }
    return [part for name, value in fields.items() if value for part in (name, value)]


def _shard_event(one: ShardEvent) -> dict[str, Any]:
    fields = {**event_fields(one.event), "guard": str(one.number)}
    return {
        "event": _flat({**fields, "json": one.alert} if one.alert else fields),
        "name": f"//{one.number}",
        "fields": _flat({**one.fields, "events": str(one.number)}),
        "alert": one.alert,
    }


def _merged(component: Component, event: Event) -> dict[str, Any]:
    return {
        "id": component.id,
        "born": component.born_ms,
        "epoch": component.epoch,
        "rev": component.rev,
        "total": component.total_heartbeats,
        "state": 6 + STATES.index(component.state.value),
        "since": str(component.since_ms),
        "heard": str(component.last_heartbeat_ms),
        "hash": _flat({**hash_fields(component), "restart_taken": component.restart.taken}),
        "busy": _flat(busy_fields(component)),
        "event": _flat(event_fields(event)),
        "history": _flat(history_fields(event)),
        "silence": _silence(component),
    }


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]


def _packed(message: Mapping[str, Any]) -> bytes:
    # The server's cmsgpack knows no bin type. What JSON made of `\ud800` is no text: it is stored as `?`.
    packed: bytes = msgpack.packb(message, use_bin_type=False, unicode_errors="replace")
    return packed


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def alert_text(alert: Mapping[str, Any] | None) -> str:
    """An alert as the JSON that is stored and published, "" for none. `data` comes last: the script adds to its end."""
    return _as_json(alert) if alert else ""
