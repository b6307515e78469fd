"""Events as they are stored, both ways."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthmon.core.component import HealthState
from healthmon.core.event import SETTABLE, Event, EventType
from healthmon.store.codec import event_fields, history_fields, read_event

FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
ids = st.from_regex(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
moments = st.integers(1, 4_000_000_000_000)
events = st.builds(
    Event,
    type=st.sampled_from(EventType),
    id=ids | st.just(""),
    rev=st.integers(0, 999),
    born_ms=st.just(0) | moments,
    at_ms=moments,
    reason=texts,
    rule=texts,
    source=st.sampled_from(["", *HealthState]).map(str),
    target=st.sampled_from(["", *HealthState]).map(str),
    cause=st.sampled_from(["", "5-0"]),
    epoch=st.just(0) | moments,
    replica=texts,
    set=st.dictionaries(st.sampled_from(sorted(SETTABLE)), texts, max_size=2),
)


@FEW
@given(events)
def test_an_event_read_back_is_the_one_that_was_written(event: Event) -> None:
    stored = event_fields(event)
    assert read_event("7-1", stored) == replace(event, stream_id="7-1")
    assert "" not in stored.values()
    kept = history_fields(event)
    assert kept.pop("failure", "") == (
        json.dumps(event.set["failure"], separators=(",", ":")) if event.set.get("failure") else ""
    )
    assert kept.items() <= stored.items()


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"type": "celebration"},
        {"type": "transition", "to": "splendid"},
        {"type": "transition", "rev": "x"},
        {"type": "guard", "set": "[]"},
        {"type": "guard", "set": "{"},
        {"type": "guard", "at": "yesterday"},
    ],
)
def test_an_entry_that_this_version_does_not_know_is_passed_over(entry: dict[str, str]) -> None:
    assert read_event("7-1", entry) is None


def test_an_event_without_a_time_was_at_that_of_its_entry() -> None:
    event = read_event("1795462127112-3", {"type": "leader"})
    assert event is not None
    assert event.at_ms == 1_795_462_127_112
