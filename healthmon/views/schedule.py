"""The restart attempts of a component: used, under way, to come, and until when. Pure.

Attempts to come are told at their earliest: each one before may take its time to fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.alert import rfc3339
from healthmon.core.attempts import TAKE_WITHIN_MS
from healthmon.core.component import Component, HealthState
from healthmon.core.death import has_method, remaining
from healthmon.core.rules import PROOFS
from healthmon.views.states import word_of
from healthmon.views.words import plural, printable, seconds, when

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

# Of a thousand attempts to come the first few are told.
TOLD_MAX: Final = 6
_UP: Final = (HealthState.HEALTHY, HealthState.DEGRADED, HealthState.UNKNOWN, "")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times are milliseconds of the Redis clock, 0 for none.

    `planned`: the attempts to come, each with its number and its earliest time. `waits`: why the next one has to wait
    when it is due. `running`: an attempt is under way, by `taken`, or untaken until `take_until_ms`; it has until
    `deadline_ms`. `resets_ms`: when attempts count from 0 again if it stays healthy.
    """

    method: str
    done: int
    most: int
    planned: tuple[tuple[int, int], ...]
    waits: str
    running: bool
    taken: str
    take_until_ms: int
    deadline_ms: int
    resets_ms: int
    reset_after_ms: int
    by_itself: int

    @property
    def gives_up_ms(self) -> int:
        """When the last attempt is made at the earliest, after which it gives up."""
        return self.planned[-1][1] if self.planned else 0


def schedule_of(component: Component, dependencies: Mapping[str, str], now_ms: int, *, braked: bool) -> Schedule | None:
    """The schedule; nothing where nobody restarts it and nobody ever did. `dependencies`: id -> state.

    While an attempt that is due waits, those after it move along.
    """
    limits, attempts = component.limits, component.restart
    if not (has_method(component) or attempts.done or attempts.by_itself):
        return None
    running = component.state is HealthState.RESTARTING
    healthy = component.state is HealthState.HEALTHY
    late_ms = max(0, now_ms - attempts.next_ms)
    planned = tuple((number, at_ms + late_ms * (n > 0)) for n, (number, at_ms) in enumerate(remaining(component)))
    return Schedule(
        method=attempts.method if running else limits.restart.method,
        done=attempts.done,
        most=limits.restart.max_retries,
        planned=planned,
        waits=_waits(component, dependencies, braked=braked) if attempts.next_ms else "",
        running=running,
        taken=printable(attempts.taken) if running else "",
        take_until_ms=min(component.since_ms + TAKE_WITHIN_MS, attempts.deadline_ms) if running else 0,
        deadline_ms=attempts.deadline_ms if running else 0,
        resets_ms=component.since_ms + limits.reset_after_ms if healthy and attempts.done else 0,
        reset_after_ms=limits.reset_after_ms,
        by_itself=attempts.by_itself,
    )


def _waits(component: Component, dependencies: Mapping[str, str], *, braked: bool) -> str:
    """Why the next attempt has to wait: as the leader said when it was due, else what is known before."""
    if component.restart.waits:
        return printable(component.restart.waits)
    if not component.limits.restart.auto:
        return "automatic restarts are off"
    if component.held:
        return f"held {printable(component.held)}"
    down = next((one for one, state in dependencies.items() if state not in _UP), "")
    if down:
        return f"its dependency {down} is {word_of(dependencies[down])}"
    return "mass failure" if braked and component.rule not in PROOFS else ""


# -- for people and for programs -------------------------------------------------------------------------------------


def next_attempt(schedule: Schedule, now_ms: int, zone: tzinfo | None, *, led: bool) -> list[str]:
    """The attempt that is under way or comes next, as sentences; none where no attempt is to come."""
    name = f"restart attempt {schedule.done + (not schedule.running)}/{schedule.most}"
    if schedule.running:
        if not schedule.taken:
            until = when(schedule.take_until_ms, now_ms, zone)
            return [f"{name} is to be taken by {_takers(schedule)} until {until}"]
        until = when(schedule.deadline_ms, now_ms, zone)
        return [f"{name} is with {schedule.taken} until {until}", "Starting if it succeeds, Dead if not"]
    if not schedule.planned:
        return []
    number, due_ms = schedule.planned[0]
    said = when(due_ms, now_ms, zone)
    if due_ms > now_ms:
        first = f"{name} at {said}" + (f", but would wait: {schedule.waits}" if schedule.waits else "")
    elif schedule.waits:
        first = f"{name} is due since {said} and waits: {schedule.waits}"
    else:
        first = f"{name} is due since {said}" + ("" if led else ", but nobody leads")
    if number == schedule.most:
        return [first, "gives up if it fails"]
    return [first, f"gives up at the earliest {when(schedule.gives_up_ms, now_ms, zone, distance=False)}"]


def attempts_sentence(schedule: Schedule, now_ms: int, zone: tzinfo | None) -> str:
    """`1 of 5 used, by agent; the others at the earliest 14:31:17, 14:31:37; …`."""
    parts = [f"{schedule.done} of {schedule.most} used" + (f", by {schedule.method}" if schedule.method else "")]
    ahead = [at_ms for _, at_ms in schedule.planned if at_ms > now_ms]
    if len(schedule.planned) > 1 and ahead:
        times = [when(at_ms, now_ms, zone, distance=False) for at_ms in ahead[:TOLD_MAX]]
        more = len(ahead) - len(times)
        parts.append(f"at the earliest {', '.join(times)}" + (f" and {more} later" if more else ""))
    if schedule.resets_ms:
        parts.append(f"count from 0 again at {when(schedule.resets_ms, now_ms, zone)} if it stays healthy")
    elif schedule.done or schedule.planned:
        parts.append(f"count from 0 again after {seconds(schedule.reset_after_ms)} of health")
    if schedule.by_itself:
        parts.append(f"it came back by itself {plural(schedule.by_itself, 'time')} before one was due")
    return "; ".join(parts)


def schedule_json(schedule: Schedule) -> dict[str, Any]:
    """The schedule for a program: RFC 3339 times, null where there is none."""
    return {
        "method": schedule.method or None,
        "attempts_done": schedule.done,
        "attempts_max": schedule.most,
        "next_at": rfc3339(schedule.planned[0][1]) or None if schedule.planned else None,
        "waits": schedule.waits or None,
        "planned": [{"attempt": number, "at": rfc3339(at_ms)} for number, at_ms in schedule.planned],
        "gives_up_at": rfc3339(schedule.gives_up_ms) or None,
        "running": schedule.running,
        "taken_by": schedule.taken or None,
        "deadline": rfc3339(schedule.deadline_ms) or None,
        "resets_at": rfc3339(schedule.resets_ms) or None,
        "self_recoveries": schedule.by_itself,
    }


def _takers(schedule: Schedule) -> str:
    return "its agent" if schedule.method == "agent" else "a replica"
