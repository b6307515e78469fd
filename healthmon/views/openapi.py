"""The OpenAPI description of the HTTP API, made of the endpoints that answer it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from healthmon import __version__
from healthmon.views import schemas
from healthmon.views.endpoint import Answer, Endpoint, Parameter

_TAGS: Final = {
    "heartbeats": "Saying that a component is well.",
    "fleet": "Whether anything is wrong, and which.",
    "components": "One component: why it is in its state, and what comes next.",
    "events": "What happened, what happens, and what people are told of.",
    "cluster": "Who watches.",
    "orders": "What an operator asks for; `by` is the name of the token.",
    "public": "What needs no token.",
}


def openapi(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The description as an OpenAPI 3.1 object."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "healthmon",
            "version": __version__,
            "description": "Names are those of the stored hashes, times RFC 3339 in UTC, null for none. "
            "Later versions add names and take none away.",
        },
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.about.partition(". ")[0].rstrip("."),
        "description": endpoint.about,
        "tags": [endpoint.tag],
        "parameters": [_parameter(one) for one in endpoint.parameters],
        "responses": {str(status): _answer(answer) for status, answer in sorted(answers_of(endpoint).items())},
        "security": [{"token": []}] if endpoint.scope else [],
    }
    if endpoint.scope:
        operation["description"] += f" Needs a token whose scope has `{endpoint.scope.value}`, where there are tokens."
    if endpoint.body is not None:
        required = bool(endpoint.body.get("required"))
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": endpoint.body}}}
    return operation


def answers_of(endpoint: Endpoint) -> dict[int, Answer]:
    """All answers that an endpoint may give: its own, and those that come of how it is asked."""
    answers = dict(endpoint.answers)
    answers.setdefault(400, Answer("A parameter makes no sense; the message names it.", schemas.ERROR))
    if endpoint.scope is not None:
        answers[401] = Answer("No token, or an unknown one.", schemas.ERROR)
        answers[403] = Answer("The token does not grant this.", schemas.ERROR)
    if endpoint.body is not None:
        answers[413] = Answer("The body is too large.", schemas.ERROR)
        answers[415] = Answer("The body is not application/json.", schemas.ERROR)
    return answers


def _answer(answer: Answer) -> dict[str, Any]:
    schema = answer.schema if answer.schema is not None else {"type": "string"}
    return {"description": answer.about, "content": {answer.media: {"schema": schema}}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.about,
        "schema": _schema(parameter),
        **({"style": "form", "explode": False} if parameter.several else {}),
    }


def _schema(parameter: Parameter) -> dict[str, Any]:
    otherwise = {} if parameter.otherwise == "" else {"default": parameter.otherwise}
    match parameter.kind:
        case "switch":
            return {"type": "boolean", **otherwise}
        case "whole":
            return {"type": "integer", "minimum": parameter.least, "maximum": parameter.most, **otherwise}
    chosen = {"enum": [*parameter.choices]} if parameter.choices else {}
    text = {"type": "string", **chosen, **({"pattern": parameter.pattern} if parameter.pattern else {}), **otherwise}
    return {"type": "array", "items": text} if parameter.several else text
