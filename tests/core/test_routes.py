from __future__ import annotations

import pytest

from healthmon.core.routes import Route, sinks_for
from tests.alerts.alerts import alert, mass_failure

EVERY = ("pager", "chat", "log")


def test_without_routes_every_sink_is_told() -> None:
    assert sinks_for(alert("a", "dead"), (), EVERY) == EVERY


@pytest.mark.parametrize(
    ("route", "takes"),
    [
        (Route(("pager",)), True),
        (Route(("pager",), severity="error"), True),
        (Route(("pager",), severity="critical"), False),
        (Route(("pager",), roles=("we*",)), True),
        (Route(("pager",), roles=("db",)), False),
        (Route(("pager",), ids=("x", "api-*")), True),
        (Route(("pager",), ids=("API-*",)), False),
        (Route(("pager",), roles=("web",), ids=("db-*",)), False),
    ],
)
def test_a_route_takes_what_fits_all_of_its_parts(route: Route, takes: bool) -> None:
    assert route.takes(alert("api-1", "unhealthy")) is takes


def test_every_route_that_takes_it_adds_its_sinks_and_no_sink_is_told_twice() -> None:
    routes = (Route(("log", "chat")), Route(("chat",)), Route(("pager",), ids=("b",)))
    assert sinks_for(alert("a", "dead"), routes, EVERY) == ("chat", "log")


def test_what_no_route_takes_goes_nowhere_unless_it_is_about_the_monitor_itself() -> None:
    routes = (Route(("pager",), ids=("b",)),)
    assert sinks_for(alert("a", "dead"), routes, EVERY) == ()
    assert sinks_for(mass_failure(), routes, EVERY) == EVERY
