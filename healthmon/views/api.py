"""The HTTP API for whoever looks and operates: its endpoints, and the routes that keep what they say."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

from healthmon.views.api_component import ComponentViews
from healthmon.views.api_events import EventViews
from healthmon.views.api_fleet import FleetViews, Roles
from healthmon.views.desk import Desk
from healthmon.views.endpoint import Endpoint, route


def endpoints(desk: Desk) -> Sequence[Endpoint]:
    """Every operation, in the order in which they are documented."""
    return (
        *FleetViews(desk.fleet, Roles(desk.fleet)).endpoints(),
        *ComponentViews(desk.fleet, desk.reader, desk.sampler).endpoints(),
        *EventViews(desk.following, desk.log).endpoints(),
    )


def api_routes(desk: Desk) -> list[BaseRoute]:
    """The routes, for an app that puts the caller's `Grant` into the scope as `grant`."""
    return [route(one) for one in endpoints(desk)]
