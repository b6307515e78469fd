from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from healthmon.run.place import open_place
from healthmon.run.serving import serve_place
from healthmon.settings import load_serving_settings
from tests.inprocess import replicas
from tests.views.serving import CALM
from tests.waiting import eventually


def never_failed(_: Any, response: Any, case: Any) -> None:
    """A 503 may be an answer; a 500 is none."""
    assert response.status_code != 500, f"{case.operation.label}: {response.text}"


KEPT = (never_failed, status_code_conformance, content_type_conformance, response_schema_conformance)
IDS = ("api-1", "api-2", "api-3")
# The live stream does not end, and each election takes longer than all else.
ENDLESS, SLOW = "/health/events", "/health/cluster/step-down"


@asynccontextmanager
async def _served(url: str) -> AsyncIterator[str]:
    """All that a process serves, the ways in as well as the views."""
    place = open_place(load_serving_settings(http_port=0))
    async with replicas(url, "a", **CALM) as fleet, anyio.create_task_group() as group:
        group.start_soon(serve_place, place, fleet.members["a"])
        components = fleet.members["a"].parts.table.components
        for name in IDS:
            await fleet.send("id", name, "role", "api", "latency_ms", "450")
        await eventually(lambda: all(name in components and components[name].state == "degraded" for name in IDS))
        yield place.url
        group.cancel_scope.cancel()


@pytest.fixture
def address(url: str) -> Iterator[str]:
    """The address of a server in a thread of its own, since schemathesis waits for each answer."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_served(url)) as address:
        yield address


def _operations(address: str) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    found: list[Any] = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    return sorted((one for one in found if one.path != ENDLESS), key=lambda one: one.label.endswith("/forget"))


def test_every_answer_is_as_the_description_says_whatever_is_asked(address: str) -> None:
    operations = _operations(address)
    assert len(operations) >= 28
    for operation in operations:
        most = 2 if operation.path == SLOW else 6
        _try(operation, GenerationMode.POSITIVE, most)
        if operation.definition.raw["parameters"] or "requestBody" in operation.definition.raw:
            _try(operation, GenerationMode.NEGATIVE, 4)


def _try(operation: Any, mode: GenerationMode, count: int) -> None:
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=[*HealthCheck], derandomize=True)
    @given(case=operation.as_strategy(generation_mode=mode), known=st.sampled_from(("", *IDS)))
    def ask(case: Any, known: str) -> None:
        if known and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = known
        case.call_and_validate(checks=KEPT, timeout=10)

    ask()


def test_the_description_names_what_each_operation_needs_and_may_answer(address: str) -> None:
    described = httpx.get(f"{address}/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    paths = described["paths"]
    assert {"/health", "/health/components/{id}", "/health/events", "/livez", "/openapi.json"} <= set(paths)
    assert {"/metrics", "/health/heartbeat", "/beat/{id}"} <= set(paths)
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            needs_token = bool(operation["security"])
            assert needs_token is ("401" in operation["responses"]), (method, path)
            assert all(one["description"] for one in operation["parameters"])
    assert not paths["/livez"]["get"]["security"]
    assert "409" in paths["/health/components/{id}/restart"]["post"]["responses"]
