"""What applying a file changes, and in which order the leader is asked for it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.dependencies import cycle_in
from healthmon.core.policy import Defaults, Policy, parse_policy
from healthmon.fleet.difference import Change, Kind, Stored, commands_for, differences

IDS = "abcdef"
EDGES = st.dictionaries(st.sampled_from(IDS), st.sets(st.sampled_from(IDS), max_size=3)).filter(
    lambda edges: not cycle_in(edges)
)


def policy(**said: Any) -> Policy:
    return parse_policy(said, Defaults())


def stored(**said: Any) -> Stored:
    return Stored(json.loads(policy(**said).to_json()))


def test_each_component_is_new_changed_or_unchanged() -> None:
    wanted = {
        "new": policy(interval=5),
        "same": policy(restart={"method": "agent"}, score={"queue": [1, 2, 3]}),
        "other": policy(interval=5, restart={"method": "agent", "timeout": 9}),
    }
    known = {
        "same": stored(restart={"method": "agent"}, score={"queue": [1, 2, 3]}),
        "other": stored(interval=5.5, restart={"method": "agent", "max_retries": 3}),
        "gone": stored(),
        "itself": Stored({}, declared=False),
    }
    found = {one.id: one for one in differences(wanted, known)}
    assert {one: each.kind for one, each in found.items()} == {
        "new": Kind.NEW,
        "same": Kind.UNCHANGED,
        "other": Kind.CHANGED,
        "gone": Kind.NOT_IN_FILE,
    }
    assert found["new"].changes == (Change("interval", None, 5.0),)
    assert found["other"].changes == (
        Change("interval", 5.5, 5.0),
        Change("restart.max_retries", 3, None),
        Change("restart.timeout", None, 9.0),
    )


def test_one_that_registered_itself_is_declared_by_the_file_even_if_nothing_else_changes() -> None:
    (found,) = differences({"a": policy()}, {"a": Stored({}, declared=False)})
    assert (found.kind, found.changes) == (Kind.CHANGED, (Change("declared", False, True),))


def test_only_pruning_forgets_and_never_one_that_registered_itself() -> None:
    known = {"gone": stored(), "itself": Stored({}, declared=False)}
    assert [(one.id, one.kind) for one in differences({}, known, prune=True)] == [("gone", Kind.FORGET)]
    assert [one.cmd for one in commands_for(differences({}, known, prune=True), known)] == ["forget"]
    assert commands_for(differences({}, known), known) == []


def test_registrations_come_before_what_is_forgotten() -> None:
    known = {"old": stored()}
    told = commands_for(differences({"new": policy()}, known, prune=True), known)
    assert [(one.cmd, one.id) for one in told] == [("register", "new"), ("forget", "old")]


@given(EDGES, EDGES, st.booleans())
def test_no_command_makes_a_cycle_for_a_moment_and_the_last_leaves_what_the_file_says(
    before: dict[str, set[str]], after: dict[str, set[str]], prune: bool
) -> None:
    known = {one: stored(depends_on=sorted(targets)) for one, targets in before.items()}
    wanted = {one: policy(depends_on=sorted(targets)) for one, targets in after.items()}
    staying = {} if prune else {one: targets for one, targets in before.items() if one not in after}
    if cycle_in({**staying, **after}):
        return  # refused before anything is sent
    now = {one: set(targets) for one, targets in before.items()}
    told = commands_for(differences(wanted, known, prune=prune), known)
    for command in told:
        if command.cmd == "forget":
            del now[command.id]
        else:
            now[command.id] = set(json.loads(command.policy).get("depends_on", ()))
        assert cycle_in(now) == (), told
    assert now == {**staying, **after}
