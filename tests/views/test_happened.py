from __future__ import annotations

import pytest

from healthmon.store.reading import StreamEntry
from healthmon.views.happened import event_json


def test_an_event_of_a_later_version_is_told_by_what_it_says() -> None:
    event = event_json(StreamEntry("1795000000000-0", {"type": "new_kind", "rev": "x"}))
    assert (event["type"], event["rev"], event["reason"], event["component_id"]) == ("new_kind", "x", "", None)
    assert event["at"] == "2026-11-18T11:06:40.000Z"


@pytest.mark.parametrize(
    ("fields", "by"),
    [
        ({"type": "operator", "rule": "hold", "reason": "automatic restarts held by ann: disk", "cause": "1-0"}, "ann"),
        (
            {"type": "operator", "rule": "silence", "reason": "silenced for 2 h by ann@web: x", "cause": "1-0"},
            "ann@web",
        ),
        ({"type": "forgotten", "reason": "forgotten by ann", "cause": "1-0"}, "ann"),
        ({"type": "forgotten", "reason": "forgotten by age", "cause": ""}, None),
        ({"type": "restart", "rule": "taken", "reason": "restart 1 taken by web-1", "cause": "1-0"}, None),
        (
            {"type": "breaker", "rule": "reset-breaker", "reason": "breaker reset by bo", "cause": "1-0"},
            "bo",
        ),
    ],
)
def test_who_asked_for_it_is_said_where_somebody_did(fields: dict[str, str], by: str | None) -> None:
    assert event_json(StreamEntry("1-0", fields))["by"] == by
