"""A component's restart attempts: how many, the one that is under way, and the next one's time.

A restart is named by the component's rev at its claim, which never repeats; attempt numbers do, at the next incident.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from healthmon.core.policy import RestartLimits

JITTER: Final = 0.16  # of the delay, either way [specification]
# Whoever takes a restart command does so within this, or not at all.
TAKE_WITHIN_MS: Final = 15_000
# A report is on its way for so long at most after the method's own deadline.
REPORT_SLACK_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Attempts:
    """The decided half. Times are milliseconds of the Redis clock, 0 for none.

    `done`: attempts claimed since the last reset. `next_ms`: when the next is due; `waits`: why it waits though it is.
    While one is under way: `rev` names it, `deadline_ms` ends it, `incarnation` is the one seen before its claim,
    `taken` says who executes it. `awaiting_ms`: since when the restarted one has not been heard from. `claimed` and
    `reported`: the last rev claimed, and reported on. `exited`: the incarnation whose end was reported. `by_itself`:
    how often it came back before an attempt was due.
    """

    done: int = 0
    next_ms: int = 0
    waits: str = ""
    rev: int = 0
    deadline_ms: int = 0
    incarnation: str = ""
    method: str = ""
    runner: str = ""
    taken: str = ""
    awaiting_ms: int = 0
    claimed: int = 0
    reported: int = 0
    exited: str = ""
    by_itself: int = 0


NO_ATTEMPTS: Final = Attempts()


def delay_ms(limits: RestartLimits, attempt: int, seed: str = "") -> int:
    """How long attempt n waits: min(most, base * factor ** (n - 1)), +-16 % with jitter [specification].

    The jitter comes from a hash of `seed`, so that every replica, hot or cold, finds the same.
    """
    # Beyond some power the longest delay is reached for certain, and a float would overflow.
    power = min(attempt - 1, 1000)
    try:
        wait_ms = min(float(limits.most_ms), limits.base_ms * limits.factor**power)
    except OverflowError:
        wait_ms = float(limits.most_ms)
    if limits.jitter:
        share = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest()) / 2**64
        wait_ms *= 1 + JITTER * (2 * share - 1)
    return round(wait_ms)


def jitter_seed(component_id: str, born_ms: int, rev: int, attempt: int) -> str:
    """What the jitter of one delay comes from."""
    return f"{component_id}/{born_ms}/{rev}/{attempt}"
