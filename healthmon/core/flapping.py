"""Flapping: more changes between well and not well than anybody wants to hear of one by one.

More than four changes in ten minutes is flapping [Nagios counts state changes]. What is counted is how often it ceased
to be healthy: the third time is the fifth change. One death with its restart runs through six states, and is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from healthmon.core.component import Component

WITHIN_MS: Final = 600_000
TURNS_MAX: Final = 2
# It ends well below where it began, or the overlay itself would flap.
TURNS_CALM: Final = 1
# A flapping component's state is committed so often at most.
COMMIT_EVERY_MS: Final = 10_000
DIGEST_EVERY_MS: Final = 600_000


def turns_within(component: Component, now_ms: int) -> int:
    """How often it ceased to be healthy in the last ten minutes."""
    return sum(1 for at_ms in component.turns if now_ms - at_ms < WITHIN_MS)


def held_until_ms(component: Component) -> int:
    """Until when a flapping component's next change waits, 0 for not at all."""
    return component.since_ms + COMMIT_EVERY_MS if component.flapping else 0


def change_in(component: Component, now_ms: int) -> str:
    """`starts`, `goes_on` (a digest is due), `ends`, or "" for nothing to tell. `flapping` holds when it was told."""
    count = turns_within(component, now_ms)
    if not component.flapping:
        return "starts" if count > TURNS_MAX else ""
    if count <= TURNS_CALM:
        return "ends"
    return "goes_on" if now_ms - component.flapping >= DIGEST_EVERY_MS else ""


def next_change_ms(component: Component) -> int:
    """When time alone may end it, or a digest is due; 0 for never."""
    if not component.flapping:
        return 0
    calm = component.turns[-TURNS_CALM - 1] + WITHIN_MS if len(component.turns) > TURNS_CALM else component.flapping
    return min(calm, component.flapping + DIGEST_EVERY_MS)
