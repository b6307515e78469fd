"""May a restart attempt begin, by whom, and the transition that claims it.

An attempt is claimed by a commit before anything is called. Before that, in order: automatic restarts are on and not
held; the owner agrees; no dependency is down (root first); the fleet has room; no mass failure. What waits says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from healthmon.core.component import Component, HealthState
from healthmon.core.decide import AGENT, RESTART
from healthmon.core.rules import PROOFS, is_refused

if TYPE_CHECKING:
    from healthmon.core.draft import Draft
    from healthmon.core.table import Table

# A level waits so long at most for the one below: a dependency that never comes back must not hold it for ever.
DEPENDENCY_MS_MAX: Final = 300_000
ANYBODY: Final = "*"
_DOWN: Final = frozenset(
    (HealthState.UNHEALTHY, HealthState.DEAD, HealthState.RESTARTING, HealthState.PERMANENTLY_FAILED)
)
_NOT_UP: Final = _DOWN | {HealthState.INITIALIZING}
_BY_REPLICA: Final = frozenset(("exec", "webhook"))


@dataclass(frozen=True, slots=True)
class Means:
    """What the leader can restart with. `handlers`: component id or `*` -> the replica whose process offers one."""

    replica: str = ""
    handlers: Mapping[str, str] = field(default_factory=dict)
    allow_exec: bool = False


def runner_of(component: Component, means: Means) -> tuple[str, str]:
    """Who executes an attempt, or "" and why nobody can."""
    method = component.limits.restart.method
    if method == AGENT:
        return AGENT, ""
    if method == "exec" and not means.allow_exec:
        return "", "the leader runs no programs: HEALTH_ALLOW_EXEC is off"
    if method in _BY_REPLICA:
        return means.replica, ""
    runner = means.handlers.get(component.id) or means.handlers.get(ANYBODY, "")
    return (runner, "") if runner else ("", f"no process offers a restart handler for {component.id}")


def waits_for(component: Component, table: Table, means: Means, owner: str, now_ms: int) -> str:
    """Why the attempt that is due has to wait; "" when it may begin. `owner`: why its owner refuses, or ""."""
    if not component.limits.restart.auto:
        return "automatic restarts are off"
    if component.held:
        return f"held {component.held}"
    if owner:
        return owner
    down = dependency_down(component, table, now_ms)
    if down is not None:
        return f"its dependency {down.id} is {down.state}"
    return _shard_waits(component, table, now_ms) or runner_of(component, means)[1]


def _shard_waits(component: Component, table: Table, now_ms: int) -> str:
    """What keeps every restart waiting: lost data, of which another replica may know more, and a mass failure."""
    if table.recovering_until_ms and now_ms < table.recovering_until_ms + component.limits.timeout_ms:
        return "lost data is being put back"
    if table.brake.on and not _is_proven(component, table):
        return "mass failure"
    return ""


def dependency_down(component: Component, table: Table, now_ms: int) -> Component | None:
    """The first dependency that is not up yet; unknown ones and those of other shards hold nobody, nor any for ever."""
    if now_ms - component.restart.next_ms >= DEPENDENCY_MS_MAX:
        return None
    known = (table.components.get(one) for one in component.policy.depends_on)
    return next((one for one in known if one is not None and one.state in _NOT_UP), None)


def down_of(component: Component, table: Table) -> tuple[str, ...]:
    """The dependencies that are down, in the policy's order. One that starts again is down until it is up."""
    found = []
    for one in component.policy.depends_on:
        known = table.components.get(one)
        if known is None:
            continue
        starting = known.state is HealthState.INITIALIZING and one in component.down
        if known.state in _DOWN or starting:
            found.append(one)
    return tuple(found)


def claim(draft: Draft, means: Means, attempt: int, why: str) -> None:
    """Add the transition that claims an attempt. Its rev names the restart from here on."""
    record = draft.record
    limits = record.limits.restart
    draft.move(
        HealthState.RESTARTING,
        f"restart {attempt} of {limits.max_retries} by {limits.method}{why}",
        RESTART,
        restart={
            "done": attempt,
            "next_ms": 0,
            "waits": "",
            "rev": record.rev + 1,
            "claimed": record.rev + 1,
            "deadline_ms": draft.at_ms + limits.timeout_ms,
            "incarnation": record.incarnation,
            "method": limits.method,
            "runner": runner_of(record, means)[0],
            "taken": "",
            "awaiting_ms": 0,
        },
    )


def _is_proven(component: Component, table: Table) -> bool:
    """Whether its death is proven, and not a mere silence."""
    return component.rule in PROOFS or is_refused(component, table.census.probed_ok_ms)
