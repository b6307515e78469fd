"""`GET /health` and `GET /health/components`: the fleet at a glance, and who is in which state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from healthmon import clock
from healthmon.core.alert import rfc3339
from healthmon.core.ids import valid_id
from healthmon.errors import Refused
from healthmon.views import schemas
from healthmon.views.endpoint import Answer, Asked, Endpoint, Parameter, answered, bad_parameter, encoded
from healthmon.views.fleet import Fleet
from healthmon.views.listing import SORTS, Finder, Wanted
from healthmon.views.picture import counts_of
from healthmon.views.search import parse_query
from healthmon.views.slices import in_slices
from healthmon.views.states import LOOKS

PER_PAGE_MAX: Final = 500
# Roles are counted by a look at every component; not oftener than this, nor for more than a twentieth of the time.
ROLES_AGE_S: Final = 0.5
ROLES_SHARE: Final = 20
ROLES_MAX: Final = 1000


@dataclass
class Roles:
    """Components by role and state, counted at most twice a second however many ask."""

    fleet: Fleet
    _counted: list[dict[str, Any]] = field(default_factory=list)
    _due_s: float = 0.0

    async def counted(self) -> list[dict[str, Any]]:
        """Every role with its counts by state, by name; of more than a thousand the first."""
        began_s = clock.monotonic_s()
        if began_s < self._due_s:
            return self._counted
        self._due_s = began_s + ROLES_AGE_S  # whoever asks meanwhile is answered by what was counted before
        counts: dict[str, Counter[str]] = {}
        async for component in in_slices(list(self.fleet.table.components.values())):
            if component.rev:
                counts.setdefault(component.role, Counter())[component.state.value] += 1
        self._counted = [_role(role, counts[role]) for role in sorted(counts)[:ROLES_MAX]]
        took_s = clock.monotonic_s() - began_s
        self._due_s = max(self._due_s, began_s + took_s * ROLES_SHARE)
        return self._counted


def _role(role: str, counted: Counter[str]) -> dict[str, Any]:
    counts = counts_of({state: str(count) for state, count in counted.items()})
    return {
        "role": role,
        "total": sum(counts.values()),
        "counts": {name: count for name, count in counts.items() if count},
    }


@dataclass(frozen=True)
class FleetViews:
    """The handlers over one fleet."""

    fleet: Fleet
    roles: Roles
    finder: Finder

    async def glance(self, asked: Asked) -> Response:
        """Whether anything is wrong, who leads, how fresh this is, and what the caller may do."""
        roles = await self.roles.counted()
        grant = asked.grant
        may = {"name": grant.name, "scopes": sorted(scope.value for scope in grant.scopes)}
        return answered({**self.fleet.glance(), "roles": roles, "grant": {**may, "patterns": list(grant.patterns)}})

    async def components(self, asked: Asked) -> Response:
        """One page of rows, each written out by itself so that others get their turn."""
        fleet, wanted = self.fleet, wanted_of(asked)
        found = await self.finder.find(wanted)
        rows = [_compact(fleet.row(one)) async for one in in_slices(found.components, look_every=10)]
        head = {
            "at": rfc3339(fleet.now_ms()) or None,
            "total": found.total,
            "page": wanted.page,
            "pages": -(-found.total // wanted.per_page),
            "per_page": wanted.per_page,
            "counts": found.counts,
            "silenced": found.silenced,
        }
        return encoded(f'{_compact(head)[:-1]},"components":[{",".join(rows)}]}}')

    def endpoints(self) -> Sequence[Endpoint]:
        """What these handlers answer."""
        return (
            Endpoint(
                "GET",
                "/health",
                "glance",
                "The fleet at a glance: counts, roles, who leads, how fresh this is, and what the caller may do.",
                self.glance,
                answers={200: Answer("The fleet now.", schemas.GLANCE)},
            ),
            Endpoint(
                "GET",
                "/health/components",
                "components",
                "Components by page, the worst first unless sorted otherwise.",
                self.components,
                parameters=LIST_PARAMETERS,
                answers={200: Answer("One page. Beyond the last page it has no components.", schemas.PAGE)},
            ),
        )


LIST_PARAMETERS: Final = (
    Parameter("state", "Only these states, with commas between.", choices=tuple(LOOKS), several=True),
    Parameter("q", "What is looked for, such as `role:api host:web-03 score:<0.6 timeout`."),
    Parameter("role", "Only this role."),
    Parameter("problems", "Only what needs attention: degraded or worse.", "switch", otherwise=False),
    Parameter("silenced", "Whether silenced ones are shown.", otherwise="show", choices=("show", "hide")),
    Parameter(
        "sort",
        "`worst`: the worst state first, of one state the longest in it; `since`: the latest change first; "
        "`last_heartbeat`: the longest silent first.",
        otherwise="worst",
        choices=tuple(SORTS),
    ),
    Parameter("page", "Which page.", "whole", otherwise=1, least=1),
    Parameter("per_page", "Components to a page.", "whole", otherwise=50, least=1, most=PER_PAGE_MAX),
)


def wanted_of(asked: Asked) -> Wanted:
    """The list that a request asks for. Raises Refusal for a search that can't be read."""
    try:
        query = parse_query(asked["q"])
    except Refused as wrong:
        raise bad_parameter(str(wrong)) from None
    return Wanted(
        query,
        states=frozenset(asked["state"].split(",") if asked["state"] else ()),
        role=asked["role"],
        problems=asked["problems"],
        hide_silenced=asked["silenced"] == "hide",
        sort=asked["sort"],
        page=asked["page"],
        per_page=asked["per_page"],
    )


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def known_id(component_id: str) -> str:
    """The id that a path names. Raises Refusal for what can be none."""
    if not valid_id(component_id):
        raise bad_parameter(f"{component_id[:64]!r} is no id: 1 to 128 letters, digits and ._@-, no dot in front")
    return component_id
