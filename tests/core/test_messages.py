from __future__ import annotations

import pytest

from healthmon.core.messages import lasted, message_of, reminder_of, self_alert
from tests.alerts.alerts import alert


@pytest.mark.parametrize(
    ("ms", "words"),
    [(0, "0 s"), (430, "0.4 s"), (43_900, "43 s"), (192_000, "3 m 12 s"), (7_440_000, "2 h 4 m"), (172_800_000, "2 d")],
)
def test_a_time_is_told_by_its_two_largest_units(ms: int, words: str) -> None:
    assert lasted(ms) == words


def test_an_end_says_how_long_it_was_and_what_fires_is_left_as_it_is() -> None:
    ended = message_of(alert("a", "healthy", status="resolved"), 1000, 193_000)
    assert ended.data["lasted_s"] == 192
    assert ended.data["summary"].endswith("(it lasted 3 m 12 s)")
    firing = alert("a", "dead")
    assert message_of(firing, 1000, 193_000).alert is firing


def test_a_reminder_has_an_id_of_its_own_that_every_leader_would_give_it() -> None:
    first, second = (reminder_of(alert("a", "dead"), 0, now_ms, 60_000) for now_ms in (60_000, 125_000))
    assert first.alert["id"] == "0/a/1795460000000/1/reminder/1"
    assert second.alert["id"] == "0/a/1795460000000/1/reminder/2"


def test_a_replica_says_of_itself_what_lasts_and_that_it_is_over_under_one_key() -> None:
    fires = self_alert("healthmon", "mon-a", ["blind", "leaderless"], 0, 61_000)
    over = self_alert("healthmon", "mon-a", [], 0, 90_000)
    assert fires.data["summary"] == "the monitor mon-a is blind and leaderless for 1 m 1 s"
    assert (fires.data["status"], over.data["status"]) == ("firing", "resolved")
    assert fires.data["dedup_key"] == over.data["dedup_key"] == "healthmon/self"
