"""What must be true of everything that was ever told, whatever was killed, frozen or lost meanwhile.

`read_history` takes one consistent picture of a shard at rest; `violations` names every promise that it breaks. Nothing
here is taken from the code that is judged but the names of the keys: the edges and the arithmetic are spelt out again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from healthmon.core.table import Table
from healthmon.store.keys import STATES, Keys
from tests.healing_promises import HEALING, PROOFS
from tests.telling import Entry as Entry  # noqa: PLC0414  # taken from here by the stories
from tests.telling import Fields as Fields  # noqa: PLC0414  # as above
from tests.telling import Life, named
from tests.telling import entry_ms as entry_ms  # noqa: PLC0414  # as above
from tests.telling import milliseconds as milliseconds  # noqa: PLC0414  # as above

EDGES: Mapping[str, str] = {
    "unknown": "initializing healthy degraded unhealthy restarting",
    "initializing": "healthy degraded unhealthy dead unknown restarting",
    "healthy": "degraded unhealthy initializing unknown restarting",
    "degraded": "healthy unhealthy initializing unknown restarting",
    "unhealthy": "healthy degraded dead initializing unknown restarting",
    "dead": "restarting initializing healthy degraded unhealthy permanently_failed unknown",
    "restarting": "initializing healthy degraded unhealthy dead",
    "permanently_failed": "restarting initializing healthy degraded unhealthy unknown",
}
# Commands and reports that are folded without an event of their own.
WITHOUT_EVENT = ("sync", "probe", "failure")


@dataclass
class History:
    """One shard at rest, and what the test knows by itself: what it sent, what it heard, what it asked for.

    `executed`: the lines of journals that say a restart was taken, each with the component's `id`. `settings`: those of
    the replicas that are not the defaults, seconds.
    """

    events: list[Entry] = field(default_factory=list)
    events_added: int = 0
    hashes: dict[str, Fields] = field(default_factory=dict)
    states: dict[str, dict[str, int]] = field(default_factory=dict)
    index: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    blind: list[tuple[int, int]] = field(default_factory=list)
    rejected: list[Fields] = field(default_factory=list)
    sent: dict[str, list[int]] = field(default_factory=dict)
    commands: dict[str, Fields] = field(default_factory=dict)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    stages_ms: dict[str, int] = field(default_factory=dict)
    orders: list[Entry] = field(default_factory=list)
    executed: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, float] = field(default_factory=dict)

    def of_component(self) -> Iterator[tuple[Life, str, Fields]]:
        """The events of components: whose, the stream id, the fields."""
        for entry, said in self.events:
            if said.get("id"):
                yield (said["id"], said.get("born", "")), entry, said

    def transitions(self, target: str) -> Iterator[tuple[str, Fields]]:
        """The transitions to one state."""
        for _, entry, said in self.of_component():
            if said["type"] == "transition" and said.get("to") == target:
                yield entry, said

    def refused_commands(self) -> set[str]:
        """The entries of the control stream that were refused."""
        return {said.get("entry", "") for said in self.rejected if said.get("channel") == "control"}


# -- the promises ----------------------------------------------------------------------------------------------------


def epochs_rise(history: History) -> Iterator[str]:
    """Each leader has a higher epoch than all before, and an epoch belongs to one replica in one incarnation."""
    if history.events_added != len(history.events):
        yield f"{history.events_added} events were appended and {len(history.events)} are there"
    highest, holders = 0, dict[int, str]()
    for entry, said in history.events:
        epoch, replica = int(said.get("epoch", 0)), said.get("replica", "")
        if said["type"] == "leader":
            if epoch <= highest:
                yield f"{entry}: {replica} leads with epoch {epoch} after {highest}"
            highest = max(highest, epoch)
            holders[epoch] = replica
        elif said["type"] != "recovered" and holders.get(epoch) != replica:
            yield f"{entry}: written by {replica!r} under epoch {epoch}, which is {holders.get(epoch)!r}'s"


def the_deposed_write_nothing(history: History) -> Iterator[str]:
    """After a higher epoch was given out nothing is committed under a lower one, not even elsewhere."""
    highest = 0
    for entry, said in history.events:
        epoch = int(said.get("epoch", 0))
        if said["type"] == "leader":
            highest = max(highest, epoch)
        elif said["type"] != "recovered" and epoch < highest:
            yield f"{entry}: {named(said)} was committed under epoch {epoch} after {highest} was given out"


def revs_are_contiguous(history: History) -> Iterator[str]:
    """A component's events count from 1 without a gap or a repeat; what was lost is declared by `recovered`."""
    last: dict[Life, int] = {}
    ended: set[Life] = set()
    for life, entry, said in history.of_component():
        rev = int(said.get("rev", 0))
        if life in ended:
            yield f"{entry}: {named(said)} came after it was forgotten"
        if said["type"] == "recovered":
            last[life] = max(rev, last.get(life, 0))
            continue
        if rev != last.get(life, 0) + 1:
            what = "is doubled" if rev <= last.get(life, 0) else "has a gap before it"
            yield f"{entry}: {named(said)} {what} (after rev {last.get(life, 0)})"
        if (rev == 1) != (said["type"] == "registered"):
            yield f"{entry}: {named(said)} is a {said['type']} event"
        if said["type"] == "forgotten":
            ended.add(life)
        last[life] = max(rev, last.get(life, 0))


def guard_events_are_counted(history: History) -> Iterator[str]:
    """The shard's own events have rising numbers: each is told once."""
    last = 0
    for entry, said in history.events:
        if "guard" in said:
            if int(said["guard"]) <= last:
                yield f"{entry}: guard event {said['guard']} comes after {last}"
            last = max(last, int(said["guard"]))


def edges_are_legal(history: History) -> Iterator[str]:
    """Each transition starts where the last one ended, and takes an edge that behaviour.md draws."""
    at: dict[Life, str] = {}
    for life, entry, said in history.of_component():
        if said["type"] == "recovered":
            at[life] = said["to"]
        if said["type"] != "transition":
            continue
        source, target = said["from"], said["to"]
        if source != at.get(life, "unknown"):
            yield f"{entry}: {named(said)} goes from {source}, and it was {at.get(life, 'unknown')}"
        if target not in EDGES[source].split():
            yield f"{entry}: {named(said)} goes from {source} to {target}"
        at[life] = target


def commands_have_one_event(history: History) -> Iterator[str]:
    """Every accepted command is done exactly once, every refused one never, and no event names another cause."""
    done = Counter(said["cause"] for _, said in history.events if said.get("cause"))
    refused = history.refused_commands()
    for entry, asked in history.commands.items():
        silent = (asked.get("kind") or asked.get("cmd")) in WITHOUT_EVENT
        wanted = 0 if silent or entry in refused else 1
        if done.pop(entry, 0) != wanted:
            times = sum(1 for _, said in history.events if said.get("cause") == entry)
            yield f"command {entry} {asked} has {times} events, not {wanted}{' (refused)' * (entry in refused)}"
    for entry in done:
        yield f"an event names {entry} as its cause, which nobody asked"


def records_end_where_events_end(history: History) -> Iterator[str]:
    """The hash is what the events make of it: state, rev, epoch; a forgotten one is gone; nobody else is there."""
    last: dict[Life, Fields] = {}
    state: dict[Life, str] = {}
    for life, _, said in history.of_component():
        last[life] = said
        state[life] = said.get("to") or state.get(life, "unknown")
    alive = {life[0]: life for life, said in last.items() if said["type"] != "forgotten"}
    for one in history.hashes.keys() - alive.keys():
        yield f"{one} has a record, and the events know nothing of it"
    for one, life in alive.items():
        is_, told = history.hashes.get(one, {}), last[life]
        here = (is_.get("born"), is_.get("rev"), is_.get("epoch"), is_.get("state"))
        if here != (told["born"], told["rev"], told["epoch"], state[life]):
            yield f"{one} is {here}, and its last event says {(told['born'], told['rev'], told['epoch'], state[life])}"


def nobody_is_silenced_too_early(history: History) -> Iterator[str]:
    """No stage of silence was told before a silence of that length, blind time taken out."""
    for life, entry, said in history.of_component():
        limit_ms = history.stages_ms.get(said.get("to", ""), 0)
        by_silence = said.get("rule") == "silence" or (said.get("to") == "dead" and said.get("rule") not in PROOFS)
        if said["type"] != "transition" or not by_silence or not limit_ms:
            continue
        at_ms = milliseconds(said["at"])
        heard_ms = max((ms for ms in history.sent.get(life[0], ()) if ms <= at_ms), default=0)
        silent_ms = at_ms - heard_ms - _blind_within(history.blind, heard_ms, at_ms)
        if silent_ms < limit_ms:
            yield f"{entry}: {named(said)} is called {said['to']} after {silent_ms} ms of silence, not {limit_ms}"


def every_heartbeat_counts_once(history: History) -> Iterator[str]:
    """Total heartbeats are those that the server accepted since the component was registered."""
    for one, said in history.hashes.items():
        accepted = sum(1 for ms in history.sent.get(one, ()) if ms >= int(said["born"]))
        if int(said.get("total_heartbeats", 0)) != accepted:
            yield f"{one} has {said.get('total_heartbeats')} heartbeats, and {accepted} were accepted"


def indexes_agree(history: History) -> Iterator[str]:
    """Counts, state indexes, the index of last heartbeats and the hashes say the same."""
    for state in STATES:
        members = history.states.get(state, {})
        stored = {one: milliseconds(h["since"]) for one, h in history.hashes.items() if h["state"] == state}
        if members != stored:
            yield f"the index of {state} has {_few(members)}, the hashes {_few(stored)}"
        if history.counts.get(state, 0) != len(members):
            yield f"counts say {history.counts.get(state, 0)} {state}, the index {len(members)}"
    heard = {one: milliseconds(said.get("last_heartbeat", "")) for one, said in history.hashes.items()}
    if history.index != heard:
        differing = {one: ms for one, ms in history.index.items() if heard.get(one) != ms}
        yield f"the index of last heartbeats has {_few(differing)}, the hashes {_few(heard)}"


def alerts_are_the_stored_ones(history: History) -> Iterator[str]:
    """What was heard on the channel is stored word for word, heard once, and no two alerts share an id."""
    stored = {entry: json.loads(said["json"]) for entry, said in history.events if said.get("json")}
    for name, times in Counter(alert["id"] for alert in stored.values()).items():
        if times > 1:
            yield f"{times} stored alerts have the id {name}"
    for entry, said in history.events:
        wanted = f"0/{said.get('id')}/{said.get('born')}/{said.get('rev')}"
        if entry in stored and said.get("id") and stored[entry]["id"] != wanted:
            yield f"{entry}: the alert's id is {stored[entry]['id']}, not {wanted}"
    for name, times in Counter(alert["id"] for alert in history.alerts).items():
        if times > 1:
            yield f"the alert {name} was heard {times} times"
    for alert in history.alerts:
        data = dict(alert["data"])
        entry = data.pop("stream_id", "")
        if stored.get(entry) != {**alert, "data": data}:
            yield f"the alert {alert['id']} was heard, and is not what {entry or 'any event'} stores"


Promise = Callable[[History], Iterator[str]]
PROMISES: tuple[Promise, ...] = (
    epochs_rise,
    the_deposed_write_nothing,
    revs_are_contiguous,
    guard_events_are_counted,
    edges_are_legal,
    commands_have_one_event,
    records_end_where_events_end,
    nobody_is_silenced_too_early,
    every_heartbeat_counts_once,
    indexes_agree,
    alerts_are_the_stored_ones,
    *HEALING,
)


def violations(history: History) -> dict[str, list[str]]:
    """Promise -> how it is broken; empty when all are kept."""
    found = {promise.__name__: list(promise(history)) for promise in PROMISES}
    return {name: broken for name, broken in found.items() if broken}


def assert_kept(history: History) -> None:
    """Fails with up to ten lines for each promise that is broken."""
    broken = violations(history)
    lines = [f"{name}: {line}" for name, all_ in broken.items() for line in all_[:10]]
    assert not broken, "the history breaks its promises:\n" + "\n".join(lines)


def table_differences(table: Table, history: History) -> list[str]:
    """Where a replica's table is not what the hashes at rest say: decided fields, marks and totals."""
    different = [f"{one} is only on one side" for one in table.components.keys() ^ history.hashes.keys()]
    for one in table.components.keys() & history.hashes.keys():
        held, said = table.get(one), history.hashes[one]
        assert held is not None
        mine = (held.state, str(held.rev), str(held.born_ms), held.since_ms, held.reason, held.incident)
        theirs = (said["state"], said["rev"], said["born"], milliseconds(said["since"]), said["reason"])
        if mine != (*theirs, said.get("incident", "")):
            different.append(f"{one} is {mine} in the table and {theirs} in the hash")
        counted = (str(held.total_heartbeats), f"{held.era}:{held.last_id.decode()}" if held.last_id else "")
        if counted != (said["total_heartbeats"], said["folded"]):
            different.append(f"{one} counts {counted}, the hash {said['total_heartbeats']}, {said['folded']}")
    return different


# -- reading ---------------------------------------------------------------------------------------------------------


async def read_history(client: Any, keys: Keys) -> History:
    """Everything of a shard in one transaction, over a client that decodes replies."""
    ids = list(await client.zrange(keys.components, 0, -1))
    picture = client.pipeline(transaction=True)
    picture.xrange(keys.events)
    picture.xrange(keys.blind)
    picture.xrange(keys.rejected)
    picture.hgetall(keys.counts)
    picture.zrange(keys.components, 0, -1, withscores=True)
    for state in STATES:
        picture.zrange(keys.state(state), 0, -1, withscores=True)
    for one in ids:
        picture.hgetall(keys.component(one))
    picture.xrange(keys.restarts)
    picture.xinfo_stream(keys.events)
    events, blind, rejected, counts, index, *rest = await picture.execute()
    return History(
        events=events,
        events_added=int(rest[-1]["entries-added"]),
        hashes=dict(zip(ids, rest[len(STATES) : -2], strict=True)),
        states={state: _scores(rest[n]) for n, state in enumerate(STATES)},
        index=_scores(index),
        counts={state: int(count) for state, count in counts.items()},
        blind=[(int(said["from_ms"]), int(said["to_ms"])) for _, said in blind],
        rejected=[said for _, said in rejected],
        orders=rest[-2],
    )


def _scores(pairs: Sequence[tuple[str, float]]) -> dict[str, int]:
    return {one: int(score) for one, score in pairs}


def _blind_within(stretches: Sequence[tuple[int, int]], from_ms: int, to_ms: int) -> int:
    covered, end_ms = 0, from_ms
    for start, end in sorted(stretches):
        start_ms = max(start, end_ms)
        covered += max(0, min(end, to_ms) - start_ms)
        end_ms = max(end_ms, min(end, to_ms))
    return covered


def _few(found: Mapping[str, object]) -> str:
    shown = dict(list(found.items())[:3])
    return f"{len(found)} ({shown}…)" if len(found) > 3 else str(shown)
