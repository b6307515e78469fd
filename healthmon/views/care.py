"""What `doctor` concludes of self-healing, pure: can what is meant to be restarted be restarted, and what lies upon it.

`records` are stored fields. Who is meant stands in the fact, the first few by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from healthmon.views.diagnosis import Finding
from healthmon.views.picture import handlers_of, json_of, time_of
from healthmon.views.words import duration, named, number, when

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from healthmon.core.guard import Brake
    from healthmon.views.picture import Replica

Record = dict[str, str]
NAMED_MAX: Final = 5
DAY_MS: Final = 86_400_000
ANYBODY: Final = "*"
_SWITCH: Final = "HEALTH_ALLOW_EXEC"
_ON: Final = ("1", "on", "true", "yes")


@dataclass(frozen=True, slots=True)
class Cared:
    """What was looked at: the records, of how many in all, and since when those that are held are (0: not known)."""

    records: Sequence[Record]
    total: int
    held_since: Mapping[str, int] = field(default_factory=dict)


def judge_care(cared: Cared, replicas: Sequence[Replica], leader: str, brake: Brake, now_ms: int) -> Iterator[Finding]:
    """Every check of self-healing, in the order in which one keeps the other from being of any use."""
    live = [replica for replica in replicas if replica.here]
    yield _judge_brake(brake, now_ms)
    yield _judge_programs(cared, live, leader)
    yield _judge_handlers(cared, live)
    yield _judge_breakers(cared, now_ms)
    yield _judge_held(cared, now_ms)
    if cared.total > len(cared.records):
        told = (
            f"only the {number(len(cared.records))} longest silent of {number(cared.total)} components were looked at"
        )
        yield Finding("looked at", "warning", told, "`healthmon ls` and `healthmon why ID` look at any")


def _judge_brake(brake: Brake, now_ms: int) -> Finding:
    if not brake.on:
        return Finding("brake", "ok", "no mass failure")
    fact = f"mass failure since {when(brake.since_ms, now_ms)}: deaths by silence and restarts wait"
    return Finding("brake", "warning", fact, "look at the network and at Redis; healthmon resume --mass-failure")


def _judge_programs(cared: Cared, live: Sequence[Replica], leader: str) -> Finding:
    """Stored policies run programs only where a replica's own setting allows it."""
    wanting = [record["id"] for record in cared.records if _runs_program(record)]
    if not wanting:
        return Finding("programs", "ok", "no policy runs a program on a monitor's host")
    told = f"policies of {named(wanting)} run programs"
    allowed = {replica.id: replica.get("allow_exec").lower() in _ON for replica in live if replica.get("allow_exec")}
    refused = any(
        _SWITCH in record.get(name, "") for record in cared.records for name in ("restart_waits", "probe_detail")
    )
    fix = f"start the monitors with {_SWITCH}=on, if whoever may write to Redis may run programs there"
    if allowed and not any(allowed.values()):
        return Finding("programs", "problem", f"{told}, and no monitor may: {_SWITCH} is off", fix)
    if refused or not allowed.get(leader, True):
        return Finding("programs", "problem", f"{told}, and the leader may not: {_SWITCH} is off there", fix)
    return Finding("programs", "ok", told)


def _judge_handlers(cared: Cared, live: Sequence[Replica]) -> Finding:
    """A restart by a handler needs a process that offers one."""
    offered = {one for replica in live for one in handlers_of(replica)}
    wanting = [record["id"] for record in cared.records if record.get("restart_method") == "handler"]
    lacking = [] if ANYBODY in offered else [one for one in wanting if one not in offered]
    if lacking:
        fact = f"{named(lacking)} {_is(lacking)} restarted by a handler, and no process offers one"
        fix = "start the program that calls set_restart_handler, or set another restart method: healthmon apply"
        return Finding("handlers", "problem", fact, fix)
    told = f"offered for {named(wanting)}" if wanting else "no component is restarted by a handler"
    return Finding("handlers", "ok", told)


def _judge_breakers(cared: Cared, now_ms: int) -> Finding:
    opened = [record for record in cared.records if record.get("circuit_breaker_state") == "open"]
    if not opened:
        return Finding("breakers", "ok", "none is open")
    first = min(time_of(record, "breaker_retry_at") for record in opened)
    tried = f"; the next is tried again at {when(first, now_ms)}" if first > now_ms else ""
    one = opened[0]["id"]
    fix = f"healthmon why {one}; when it is mended: healthmon reset-breaker {one}"
    return Finding("breakers", "warning", f"open: {named([record['id'] for record in opened])}{tried}", fix)


def _judge_held(cared: Cared, now_ms: int) -> Finding:
    """What is held is easily forgotten."""
    held = [record["id"] for record in cared.records if record.get("held")]
    old = [one for one in held if now_ms - cared.held_since.get(one, 0) > DAY_MS]
    if not old:
        return Finding("held", "ok", f"{named(held)}, none for more than a day" if held else "none is held")
    known = [cared.held_since[one] for one in old if cared.held_since.get(one)]
    longest = f", the longest for {duration(now_ms - min(known))}" if known else ""
    fact = f"for more than a day: {named(old)}{longest}: nothing restarts them"
    return Finding("held", "warning", fact, f"healthmon resume {' '.join(old[:NAMED_MAX])}")


def _runs_program(record: Record) -> bool:
    if record.get("restart_method") == "exec":
        return True
    policy: Any = json_of({"policy": record.get("policy", "")})["policy"]
    probe = policy.get("probe") if isinstance(policy, dict) else None
    return isinstance(probe, dict) and bool(probe.get("exec"))


def _is(ids: Sequence[str]) -> str:
    return "is" if len(ids) == 1 else "are"
