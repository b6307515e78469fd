"""Finding components in the table: filtered, sorted, by page, in slices that a leading replica doesn't feel."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

import anyio

from healthmon import clock
from healthmon.core.component import Component, HealthState
from healthmon.core.decide import shown_score
from healthmon.core.marks import settle
from healthmon.core.score import SILENT_SCORES
from healthmon.views.fleet import Fleet
from healthmon.views.picture import counts_of
from healthmon.views.search import Query
from healthmon.views.slices import in_slices
from healthmon.views.states import LOOKS, PROBLEMS

# So many are sorted at once, which takes below 1 ms; sorted runs are then merged as far as the page goes.
RUN: Final = 1000
GOOD_S: Final = 0.5
PAGES_MAX: Final = 64
_RANKS: Final[Mapping[HealthState, int]] = {look.state: look.order for look in LOOKS.values()}
Key = tuple[Any, ...]

# How a list may be sorted: the worst first and of one state the longest in it; by id; the latest change first; the
# longest silent first. The id decides between equals, as in the stored indexes.
SORTS: Final[Mapping[str, Callable[[Component], Key]]] = {
    "worst": lambda one: (_RANKS[one.state], one.since_ms, one.id),
    "id": lambda one: (one.id,),
    "since": lambda one: (-one.since_ms, one.id),
    "last_heartbeat": lambda one: (one.last_heartbeat_ms, one.id),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list shows. `states`: only these, empty for all; what the query says of states holds beside it."""

    query: Query = field(default_factory=Query)
    states: frozenset[str] = frozenset()
    role: str = ""
    problems: bool = False
    hide_silenced: bool = False
    sort: str = "worst"
    page: int = 1
    per_page: int = 50

    def shown(self) -> frozenset[str]:
        """The states that are listed."""
        states = set(LOOKS)
        for chosen in (self.states, self.query.states, frozenset(PROBLEMS if self.problems else ())):
            states &= chosen or states
        return frozenset(states)


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `counts`: over everything that matches but for its state. `silenced`: so many of its states are."""

    total: int
    silenced: int
    counts: Mapping[str, int]
    components: list[Component]


@dataclass(slots=True)
class _Finding:
    """A page that is being looked for, or was found, after this event."""

    last_event: str
    began_s: float
    done: anyio.Event = field(default_factory=anyio.Event)
    page: Page | None = None


class Finder:
    """Finds pages, each once for all who ask for it at the same time.

    A page that was found is good until the next event, half a second at most: a state never changes without one.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._found: dict[Wanted, _Finding] = {}

    async def find(self, wanted: Wanted) -> Page:
        """The page as `find` gives it."""
        known = self._found.get(wanted)
        if known is not None and self._is_good(known):
            await known.done.wait()
            if known.page is not None:
                return known.page
        finding = _Finding(self._fleet.last_event(), clock.monotonic_s())
        self._found = {key: one for key, one in self._found.items() if self._is_good(one)}
        if len(self._found) < PAGES_MAX:
            self._found[wanted] = finding
        try:
            finding.page = await find(self._fleet, wanted)
        finally:
            finding.done.set()
        return finding.page

    def _is_good(self, finding: _Finding) -> bool:
        same = finding.last_event == self._fleet.last_event()
        return same and clock.monotonic_s() - finding.began_s < GOOD_S


async def find(fleet: Fleet, wanted: Wanted) -> Page:
    """One page of what is wanted. It is a look at a table that goes on changing: at each record as it is then."""
    query = replace(wanted.query, states=frozenset())
    every = query.states_only and not wanted.role
    shown = frozenset(HealthState(state) for state in wanted.shown())
    counts: Counter[HealthState] = Counter()
    found: list[Component] = []
    now_ms, silenced = fleet.now_ms(), 0
    async for component in in_slices(list(fleet.table.components.values())):
        if not component.rev or not (every or _matches(component, query, wanted.role)):
            continue
        if component.silenced_until_ms > now_ms:
            silenced += component.state in shown
            if wanted.hide_silenced:
                continue
        counts[component.state] += 1
        if component.state in shown:
            found.append(component)
    ordered = await _first(found, SORTS[wanted.sort], wanted.page * wanted.per_page)
    page = ordered[(wanted.page - 1) * wanted.per_page :]
    return Page(
        total=len(found),
        silenced=silenced,
        counts=counts_of({state.value: str(count) for state, count in counts.items()}),
        components=[one for one in page if fleet.table.components.get(one.id) is one],
    )


async def _first(found: list[Component], key: Callable[[Component], Key], count: int) -> list[Component]:
    """The first so many in order."""
    runs = []
    async for start in in_slices(range(0, len(found), RUN), look_every=1):
        part = found[start : start + RUN]
        for one in part:
            settle(one)
        runs.append(sorted(((key(one), one.id, one) for one in part), key=_by_key))
    if len(runs) == 1:
        return [one for _, _, one in runs[0][:count]]
    merged = islice(heapq.merge(*runs, key=_by_key), count)
    return [one async for _, _, one in in_slices(merged)]


def _by_key(entry: tuple[Key, str, Component]) -> Key:
    return entry[0]


def _matches(component: Component, query: Query, role: str) -> bool:
    if role and component.role != role:
        return False
    said = {
        "id": component.id,
        "role": component.role,
        "host": component.host,
        "reason": component.reason,
        "msg": component.msg,
    }
    if query.scores:
        settle(component)
        said["score"] = f"{shown_score(component, SILENT_SCORES):.2f}"
    return query.matches(said)
