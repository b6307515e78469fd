"""The HTTP API for whoever looks and operates: its endpoints, and the routes that keep what they say."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute

from healthmon.views.api_cluster import ClusterViews
from healthmon.views.api_component import ComponentViews
from healthmon.views.api_events import EventViews
from healthmon.views.api_fleet import FleetViews, Roles
from healthmon.views.api_orders import OrderViews
from healthmon.views.api_public import PublicViews
from healthmon.views.desk import Desk
from healthmon.views.endpoint import Answer, Asked, Endpoint, answered, route
from healthmon.views.listing import Finder
from healthmon.views.openapi import openapi
from healthmon.views.schemas import ANY_OBJECT


def endpoints(desk: Desk) -> Sequence[Endpoint]:
    """Every operation, in the order in which they are documented."""
    fleet, following, roles = desk.fleet, desk.following, Roles(desk.fleet)
    return (
        *FleetViews(fleet, roles, Finder(fleet)).endpoints(),
        *ComponentViews(fleet, desk.reader, desk.sampler).endpoints(),
        *EventViews(fleet, following, desk.log).endpoints(),
        *ClusterViews(fleet, desk.cluster, desk.reader, following).endpoints(),
        *OrderViews(fleet, following, desk.client, desk.keys).endpoints(),
        *PublicViews(fleet, roles).endpoints(),
    )


def api_routes(desk: Desk, others: Sequence[Endpoint] = ()) -> list[BaseRoute]:
    """The routes, for an app that puts the caller's `Grant` into the scope as `grant`.

    `others`: operations that the app serves by routes of its own, described with these in /openapi.json.
    """
    served = endpoints(desk)
    described = openapi((*others, *served))

    async def description(_: Asked) -> Response:
        return answered(described)

    own = Endpoint(
        *("GET", "/openapi.json", "openapi", "This description.", description),
        scope=None,
        answers={200: Answer("OpenAPI 3.1.", ANY_OBJECT)},
        tag="public",
    )
    described["paths"].update(openapi([own])["paths"])
    return [route(one) for one in (*served, own)]
