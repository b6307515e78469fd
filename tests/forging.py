"""Writes histories of failures for judging the judge: honest ones, and ones that no shard could have."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.history import Fields, History, milliseconds

START_MS = 1_800_000_000_000
EPOCH = str(START_MS)
RESTART = {"method": "agent", "base_delay": 1, "max_delay": 10, "max_retries": 2, "jitter": False, "timeout": 10}
POLICY = {"restart": RESTART, "startup_timeout": 5}


def at(ms: int) -> str:
    return f"2027-01-15T08:{ms // 60_000:02}:{ms % 60_000 / 1000:06.3f}Z"


@dataclass
class Forge:
    """Writes a history, an event after the other. Times are ms since its beginning."""

    history: History = field(default_factory=History)
    revs: Counter[str] = field(default_factory=Counter)
    state: dict[str, str] = field(default_factory=dict)

    def say(self, ms: int, kind: str, id_: str = "", **fields: Any) -> Fields:
        said = {"type": kind, "at": at(ms), "epoch": EPOCH, "replica": "m1", **fields}
        if "set" in said:
            said["set"] = json.dumps(said["set"])
        if id_:
            self.revs[id_] += 1
            said |= {"id": id_, "born": EPOCH, "rev": str(self.revs[id_])}
        entry = f"{START_MS + ms}-{len(self.history.events)}"
        self.history.events.append((entry, said))
        self.history.events_added += 1
        return said

    def move(self, ms: int, id_: str, target: str, rule: str = "", **fields: Any) -> Fields:
        source, self.state[id_] = self.state.get(id_, "unknown"), target
        return self.say(ms, "transition", id_, **{"from": source, "to": target}, rule=rule, reason=rule, **fields)

    def register(self, id_: str, **policy: Any) -> None:
        cause = self.ask(0, cmd="register", id=id_)
        self.say(0, "registered", id_, cause=cause, set={"policy": json.dumps(policy)})
        self.move(1, id_, "healthy")

    def ask(self, ms: int, **fields: str) -> str:
        entry = f"{START_MS + ms}-{len(self.history.commands)}"
        self.history.commands[entry] = fields
        return entry

    def report(self, ms: int, id_: str, kind: str, **fields: str) -> str:
        return self.ask(ms, cmd="report", kind=kind, id=id_, **fields)

    def exit(self, ms: int, id_: str, done: int, wait_ms: int) -> None:
        cause = self.report(ms, id_, "exit")
        self.move(ms, id_, "unhealthy", "exit", cause=cause)
        self.move(
            ms, id_, "dead", "exit", set={"restart": {"done": done, "next_ms": wait_ms and START_MS + ms + wait_ms}}
        )

    def claim(self, ms: int, id_: str, attempt: int, **fields: Any) -> None:
        rev = self.revs[id_] + 1
        counts = {"done": attempt, "next_ms": 0, "rev": rev, "claimed": rev, "deadline_ms": START_MS + ms + 10_000}
        restart = {**counts, "runner": "agent", "taken": ""}
        self.move(ms, id_, "restarting", "restart", set={"restart": restart}, **fields)
        order = {"cmd": "restart", "id": id_, "rev": str(rev), "attempt": str(attempt), "epoch": EPOCH}
        self.history.orders.append((self.history.events[-1][0], order))

    def take(self, ms: int, id_: str) -> None:
        entry, order = self.history.orders[-1]
        cause = self.report(ms, id_, "restart", taken="agent-1", rev=order["rev"])
        self.say(ms, "restart", id_, rule="taken", cause=cause, reason="", set={"restart": {"taken": "agent-1"}})
        line = {"id": id_, "rev": int(order["rev"]), "entry": entry, "at_ms": START_MS + ms}
        self.history.executed.append(line)

    def fail(self, ms: int, id_: str, done: int, wait_ms: int) -> None:
        cause = self.report(ms, id_, "restart", ok="0")
        restart = {"done": done, "next_ms": START_MS + ms + wait_ms}
        self.move(ms, id_, "dead", "restart_failed", cause=cause, set={"restart": restart})

    def succeed(self, ms: int, id_: str) -> None:
        cause = self.report(ms, id_, "restart", ok="1")
        awaiting = {"restart": {"rev": 0, "awaiting_ms": START_MS + ms}}
        self.move(ms, id_, "initializing", "restart", cause=cause, set=awaiting)
        self.move(ms + 100, id_, "healthy", "heartbeat", set={"restart": {"awaiting_ms": 0}})

    def turn(self, ms: int, id_: str, state: str, generation: int, open_ms: int = 0, **more: Any) -> None:
        times = {"at_ms": START_MS + ms, "until_ms": START_MS + ms + open_ms}
        self.say(
            ms, "breaker", id_, reason="", set={"breaker": {"state": state, "generation": generation} | times | more}
        )

    def brake(self, ms: int, *, on: bool) -> None:
        number = sum(1 for _, said in self.history.events if "guard" in said) + 1
        since = str(START_MS + ms) if on else "0"
        self.say(ms, "guard", guard=str(number), rule="mass_failure", set={"mass_since_ms": since})

    def spend(self, attempts: int) -> None:
        """Restart `a` so often that it comes back, the last time at 20 s."""
        ms, wait_ms = 1_000, 1_000
        for attempt in range(1, attempts + 1):
            self.exit(ms, "a", attempt - 1, wait_ms)
            self.claim(ms + wait_ms, "a", attempt)
            self.succeed(ms + wait_ms + 1_000, "a")
            ms, wait_ms = ms + 10_000, 2 * wait_ms

    def give_up(self, ms: int, id_: str) -> Fields:
        said = self.move(ms, id_, "permanently_failed", "gave_up")
        said["json"] = json.dumps({"id": f"0/{id_}/{EPOCH}/{said['rev']}", "data": {"severity": "critical"}})
        return said

    def done(self) -> History:
        """At rest: what is stored is what the events make of it."""
        history, last = self.history, dict[str, Fields]()
        since: dict[str, str] = {}
        for _, said in history.events:
            if said.get("id"):
                last[said["id"]] = said
                since[said["id"]] = said["at"] if said.get("to") else since.get(said["id"], said["at"])
        for one, said in last.items():
            where = self.state[one]
            history.hashes[one] = {
                "born": EPOCH,
                "rev": said["rev"],
                "epoch": EPOCH,
                "state": where,
                "since": since[one],
            }
            history.states.setdefault(where, {})[one] = milliseconds(since[one])
            history.counts[where] = len(history.states[where])
            history.index[one] = 0
        return history
