"""The judge is judged: each forged history breaks one promise, and exactly that one is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.healing_promises import HEALING
from tests.history import PROMISES, Fields, History, assert_kept, violations

START_MS = 1_800_000_000_000
FIRST, SECOND = str(START_MS), str(START_MS + 60_000)


def _at(ms: int) -> str:
    seconds = ms - START_MS
    return f"2027-01-15T08:{seconds // 60_000:02}:{seconds % 60_000 / 1000:06.3f}Z"


def _alert(rev: int, new: str) -> dict[str, Any]:
    return {"id": f"0/a/{START_MS}/{rev}", "subject": "a", "data": {"new_state": new, "rev": rev}}


def _event(kind: str, ms: int, epoch: str, replica: str, **fields: str) -> tuple[str, Fields]:
    return f"{ms}-0", {"type": kind, "at": _at(ms), "epoch": epoch, "replica": replica, **fields}


def _step(ms: int, rev: int, change: str, epoch: str, replica: str, **more: str) -> tuple[str, Fields]:
    source, target = change.split()
    fields = {"id": "a", "born": str(START_MS), "rev": str(rev), "from": source, "to": target, **more}
    return _event("transition", START_MS + ms, epoch, replica, **fields)


def _good() -> History:
    """Two leaders, a component that dies slowly, one that was forgotten and came back, two commands, one refused."""
    silent = {"rule": "silence"}
    events = [
        _event("leader", START_MS, FIRST, "m1"),
        _event("registered", START_MS, FIRST, "m1", id="a", born=str(START_MS), rev="1"),
        _step(5, 2, "unknown healthy", FIRST, "m1", rule="heartbeat"),
        _event("registered", START_MS + 10, FIRST, "m1", id="b", born=str(START_MS + 10), rev="1", cause="7-0"),
        _event("forgotten", START_MS + 20, FIRST, "m1", id="b", born=str(START_MS + 10), rev="2", cause="8-0"),
        _step(2_000, 3, "healthy degraded", FIRST, "m1", json=json.dumps(_alert(3, "degraded")), **silent),
        _event("guard", START_MS + 2_100, FIRST, "m1", guard="1", rule="observing"),
        _event("leader", int(SECOND), SECOND, "m2"),
        _event("registered", int(SECOND), SECOND, "m2", id="b", born=SECOND, rev="1"),
        _step(60_100, 4, "degraded unhealthy", SECOND, "m2", json=json.dumps(_alert(4, "unhealthy")), **silent),
        _step(60_200, 5, "unhealthy dead", SECOND, "m2", json=json.dumps(_alert(5, "dead")), **silent),
    ]
    heard = {**_alert(5, "dead"), "data": {**_alert(5, "dead")["data"], "stream_id": f"{START_MS + 60_200}-0"}}
    return History(
        events=events,
        events_added=len(events),
        hashes={
            "a": _record(START_MS, 5, "dead", since=START_MS + 60_200, heard=START_MS + 1_000, total=2),
            "b": _record(int(SECOND), 1, "unknown", since=int(SECOND), heard=int(SECOND), total=1),
        },
        states={"dead": {"a": START_MS + 60_200}, "unknown": {"b": int(SECOND)}},
        index={"a": START_MS + 1_000, "b": int(SECOND)},
        counts={"dead": 1, "unknown": 1, "healthy": 0},
        blind=[(START_MS + 10_000, START_MS + 40_000), (START_MS + 30_000, START_MS + 41_000)],
        rejected=[{"entry": "9-0", "channel": "control", "reason": "bad_command"}],
        sent={"a": [START_MS, START_MS + 1_000], "b": [START_MS + 11, int(SECOND)]},
        commands={
            "7-0": {"cmd": "register", "id": "b"},
            "8-0": {"cmd": "forget", "id": "b"},
            "9-0": {"cmd": "step-down", "epoch": "1"},
            "10-0": {"cmd": "sync", "id": "a"},
        },
        alerts=[heard],
        stages_ms={"degraded": 1_000, "unhealthy": 2_000, "dead": 28_000},
    )


def _record(born: int, rev: int, state: str, *, since: int, heard: int, total: int) -> Fields:
    epoch = SECOND
    times = {"since": _at(since), "last_heartbeat": _at(heard)}
    return {"born": str(born), "rev": str(rev), "epoch": epoch, "state": state, "total_heartbeats": str(total), **times}


def _put(history: History, place: int, event: tuple[str, Fields]) -> None:
    history.events.insert(place, event)
    history.events_added += 1


def _an_epoch_given_out_twice(history: History) -> None:
    _put(history, 7, _event("leader", START_MS + 59_000, FIRST, "m3"))
    history.events[1:7] = [(entry, {**said, "replica": "m3"}) for entry, said in history.events[1:7]]


def _an_epoch_of_two_replicas(history: History) -> None:
    history.events[5][1]["replica"] = "m9"


def _an_event_that_is_gone(history: History) -> None:
    history.events_added += 1


def _a_deposed_leader_that_writes_elsewhere(history: History) -> None:
    said = {"id": "c", "born": SECOND, "rev": "1"}
    _put(history, 11, _event("registered", START_MS + 60_300, FIRST, "m1", **said))
    history.hashes["c"] = {
        **_record(int(SECOND), 1, "unknown", since=int(SECOND), heard=int(SECOND), total=1),
        "epoch": FIRST,
    }
    history.states["unknown"]["c"] = history.index["c"] = int(SECOND)
    history.counts["unknown"], history.sent["c"] = 2, [int(SECOND)]


def _a_doubled_event(history: History) -> None:
    history.events.insert(6, history.events[5])
    history.events_added += 1
    history.events[6] = (history.events[6][0], {**history.events[6][1], "from": "degraded", "to": "healthy"})
    history.events[10][1]["from"] = "healthy"
    del history.events[6][1]["json"]


def _a_missing_event(history: History) -> None:
    for _, said in history.events[9:]:
        said["rev"] = str(int(said["rev"]) + 1)
        said["json"] = said["json"].replace(f"{START_MS}/{int(said['rev']) - 1}", f"{START_MS}/{said['rev']}")
    history.alerts.clear()
    history.hashes["a"]["rev"] = "6"


def _life_after_the_end(history: History) -> None:
    said = {"id": "b", "born": str(START_MS + 10), "rev": "3"}
    _put(history, 5, _event("restart", START_MS + 30, FIRST, "m1", **said))
    _put(history, 6, _event("forgotten", START_MS + 40, FIRST, "m1", **{**said, "rev": "4"}))


def _a_guard_event_told_twice(history: History) -> None:
    _put(history, 7, _event("guard", START_MS + 3_000, FIRST, "m1", guard="1"))


def _an_illegal_edge(history: History) -> None:
    del history.events[9]
    history.events_added -= 1
    said = history.events[9][1]
    said.update(rev="4", json=said["json"].replace(f"{START_MS}/5", f"{START_MS}/4"), **{"from": "degraded"})
    history.hashes["a"]["rev"] = "4"
    history.alerts.clear()


def _a_jump_between_transitions(history: History) -> None:
    history.events[5][1]["from"] = "degraded"
    history.events[5][1]["to"] = "healthy"


def _a_command_done_twice(history: History) -> None:
    history.events[8][1]["cause"] = "7-0"


def _a_command_never_done(history: History) -> None:
    del history.events[3][1]["cause"]


def _a_refused_command_done(history: History) -> None:
    history.events[6][1]["cause"] = "9-0"


def _a_cause_that_nobody_asked(history: History) -> None:
    history.events[6][1]["cause"] = "11-0"


def _a_record_behind_its_events(history: History) -> None:
    history.hashes["a"]["rev"] = "4"


def _a_death_before_its_time(history: History) -> None:
    history.blind.append((START_MS + 41_000, START_MS + 41_300))


def _a_heartbeat_counted_twice(history: History) -> None:
    history.hashes["a"]["total_heartbeats"] = "3"


def _a_heartbeat_skipped(history: History) -> None:
    history.sent["b"].append(int(SECOND) + 5)


def _a_wrong_count(history: History) -> None:
    history.counts["dead"] = 2


def _an_index_left_behind(history: History) -> None:
    history.states["healthy"] = {"a": START_MS}
    history.counts["healthy"] = 1


def _an_old_index_of_last_heartbeats(history: History) -> None:
    history.index["a"] -= 1


def _an_alert_that_is_not_stored(history: History) -> None:
    history.alerts[0] = copy.deepcopy(history.alerts[0])
    history.alerts[0]["data"]["new_state"] = "healthy"


def _an_alert_heard_twice(history: History) -> None:
    history.alerts.append(history.alerts[0])


def _two_alerts_of_one_id(history: History) -> None:
    history.events[6][1]["json"] = json.dumps(_alert(3, "degraded"))


FORGERIES: dict[Callable[[History], None], str] = {
    _an_epoch_given_out_twice: "epochs_rise",
    _an_epoch_of_two_replicas: "epochs_rise",
    _an_event_that_is_gone: "epochs_rise",
    _a_deposed_leader_that_writes_elsewhere: "the_deposed_write_nothing",
    _a_doubled_event: "revs_are_contiguous",
    _a_missing_event: "revs_are_contiguous",
    _life_after_the_end: "revs_are_contiguous",
    _a_guard_event_told_twice: "guard_events_are_counted",
    _an_illegal_edge: "edges_are_legal",
    _a_jump_between_transitions: "edges_are_legal",
    _a_command_done_twice: "commands_have_one_event",
    _a_command_never_done: "commands_have_one_event",
    _a_refused_command_done: "commands_have_one_event",
    _a_cause_that_nobody_asked: "commands_have_one_event",
    _a_record_behind_its_events: "records_end_where_events_end",
    _a_death_before_its_time: "nobody_is_silenced_too_early",
    _a_heartbeat_counted_twice: "every_heartbeat_counts_once",
    _a_heartbeat_skipped: "every_heartbeat_counts_once",
    _a_wrong_count: "indexes_agree",
    _an_index_left_behind: "indexes_agree",
    _an_old_index_of_last_heartbeats: "indexes_agree",
    _an_alert_that_is_not_stored: "alerts_are_the_stored_ones",
    _an_alert_heard_twice: "alerts_are_the_stored_ones",
    _two_alerts_of_one_id: "alerts_are_the_stored_ones",
}


def test_an_honest_history_breaks_no_promise() -> None:
    assert_kept(_good())


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__.strip("_"))
def test_a_forged_history_is_found_out_by_the_promise_that_it_breaks(forge: Callable[[History], None]) -> None:
    history = _good()
    forge(history)
    assert list(violations(history)) == [FORGERIES[forge]]
    with pytest.raises(AssertionError, match=FORGERIES[forge]):
        assert_kept(history)


def test_every_promise_is_broken_by_some_forgery() -> None:
    healing = {promise.__name__ for promise in HEALING}  # forged elsewhere
    assert {promise.__name__ for promise in PROMISES} - healing == set(FORGERIES.values())


def test_what_was_lost_may_be_declared_recovered() -> None:
    history = _good()
    del history.events[1:7]
    put_back = {"id": "a", "born": str(START_MS), "rev": "3", "from": "healthy", "to": "degraded"}
    history.events.insert(1, _event("recovered", START_MS + 60_000, FIRST, "m2", **put_back))
    history.events_added = len(history.events)
    history.commands = {}
    history.rejected = []
    assert_kept(history)
