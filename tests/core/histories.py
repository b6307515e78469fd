"""Histories for hypothesis: heartbeats, reports and commands of three components, mixed in time.

A report names the restart, the breaker's generation and the incarnation by what the record says when it is read, so
that most of them mean something.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st

from healthmon.core.command import read_command, register
from healthmon.core.component import Component
from healthmon.core.event import Event
from healthmon.core.marks import Entry
from healthmon.core.policy import DEFAULT_POLICY, Defaults
from healthmon.core.reporting import fold_report
from healthmon.core.reports import ProbeReport
from healthmon.core.table import Table
from healthmon.errors import Refused
from healthmon.store.codec import Wire
from tests.core.shard import START_MS, ask, canary, entry, failed, flat, heal, lead, probed

DEFAULTS = Defaults(
    heartbeat_timeout_ms=2_000,
    degraded_threshold_ms=4_000,
    dead_threshold_ms=8_000,
    startup_timeout_ms=3_000,
    restart_timeout_ms=2_000,
    base_delay_ms=1_000,
    reset_after_ms=15_000,
    failure_threshold=3,
    recovery_timeout_ms=5_000,
    probe_timeout_ms=1_000,
    max_retries=2,
    forget_after_ms=10**9,
    forget_after_unknown_ms=10**9,
)
NAMES = ("a", "b", "c")
# `a` is restarted and probed, `b` is restarted by an agent and depends on it; `c` registers itself.
DECLARED = {
    "a": '{"restart":{"method":"handler"},"probe":{"url":"tcp://x:1","interval":1},"role":"db"}',
    "b": '{"restart":{"method":"agent","jitter":false},"depends_on":["a"],"expected":"always"}',
}
SAID: tuple[dict[str, object], ...] = (
    {},
    {"incarnation": "i1"},
    {"incarnation": "i2"},
    {"incarnation": "i3", "interval": 1},
    {"incarnation": "i1", "status": "failing"},
    {"status": "degraded"},
    {"incarnation": "i2", "status": "starting"},
    {"status": "stopping"},
    {"incarnation": "i1", "latency_ms": 450},
    {"cpu_percent": 20},
)
STEPS_MS = (0, 0, 1, 100, 300, 300, 1_000, 1_000, 1_900, 2_500, 5_000, 9_000)
CANARY_MS = 300
# A silence of most of these is over before the history is.
LENGTHS_S = ("2", "0", "0.5", "8", "60")


@dataclass(frozen=True)
class Step:
    """Something that happens after a while: of this kind, to this component, in this variant."""

    after_ms: int
    kind: int
    who: str
    choice: int


def steps_of(drawn: bytes) -> list[Step]:
    """Three bytes make a step; noughts are plain heartbeats at once."""
    return [
        Step(STEPS_MS[pace % len(STEPS_MS)], kind, NAMES[pace // 64 % len(NAMES)], choice)
        for pace, kind, choice in zip(drawn[::3], drawn[1::3], drawn[2::3], strict=False)
    ]


FEW = settings(max_examples=settings().max_examples // 2)  # each is a history of a hundred rounds
HISTORIES = st.binary(min_size=30, max_size=180).map(steps_of)


def report_of(step: Step, component: Component, at_ms: int, seq: int) -> Entry:
    """The entry of the control stream that a step means for a record."""
    who, choice, restart = step.who, step.choice, component.restart
    match step.kind % 12:
        case 0 | 1:
            generation = max(0, component.breaker.generation - choice // 3 % 2)
            outcome = ("failed", "ok", "refused")[choice % 3]
            return probed(at_ms, ProbeReport(who, generation, outcome, 20.0 + 500 * (choice % 5 == 4), "x"), seq=seq)
        case 2 | 3:
            return failed(at_ms, who, "500", seq=seq)
        case 4 | 5:
            said = ["kind", "restart", "rev", str(restart.claimed - choice // 4 % 2), "ok", str(choice % 2)]
        case 6:
            said = ["kind", "restart", "rev", str(restart.claimed), "taken", "agent-1"]
        case 7:
            ended = (component.incarnation, "i3", "", restart.incarnation)[choice % 4]
            said = ["kind", "exit", "code", "1", "incarnation", ended, "lines", "x"]
        case other:
            words = ("hold", "resume", "restart", "revive", "reset-breaker", "silence", "acknowledge", "silence")
            cmd = words[(choice + other) % len(words)]
            said = ["for", LENGTHS_S[choice // 8 % len(LENGTHS_S)], "reason", "disk"] if cmd == "silence" else []
            said += ["for", "0"] if cmd == "acknowledge" and choice // 8 % 4 == 0 else []
            return entry(at_ms, "cmd", cmd, "id", who, "by", "alice", *said, seq=seq)
    return entry(at_ms, "cmd", "report", "id", who, *said, seq=seq)


@dataclass
class Leader:
    """Plays a history. `log`: what was read and what was committed, in order; `times`: when rounds were made."""

    table: Table = field(default_factory=lambda: Table(DEFAULTS, Wire()))
    now_ms: int = START_MS
    log: list[Entry | Event] = field(default_factory=list)
    seq: int = 0

    def begin(self) -> None:
        """Declare the components that an operator knows."""
        self.hear(canary(self.now_ms))
        for who, policy in DECLARED.items():
            command = read_command(f"{self.now_ms}-0", {"cmd": "register", "id": who, "policy": policy})
            blank = Component(who, self.now_ms, DEFAULT_POLICY, DEFAULT_POLICY.limits(DEFAULTS), since_ms=self.now_ms)
            self.table.put(blank)
            self._take(list(register(blank, command, DEFAULTS)), applied=False)

    def hear(self, heartbeat: Entry) -> None:
        """Read an entry of the heartbeats."""
        self.log.append(heartbeat)
        self.table.fold([heartbeat])

    def happen(self, step: Step) -> None:
        """Read what a step brings; a command is obeyed at once."""
        self.seq += 1
        component = self.table.get(step.who)
        if step.kind < 128 or component is None:
            self.hear(flat(self.now_ms, step.who, self.seq, **SAID[step.choice % len(SAID)]))
            return
        self.now_ms += 1  # of one millisecond, reports and commands are read before heartbeats
        command = report_of(step, component, self.now_ms, self.seq)
        if fold_report(self.table, command):
            self.log.append(command)
            return
        with suppress(Refused):
            self._take(ask(self.table, command, self.now_ms))

    def pass_time(self, ms: int, *, always: bool = False) -> None:
        """Let time pass in steps of 100 ms, with canaries. `always`: everybody is judged at every step."""
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.now_ms = min(self.now_ms + 100, until_ms)
            if self.now_ms - self.table.seen_ms >= CANARY_MS or self.now_ms == until_ms:
                self.seq += 1
                self.hear(canary(self.now_ms, self.seq))
            self.round(always=always)

    def play(self, steps: list[Step], *, always: bool = False) -> None:
        """A history from its beginning, or on from where it stands; after each step a round."""
        for step in steps:
            self.pass_time(step.after_ms, always=always)
            self.happen(step)
            self.round(always=always)

    def round(self, *, always: bool = False) -> list[Event]:
        """Decide what is due, or for everybody, and heal."""
        if always:
            self.table.changed.update(dict.fromkeys(self.table.components))
        events = [*lead(self.table, self.now_ms), *heal(self.table, self.now_ms)]
        return self._take(events)

    def _take(self, events: list[Event], *, applied: bool = True) -> list[Event]:
        for event in [] if applied else events:
            assert self.table.apply(event, self.table.moment(self.now_ms))
        self.log += events
        return events

    @property
    def events(self) -> list[Event]:
        """What was committed."""
        return [one for one in self.log if isinstance(one, Event)]
