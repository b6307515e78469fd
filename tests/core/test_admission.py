"""Who may become known by a first heartbeat, and who rests because it was forgotten."""

from __future__ import annotations

import pytest

from healthmon.core.admission import Admission, longest_gone
from healthmon.core.command import forget, read_command
from healthmon.core.component import Component, HealthState
from healthmon.core.policy import Defaults, Policy
from tests.core.shard import Shard


def forgotten_at(shard: Shard, component_id: str = "a") -> None:
    component = shard[component_id]
    order = read_command(f"{shard.now_ms}-0", {"cmd": "forget", "id": component_id})
    assert shard.table.apply(forget(component, order), shard.moment)


@pytest.mark.parametrize(
    ("after_s", "incarnation", "known"),
    [
        *((0, "i1", False), (0, "i2", False), (0.001, "i1", False), (59.999, "i1", False), (60, "i1", True)),
        *((0.001, "i2", True), (0.001, "", True)),
    ],
)
def test_a_forgotten_one_rests_for_a_minute_unless_it_is_another_incarnation(
    after_s: float, incarnation: str, known: bool
) -> None:
    shard = Shard()
    shard.say(incarnation="i1")
    forgotten_at(shard)
    shard.say(after_s=after_s, incarnation=incarnation)
    assert ("a" in shard.table.components) == known


def test_without_incarnations_it_rests_for_a_minute() -> None:
    shard = Shard()
    shard.say()
    forgotten_at(shard)
    shard.say(after_s=59.999)
    assert "a" not in shard.table.components
    shard.say(after_s=0.001)
    assert (shard["a"].born_ms, shard["a"].total_heartbeats) == (shard.now_ms, 1), "it is another one now"


def test_an_echo_of_a_forgotten_one_is_no_refusal() -> None:
    shard = Shard()
    shard.say()
    forgotten_at(shard)
    shard.say(after_s=1)
    assert not shard.table.rejections


def refusals(shard: Shard) -> list[tuple[str, str]]:
    return [(one.reason, one.detail) for one in shard.table.rejections]


def test_where_components_must_be_registered_a_heartbeat_alone_is_refused() -> None:
    shard = Shard(Defaults(auto_register=False))
    shard.say()
    assert refusals(shard) == [("not_registered", "auto_register is off: register the component first")]
    shard.declare()
    shard.say()
    assert shard["a"].total_heartbeats == 1


def test_no_more_than_max_components_are_taken_and_room_is_asked_for() -> None:
    shard = Shard(Defaults(max_components=2))
    for one in ("a", "b", "c", "a"):
        shard.say(one)
    assert sorted(shard.table.components) == ["a", "b"]
    assert refusals(shard) == [("too_many_components", "there are 2 components (max_components)")]
    assert shard.table.admission.wants_room


def test_no_more_than_so_many_new_ones_are_taken_in_any_minute() -> None:
    shard = Shard(Defaults(new_components_per_minute=2))
    shard.say("a")
    shard.say("b", after_s=30)
    shard.say("c", after_s=29.999)
    assert [reason for reason, _ in refusals(shard)] == ["too_many_new"]
    shard.say("c", after_s=0.001)
    shard.say("d")
    assert sorted(shard.table.components) == ["a", "b", "c"]
    shard.say("d", after_s=30)
    assert "d" in shard.table.components


def test_without_a_limit_everybody_is_taken() -> None:
    admission = Admission(Defaults())
    assert all(admission.refusal(known, 0) is None for known in range(100))


def one(component_id: str, state: HealthState, since_ms: int, declared: bool = False, rev: int = 1) -> Component:
    component = Component(component_id, 0, Policy(), Policy().limits(Defaults()), declared=declared)
    component.state, component.since_ms, component.rev = state, since_ms, rev
    return component


def test_room_is_made_by_whoever_registered_itself_and_is_gone_for_longest() -> None:
    fleet = [
        one("well", HealthState.HEALTHY, 1),
        one("declared", HealthState.DEAD, 2, declared=True),
        one("new", HealthState.UNKNOWN, 3, rev=0),
        one("dead", HealthState.DEAD, 5),
        one("left", HealthState.UNKNOWN, 4),
        one("gave up", HealthState.PERMANENTLY_FAILED, 6),
    ]
    gone = longest_gone(fleet)
    assert gone is not None
    assert gone.id == "left"
    assert longest_gone(fleet[:3]) is None


def test_tombstones_of_more_than_a_day_ago_go_when_another_one_comes() -> None:
    admission = Admission(Defaults())
    admission.forget("old", 1_000, "i1")
    admission.forget("kept", 2_000, "")
    admission.forget("new", 86_401_500, "")
    assert list(admission.gone) == ["kept", "new"]
