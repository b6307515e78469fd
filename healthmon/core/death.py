"""What follows from a death: the next restart attempt or giving up, and the context of the failure, kept for people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.attempts import JITTER, delay_ms, jitter_seed
from healthmon.core.component import HealthState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.core.component import Component

# What changed so shortly before a failure may be its cause.
CHANGED_WITHIN_MS: Final = 60_000
NO_METHOD: Final = ("", "none")


def has_method(component: Component) -> bool:
    """Whether anything restarts it: a method of its policy, or a handler that some process offers for it."""
    limits = component.limits.restart
    return limits.max_retries > 0 and limits.method not in NO_METHOD


def gives_up(component: Component, done: int) -> bool:
    """Whether a death after so many attempts is the last one."""
    return has_method(component) and done >= component.limits.restart.max_retries


def schedule(component: Component, at_ms: int, rev: int, done: int) -> dict[str, Any]:
    """The fields of `restart` that a death sets: attempts done, and when the next is due."""
    ended = {"done": done, "rev": 0, "awaiting_ms": 0, "taken": "", "waits": ""}
    if not has_method(component) or gives_up(component, done):
        return {**ended, "next_ms": 0}
    wait_ms = delay_ms(component.limits.restart, done + 1, jitter_seed(component.id, component.born_ms, rev, done + 1))
    return {**ended, "next_ms": at_ms + wait_ms}


def context(component: Component, at_ms: int, exited: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is known of a failure: how the process ended, its last metrics, what changed before, who else was down."""
    before_ms = min(at_ms, component.heard_ms or at_ms) - CHANGED_WITHIN_MS
    changed = [_timed(one) for one in (*component.changes, *component.acts)]
    recent = [what for ms, what in sorted(changed) if before_ms <= ms <= at_ms]
    known = {
        **(exited or {}),
        "at_ms": at_ms,
        "metrics": dict(component.metrics),
        "changed": recent,
        "dependencies": list(component.down),
        "said": component.msg,
    }
    return {name: value for name, value in known.items() if value not in ("", [], {}, None)}


def ended_as(failure: Mapping[str, Any]) -> str:
    """How the process ended, in words; "" where nobody saw it."""
    if failure.get("signal"):
        return f"killed by {failure['signal']}"
    if "code" in failure:
        return f"exited with code {failure['code']}"
    return ""


def remaining(component: Component) -> list[tuple[int, int]]:
    """The attempts that are left, each with the earliest time at which it can be due: every one before fails at once.

    Empty where there is no schedule. After the last one it gives up.
    """
    limits, attempts = component.limits.restart, component.restart
    if component.state is not HealthState.DEAD or not attempts.next_ms:
        return []
    due_ms, left = attempts.next_ms, [(attempts.done + 1, attempts.next_ms)]
    share = 1 - JITTER if limits.jitter else 1  # which jitter comes is known with the death that it follows
    for attempt in range(attempts.done + 2, limits.max_retries + 1):
        due_ms += round(share * delay_ms(replace(limits, jitter=False), attempt))
        left.append((attempt, due_ms))
    return left


def _timed(text: str) -> tuple[int, str]:
    ms, _, what = text.partition(" ")
    return int(ms), what
