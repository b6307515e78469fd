"""What everybody may see: whether the process lives and is ready, how the roles are, and a badge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from healthmon.views import schemas
from healthmon.views.api_component import WHICH
from healthmon.views.api_fleet import Roles, known_id
from healthmon.views.badge import badge, badge_of
from healthmon.views.endpoint import Answer, Asked, Endpoint, Parameter, answered
from healthmon.views.fleet import BEHIND_MS, Fleet
from healthmon.views.words import duration


class DataRoute(Route):
    """A route for programs on a path where a browser finds a page: it does not match who asks for HTML."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As a plain route, but for requests that accept HTML."""
        accepted = dict(scope.get("headers", ())).get(b"accept", b"")
        return (Match.NONE, {}) if b"text/html" in accepted else super().matches(scope)


@dataclass(frozen=True)
class Check:
    """One thing that /readyz looks at. `needed`: without it the process is not ready."""

    name: str
    ok: bool
    detail: str
    needed: bool = False


@dataclass(frozen=True)
class PublicViews:
    """The handlers over one fleet."""

    fleet: Fleet
    roles: Roles

    async def alive(self, _: Asked) -> Response:
        """The event loop turns: that is all that is asked."""
        return answered({"alive": True})

    async def ready(self, asked: Asked) -> Response:
        """Whether the table is there to be shown. A follower is as ready as a leader, and nobody needs Redis for it."""
        checks = self.checks()
        ready = all(check.ok for check in checks if check.needed)
        said: dict[str, Any] = {"ready": ready}
        if asked["verbose"]:
            said["checks"] = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks]
        return answered(said, 200 if ready else 503)

    def checks(self) -> list[Check]:
        """What there is to know of this process, that which decides first."""
        fleet, about = self.fleet, self.fleet.about()
        loaded, known = fleet.loaded(), len(fleet.table.components)
        behind_ms = max(0, fleet.now_ms() - fleet.table.seen_ms) if loaded else 0
        lease = about.lease
        return [
            Check("table", loaded, f"{known} components" if loaded else "not loaded yet", needed=True),
            Check("redis", about.reachable, "answers" if about.reachable else "does not answer"),
            Check("leader", lease is not None, lease.replica if lease else "nobody leads"),
            Check("reading", loaded and behind_ms <= BEHIND_MS, f"{duration(behind_ms)} behind"),
        ]

    async def status(self, _: Asked) -> Response:
        """The counts and the roles, without ids, hosts and reasons."""
        pulse, roles = self.fleet.pulse(), await self.roles.counted()
        names = ("at", "freshness", "counts", "problems", "headline")
        return answered({**{name: pulse[name] for name in names}, "prefix": self.fleet.keys.prefix, "roles": roles})

    async def badge(self, asked: Asked) -> Response:
        """The state as a picture; an unknown component has one, too, so that a page shows something."""
        name: str = asked["id"]
        component_id = known_id(name.removesuffix(".svg"))
        component = self.fleet.get(component_id)
        if component is None:
            drawn, status = badge(component_id, "not known", "none"), 404
        else:
            fresh = self.fleet.freshness().word == "live"
            drawn, status = badge_of(component_id, component.state.value, fresh=fresh), 200
        # Other sites may show it: that is what it is for.
        headers = {"Cache-Control": "no-cache, max-age=0", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(drawn, status, headers, "image/svg+xml")

    def endpoints(self) -> Sequence[Endpoint]:
        """What these handlers answer."""
        picture = "image/svg+xml"
        return (
            Endpoint(
                *("GET", "/livez", "livez", "Whether the process lives. It never touches Redis.", self.alive),
                scope=None,
                answers={200: Answer("It does.", schemas.record({"alive": {"const": True}}))},
                tag="public",
            ),
            Endpoint(
                "GET",
                "/readyz",
                "readyz",
                "Whether the process has its table. A follower is ready, and so is one that has lost Redis: it shows "
                "what it knows, and says how old that is.",
                self.ready,
                scope=None,
                parameters=(Parameter("verbose", "With its checks.", "switch", otherwise=False),),
                answers={200: Answer("Ready.", schemas.READY), 503: Answer("Not yet.", schemas.READY)},
                tag="public",
            ),
            Endpoint(
                *("GET", "/status", "status", "The roles and counts, for everybody.", self.status),
                scope=None,
                answers={200: Answer("The fleet without names.", schemas.STATUS)},
                tag="public",
                route=DataRoute,
            ),
            Endpoint(
                *("GET", "/badge/{id}", "badge", "A picture of a component's state; `.svg` may follow.", self.badge),
                scope=None,
                parameters=(WHICH,),
                answers={200: Answer("Its state.", media=picture), 404: Answer("It is not known.", media=picture)},
                tag="public",
            ),
        )
