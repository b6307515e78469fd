"""`/metrics`: the collector's pieces as text, with a turn for everybody else between two of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import anyio
import anyio.lowlevel
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from healthmon.core.access import Scope, demand
from healthmon.views.collector import HealthCollector
from healthmon.views.endpoint import Answer, Endpoint

METRICS: Final = Endpoint(
    "GET",
    "/metrics",
    "metrics",
    "What Prometheus scrapes: this replica, and of the leader the components. docs/metrics.md has every name.",
    answers={200: Answer("Prometheus' text format 0.0.4.", media="text/plain")},
    tag="cluster",
)


class _One:
    """A piece as the library takes it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


async def rendered(collector: HealthCollector) -> bytes:
    """The text of one scrape, in Prometheus' format 0.0.4.

    Made in the loop's own thread, about a millisecond at a time: a thread beside it would take the interpreter for 5 ms
    at a time, and would read records while they change.
    """
    parts, last = list[bytes](), ""
    for piece in collector.pieces():
        text = generate_latest(_One(piece))
        parts.append(text if piece.name != last else _headless(text))
        last = piece.name
        await anyio.lowlevel.checkpoint()
    return b"".join(parts)


def metrics_routes(collector: HealthCollector) -> list[BaseRoute]:
    """The route of `/metrics`, for whoever may read all. One scrape is made at a time: others wait for their turn."""
    turn = anyio.Lock()

    async def metrics(request: Request) -> Response:
        demand(request.scope["grant"], Scope.READ)
        async with turn:
            return Response(await rendered(collector), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return [Route("/metrics", metrics, methods=["GET"])]


def _headless(text: bytes) -> bytes:
    """Without the HELP and TYPE lines, which the first piece of the family has said."""
    return text.split(b"\n", 2)[2]
