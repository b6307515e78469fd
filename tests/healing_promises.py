"""What must be true of every death, restart and breaker that was ever told. A part of the judge in `tests.history`.

The rules are spelt out again from behaviour.md; nothing is taken from the code that is judged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.telling import Fields, Life, entry_ms, milliseconds, named

if TYPE_CHECKING:
    from tests.history import History

# The specification's defaults, where neither a policy nor the story's settings say otherwise. Seconds.
DEFAULTS: dict[str, float] = {
    "base_delay": 5.0,
    "max_delay": 300.0,
    "exponential_base": 2.0,
    "max_retries": 5,
    "restart_timeout": 60.0,
    "startup_timeout": 120.0,
    "restarts_concurrent": 5,
    "restarts_per_minute": 20,
    "recovery_timeout": 60.0,
}
JITTER = 0.16
TAKEN_WITHIN_MS, REPORT_WITHIN_MS = 15_000, 5_000
DEPENDENCY_MS_MAX = BRAKE_MS_MAX = 300_000
RECOVERY_MS_MAX = 600_000
MINUTE_MS = 60_000
NOT_UP = ("unhealthy", "dead", "restarting", "permanently_failed", "initializing")
UNTAKEN = "restart_untaken"
PROOFS = ("exit", "restart_failed", UNTAKEN)


@dataclass
class Course:
    """One component as its events made it, up to some moment."""

    life: Life
    defaults: dict[str, float]
    state: str = "unknown"
    rule: str = ""
    since_ms: int = 0
    policy: dict[str, Any] = field(default_factory=dict)
    restart: dict[str, Any] = field(default_factory=dict)
    breaker: dict[str, Any] = field(default_factory=dict)
    claimed_ms: int = 0

    def of_restart(self, name: str) -> float:
        """A value of its restart policy."""
        given: dict[str, float] = self.policy.get("restart", {})
        return given.get(name.removeprefix("restart_"), self.defaults.get(name, 0.0))

    @property
    def done(self) -> int:
        """Attempts claimed since the last reset."""
        return int(self.restart.get("done", 0))

    def delay_ms(self, attempt: int) -> tuple[float, float]:
        """The shortest and the longest that an attempt may be made to wait."""
        factor = self.of_restart("exponential_base") ** min(attempt - 1, 100)
        most_s = max(self.of_restart("max_delay"), self.of_restart("base_delay"))
        delay_ms = 1000 * min(most_s, self.of_restart("base_delay") * factor)
        jitter = JITTER if self.policy.get("restart", {}).get("jitter", True) else 0.0
        return delay_ms * (1 - jitter) - 1, delay_ms * (1 + jitter) + 1

    def learn(self, said: Fields) -> None:
        """Take in an event."""
        changed = changes(said)
        self.restart.update(changed.get("restart", {}))
        self.breaker.update(changed.get("breaker", {}))
        if "policy" in changed:
            self.policy = json.loads(changed["policy"])
        if said.get("to"):
            self.state, self.rule, self.since_ms = said["to"], said.get("rule", ""), milliseconds(said["at"])
        if said.get("to") == "restarting":
            self.claimed_ms = self.since_ms


def changes(said: Fields) -> dict[str, Any]:
    """What an event sets beside the state."""
    found: dict[str, Any] = json.loads(said.get("set") or "{}")
    return found


def told(history: History) -> Iterator[tuple[str, Fields, Course, dict[str, Course]]]:
    """Every event of a component, it as it was before, and all components as they were by id."""
    known: dict[str, Course] = {}
    for life, entry, said in history.of_component():
        if life[0] not in known or known[life[0]].life != life:
            known[life[0]] = Course(life, {**DEFAULTS, **history.settings})
        yield entry, said, known[life[0]], known
        known[life[0]].learn(said)
        if said["type"] == "forgotten":
            del known[life[0]]


def claims(history: History) -> Iterator[tuple[str, Fields, Course, dict[str, Course]]]:
    """The transitions that claim an attempt."""
    return (one for one in told(history) if one[1].get("to") == "restarting" and one[1]["type"] == "transition")


def orders_are_claims(history: History) -> Iterator[str]:
    """Each order of a restart is one claim, of the same stream id, rev and attempt; each claim gives one order."""
    given = dict(history.orders)
    for entry, said, _, _ in claims(history):
        order, claimed = given.pop(entry, {}), changes(said)["restart"]
        wanted = (said["id"], said["rev"], str(claimed["done"]), said["epoch"])
        if tuple(order.get(name, "") for name in ("id", "rev", "attempt", "epoch")) != wanted:
            yield f"{entry}: {named(said)} claims attempt {claimed['done']}, and the order is {order}"
        if str(claimed["rev"]) != said["rev"]:
            yield f"{entry}: {named(said)} claims the restart {claimed['rev']}"
    for entry, order in given.items():
        yield f"order {entry} for {order.get('id')} rev {order.get('rev')} was never claimed"


def attempts_are_counted(history: History) -> Iterator[str]:
    """Attempts count up by one to the most, whoever leads; only operators begin again, and only agents get one back."""
    for entry, said, before, _ in told(history):
        done = changes(said).get("restart", {}).get("done")
        if done is None or done == before.done:
            continue
        most = before.of_restart("max_retries")
        if said.get("to") == "restarting":
            if said.get("cause") and done == 1:
                continue
            if said.get("cause") or done != before.done + 1 or done > most:
                yield f"{entry}: {named(said)} claims attempt {done} after {before.done} of {most}"
        elif said.get("rule") == "restart_untaken":
            if done != before.done - 1 or before.restart.get("runner") != "agent":
                yield f"{entry}: {named(said)} counts {done} attempts, and there were {before.done}"
        elif done != 0 or said.get("rule") not in ("reset", "revive"):
            yield f"{entry}: {named(said)} sets the attempts from {before.done} to {done}"


def no_attempt_comes_early(history: History) -> Iterator[str]:
    """Each death says when its attempt is due, as the policy's schedule has it, and none is claimed before that."""
    for entry, said, before, _ in told(history):
        next_ms = changes(said).get("restart", {}).get("next_ms", 0)
        if said.get("to") == "dead" and next_ms:
            attempt = int(changes(said)["restart"].get("done", before.done)) + 1
            least, most = before.delay_ms(attempt)
            if not least <= next_ms - milliseconds(said["at"]) <= most:
                waits = next_ms - milliseconds(said["at"])
                yield f"{entry}: {named(said)} has attempt {attempt} wait {waits} ms, not {least:.0f} to {most:.0f}"
        if said.get("to") == "restarting" and not said.get("cause"):
            due_ms = int(before.restart.get("next_ms", 0))
            if not due_ms or min(milliseconds(said["at"]), entry_ms(entry)) < due_ms:
                yield f"{entry}: {named(said)} is claimed {due_ms - entry_ms(entry)} ms before its time ({due_ms})"


def running_restarts_are_waited_for(history: History) -> Iterator[str]:
    """A restart ends by a report, by what is heard, or when its report is overdue; so does the wait for a sign of life.

    Blind time only makes the latter later.
    """
    for entry, said, before, _ in told(history):
        if said.get("to") != "dead" or said.get("cause") or said.get("rule") not in ("restart_failed", UNTAKEN):
            continue
        if before.state == "restarting":
            deadline_ms = int(before.restart["deadline_ms"])
            if said["rule"] == UNTAKEN:
                deadline_ms = min(deadline_ms, before.claimed_ms + TAKEN_WITHIN_MS)
            until_ms = deadline_ms + REPORT_WITHIN_MS
            if before.restart.get("taken") and said["rule"] == UNTAKEN:
                yield f"{entry}: {named(said)} was taken by {before.restart['taken']}, and is called untaken"
        else:
            startup_s = before.policy.get("startup_timeout", before.defaults["startup_timeout"])
            until_ms = int(before.restart.get("awaiting_ms", 0)) + round(startup_s * 1000)
        if milliseconds(said["at"]) < until_ms:
            yield f"{entry}: {named(said)} ends {until_ms - milliseconds(said['at'])} ms before its time"


def the_budget_is_kept(history: History) -> Iterator[str]:
    """Never more restarts in flight, and in a minute, than the settings allow; an operator's are not held to it."""
    begun: list[int] = []
    for entry, said, before, known in claims(history):
        in_flight = sum(1 for course in known.values() if course.state == "restarting")
        lately = sum(1 for ms in begun if ms > entry_ms(entry) - MINUTE_MS)
        begun.append(entry_ms(entry))
        if said.get("cause"):
            continue
        if in_flight >= before.defaults["restarts_concurrent"]:
            yield f"{entry}: {named(said)} is claimed while {in_flight} restarts are under way"
        if lately >= before.defaults["restarts_per_minute"]:
            yield f"{entry}: {named(said)} is claimed after {lately} restarts within a minute"


def restarts_are_executed_once(history: History) -> Iterator[str]:
    """Whoever executed a restart had taken a claimed one, alone, and while no later one was claimed."""
    given = dict(history.orders)
    claimed_at: dict[str, list[int]] = {}
    for entry, said, _, _ in claims(history):
        claimed_at.setdefault(said["id"], []).append(entry_ms(entry))
    executed = Counter((line["id"], str(line["rev"]), line["entry"]) for line in history.executed)
    for (name, rev, entry), times in executed.items():
        if times > 1:
            yield f"restart {rev} of {name} was executed {times} times"
        if (given.get(entry, {}).get("id"), given.get(entry, {}).get("rev")) != (name, rev):
            yield f"restart {rev} of {name} was executed by an order {entry}, which was never given"
    for one in history.executed:
        begun_ms = entry_ms(one["entry"])
        later = [ms for ms in claimed_at.get(one["id"], []) if begun_ms < ms <= int(one["at_ms"])]
        if later:
            yield f"restart {one['rev']} of {one['id']} was executed after {len(later)} later ones were claimed"
    marks = Counter((s["id"], b.restart.get("claimed")) for _, s, b, _ in told(history) if s.get("rule") == "taken")
    for (name, claimed), times in marks.items():
        if times > 1:
            yield f"restart {claimed} of {name} was taken {times} times"
    for entry, asked in history.commands.items():
        if asked.get("taken") and entry in history.refused_commands():
            yield f"{entry}: restart {asked['rev']} of {asked['id']} was taken, and nobody wanted it any more"


def giving_up_follows_the_last_failure(history: History) -> Iterator[str]:
    """After the last failed attempt it is given up at once, and never before; that is one critical alert."""
    events = [(life, entry, said) for life, entry, said in history.of_component()]
    after: dict[tuple[Life, int], Fields] = {(life, int(said.get("rev", 0))): said for life, _, said in events}
    for entry, said, before, _ in told(history):
        if said.get("to") == "dead":
            done = int(changes(said).get("restart", {}).get("done", before.done))
            most = before.of_restart("max_retries")
            given = before.policy.get("restart", {})
            has_method, spent = given and given.get("method") != "none", 0 < most <= done
            following = after.get((before.life, int(said["rev"]) + 1), {}).get("to")
            if has_method and spent and following != "permanently_failed":
                yield f"{entry}: {named(said)} has spent {done} of {most:g} attempts, and is not given up"
        if said.get("to") == "permanently_failed":
            if before.state != "dead" or before.done < before.of_restart("max_retries"):
                yield f"{entry}: {named(said)} is given up after {before.done} attempts, being {before.state}"
            if json.loads(said.get("json") or "{}").get("data", {}).get("severity") != "critical":
                yield f"{entry}: {named(said)} is given up without a critical alert"


def restarts_go_root_first(history: History) -> Iterator[str]:
    """Nobody is restarted while what it depends on is not up, for five minutes at most."""
    for entry, said, before, known in claims(history):
        if said.get("cause") or entry_ms(entry) - int(before.restart.get("next_ms", 0)) >= DEPENDENCY_MS_MAX:
            continue
        for one in before.policy.get("depends_on", ()):
            if one in known and known[one].state in NOT_UP:
                yield f"{entry}: {named(said)} is restarted while {one} is {known[one].state}"


def the_brake_holds(history: History) -> Iterator[str]:
    """Within a mass failure silence makes nobody dead, and only the proven are restarted; it is let go in time."""
    turns = [(entry, said, int(changes(said)["mass_since_ms"])) for entry, said in history.events if _is_brake(said)]
    for (_, _, before_ms), (entry, said, after_ms) in pairwise(turns):
        if before_ms and after_ms:
            yield f"{entry}: the brake trips again while it holds"
        if before_ms and not after_ms and milliseconds(said["at"]) - before_ms > BRAKE_MS_MAX + 1000:
            yield f"{entry}: the brake held for {milliseconds(said['at']) - before_ms} ms"
    times = [(milliseconds(said["at"]), since_ms) for _, said, since_ms in turns]
    for entry, said, before, _ in told(history):
        on = _is_braked(times, milliseconds(said["at"]))
        if not on or said["type"] != "transition" or said.get("cause") or before.policy.get("probe"):
            continue
        if said["to"] == "dead" and said.get("rule") == "silence":
            yield f"{entry}: {named(said)} is called dead by its silence within a mass failure"
        if said["to"] == "restarting" and before.rule not in PROOFS:
            yield f"{entry}: {named(said)} is restarted within a mass failure, dead by {before.rule}"


def breakers_turn_as_they_may(history: History) -> Iterator[str]:
    """closed, open, half open in their order; a generation each; open twice as long at each reopening."""
    edges = {("closed", "open"), ("open", "half_open"), ("half_open", "closed"), ("half_open", "open")}
    for entry, said, before, _ in told(history):
        turned = changes(said).get("breaker")
        if turned is None:
            continue
        was, is_ = before.breaker.get("state", "closed"), turned["state"]
        reset = said.get("cause") and is_ == "closed"
        if (was, is_) not in edges and not reset and "are off" not in said["reason"]:
            yield f"{entry}: the breaker of {named(said)} goes from {was} to {is_}"
        if turned["generation"] != before.breaker.get("generation", 0) + 1:
            yield f"{entry}: the breaker of {named(said)} is of generation {turned['generation']}"
        if is_ == "open":
            times = before.breaker.get("reopened", 0) + 1 if was == "half_open" else 0
            recovery_s = before.policy.get("breaker", {}).get("recovery_timeout", before.defaults["recovery_timeout"])
            wanted_ms = min(round(recovery_s * 1000) << times, RECOVERY_MS_MAX)
            if turned["until_ms"] - turned["at_ms"] != wanted_ms:
                yield f"{entry}: {named(said)} is open for {turned['until_ms'] - turned['at_ms']} ms, not {wanted_ms}"


def deaths_have_a_proof(history: History) -> Iterator[str]:
    """What makes dead at once is what somebody reported: an exit, or a restart that failed."""
    last = dict[Life, Fields]()
    for entry, said, before, _ in told(history):
        earlier = last.get(before.life, {})
        last[before.life] = said
        if said.get("to") != "dead" or said.get("rule") == "silence":
            continue
        cause = said.get("cause") or (earlier.get("cause", "") if earlier.get("at") == said["at"] else "")
        kind = history.commands.get(cause, {}).get("kind", "")
        wanted = {"exit": "exit", "restart_failed": "restart"}.get(said["rule"], "")
        if said["rule"] not in PROOFS or (cause and kind != wanted) or (said["rule"] == "exit" and not cause):
            yield f"{entry}: {named(said)} is dead by {said['rule']}, and the report is {cause or 'none'} {kind}"


def _is_braked(turns: list[tuple[int, int]], at_ms: int) -> bool:
    """By the times that events name: what a turn brings about is committed with it, and may stand before it."""
    known = [since_ms for turn_ms, since_ms in turns if turn_ms < at_ms or (turn_ms == at_ms and not since_ms)]
    return bool(known and known[-1])


def _is_brake(said: Fields) -> bool:
    return not said.get("id") and "mass_since_ms" in changes(said)


Promise = Callable[["History"], Iterator[str]]
HEALING: tuple[Promise, ...] = (
    orders_are_claims,
    attempts_are_counted,
    no_attempt_comes_early,
    running_restarts_are_waited_for,
    the_budget_is_kept,
    restarts_are_executed_once,
    giving_up_follows_the_last_failure,
    restarts_go_root_first,
    the_brake_holds,
    breakers_turn_as_they_may,
    deaths_have_a_proof,
)
