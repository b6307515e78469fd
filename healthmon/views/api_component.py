"""`GET /health/components/{id}` and what is below it: the record, why, what came before, and a plain check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.responses import Response

from healthmon.core.alert import rfc3339
from healthmon.core.component import Component
from healthmon.core.event import Event
from healthmon.core.score import FLOORS, metric_score
from healthmon.errors import HealthmonError, NoSuchComponent
from healthmon.store.codec import read_event
from healthmon.store.keys import HISTORY_MAX
from healthmon.store.reading import Reader, StreamEntry
from healthmon.views import schemas
from healthmon.views.api_events import stream_id
from healthmon.views.api_fleet import known_id
from healthmon.views.bars import bars_of
from healthmon.views.endpoint import ID_PATTERN, STREAM_ID_PATTERN, Answer, Asked, Endpoint, Parameter, answered
from healthmon.views.fleet import Fleet
from healthmon.views.happened import event_json
from healthmon.views.record import record_json
from healthmon.views.sampling import Sampler
from healthmon.views.sending import lines_for_redis, lines_for_sending
from healthmon.views.verdict import Bounds, Grade
from healthmon.views.why import Known, explain
from healthmon.views.why_told import why_json, why_lines

# What a cold path may take of Redis while it answers slowly: the record is shown without its past then.
PAST_S: Final = 1.0
TIMELINE_MAX: Final = 200
# By the grades of `healthmon check`, so that both say the same of a state.
_CHECKS: Final[Mapping[Grade, int]] = {Grade.OK: 200, Grade.WARNING: 429}


@dataclass(frozen=True, slots=True)
class Past:
    """What Redis knows of a component beside its record. `known` False: it could not be asked."""

    history: tuple[StreamEntry, ...] = ()
    refused: Mapping[str, str] | None = None
    known: bool = True

    @property
    def events(self) -> list[Event]:
        """The history as events, the newest first; those of kinds that this version doesn't know are left out."""
        read = (read_event(entry.id, entry.fields) for entry in self.history)
        return [event for event in read if event is not None]


@dataclass(frozen=True)
class ComponentViews:
    """The handlers over one fleet, and the reader for what only Redis knows."""

    fleet: Fleet
    reader: Reader
    sampler: Sampler

    async def component(self, asked: Asked) -> Response:
        """Everything that there is to know of one component."""
        component = self._known(asked["id"])
        past = await self._past(component)
        fleet, now_ms = self.fleet, self.fleet.now_ms()
        answer = explain(self._explained(component, past, now_ms))
        zone = timezone(timedelta(minutes=asked["utc_offset"]))
        keys, events = fleet.keys, past.events
        return answered(
            {
                "at": rfc3339(now_ms) or None,
                "component": record_json(fleet.record(component)),
                "row": fleet.row(component),
                "why": why_json(answer),
                "why_lines": why_lines(answer, zone),
                "score": scores_of(component),
                "bars": bars_of(component, events, now_ms, whole=past.known and len(past.history) < HISTORY_MAX),
                "samples": self.sampler.samples(component.id),
                "redis": lines_for_redis(keys, component.id),
                "send": lines_for_sending(keys, component.id, _address(asked.request), token=_has_token(asked)),
                "past_known": past.known,
            }
        )

    async def timeline(self, asked: Asked) -> Response:
        """What happened to it, the newest first, from its own history."""
        component_id, before = known_id(asked["id"]), stream_id(asked["before"])
        self.fleet.ask_redis()
        entries = await self.reader.history(component_id, asked["limit"], before=before)
        if not entries and self.fleet.get(component_id) is None:
            raise _no_such(component_id)
        whole = await self.reader.events(entry.id for entry in entries)
        events = []
        for entry in entries:
            found = whole.get(entry.id)
            events.append(event_json(found or entry, whole=found is not None) | {"component_id": component_id})
        return answered({"events": events})

    async def check(self, asked: Asked) -> Response:
        """Its state as a status code, for load balancers and scripts."""
        component = self._known(asked["id"])
        status = _CHECKS.get(Bounds().grade(component.state.value), 503)
        if status == 429:
            status = int(asked["warn"])
        said = {
            "id": component.id,
            "state": component.state.value,
            "reason": component.reason,
            "since": rfc3339(component.since_ms) or None,
            "freshness": self.fleet.freshness().word,
        }
        return answered(said, status)

    def _known(self, component_id: str) -> Component:
        component = self.fleet.get(known_id(component_id))
        if component is None:
            raise _no_such(component_id)
        return component

    async def _past(self, component: Component) -> Past:
        if not self.fleet.about().reachable:
            return Past(known=False)
        try:
            with anyio.fail_after(PAST_S):
                history = await self.reader.history(component.id, HISTORY_MAX)
                refused = await self.reader.refusal_of(component.id) if component.refused_heartbeats else None
        except (HealthmonError, TimeoutError):
            return Past(known=False)
        return Past(tuple(history), refused)

    def _explained(self, component: Component, past: Past, now_ms: int) -> Known:
        table = self.fleet.table
        needed = {one: table.components.get(one) for one in component.policy.depends_on}
        return Known(
            component,
            now_ms,
            history=past.events,
            blindness=table.blindness,
            lease=self.fleet.about().lease,
            defaults=table.defaults,
            refused=past.refused or {},
            dependencies={one: known.state.value if known else "" for one, known in needed.items()},
            brake=table.brake,
        )

    def endpoints(self) -> Sequence[Endpoint]:
        """What these handlers answer."""
        return (
            Endpoint(
                "GET",
                "/health/components/{id}",
                "component",
                "Everything there is to know of one component: its record, why it is in its state, what comes next, "
                "its score by metric, its bars, and how to send a heartbeat as it.",
                self.component,
                parameters=(WHICH, OFFSET),
                answers={200: Answer("The component.", schemas.COMPONENT), 404: UNKNOWN},
                tag="components",
            ),
            Endpoint(
                "GET",
                "/health/components/{id}/timeline",
                "timeline",
                "What happened to one component, the newest first: at most its latest 200 events.",
                self.timeline,
                parameters=(WHICH, LIMIT, BEFORE),
                answers={200: Answer("Its events.", schemas.EVENTS), 404: UNKNOWN, 503: AWAY},
                tag="components",
            ),
            Endpoint(
                "GET",
                "/health/components/{id}/check",
                "check",
                "The state of one component as a status code, by the grades of `healthmon check`. With no leader it is "
                "as old as `freshness` says: a monitor that is away takes no component out of service.",
                self.check,
                parameters=(WHICH, WARN),
                answers={
                    200: Answer("It is healthy.", schemas.CHECK),
                    429: Answer(
                        "It is degraded, restarting or starting; `warn` chooses another status.", schemas.CHECK
                    ),
                    503: Answer("It is unhealthy, dead, given up, or unknown, as after a goodbye.", schemas.CHECK),
                    404: UNKNOWN,
                },
                tag="components",
            ),
        )


WHICH: Final = Parameter("id", "The component's id.", place="path", pattern=ID_PATTERN)
OFFSET: Final = Parameter(
    "utc_offset", "Minutes east of UTC for times in `why_lines`.", "whole", otherwise=0, least=-840, most=840
)
LIMIT: Final = Parameter("limit", "How many.", "whole", otherwise=50, least=1, most=TIMELINE_MAX)
BEFORE: Final = Parameter("before", "Only older ones than this stream id.", pattern=STREAM_ID_PATTERN)
UNKNOWN: Final = Answer("There is no such component.", schemas.ERROR)
AWAY: Final = Answer("Redis is away.", schemas.ERROR)
WARN: Final = Parameter("warn", "The status instead of 429.", otherwise="429", choices=("200", "429", "503"))


def _no_such(component_id: str) -> NoSuchComponent:
    return NoSuchComponent(f"no component {component_id}: GET /health/components lists them")


def _address(request: Request) -> str:
    """This server as the caller reached it."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _has_token(asked: Asked) -> bool:
    return "authorization" in asked.request.headers


def scores_of(component: Component) -> list[dict[str, Any]]:
    """Each metric with its score, the judged ones first; null where no row judges it, or no value came."""
    rows = component.limits.rows
    names = [*(name for name in rows if name in component.metrics), *(n for n in component.metrics if n not in rows)]
    scores = []
    for name in names:
        value, row = component.metrics[name], rows.get(name)
        score = max(metric_score(value, row), FLOORS.get(name, 0.0)) if row else None
        good, warn, critical = row or (None, None, None)
        score = None if score is None else round(score, 4)
        scores.append(
            {"metric": name, "value": value, "score": score, "good": good, "warn": warn, "critical": critical}
        )
    return scores
