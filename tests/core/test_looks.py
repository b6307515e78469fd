"""When to look at whom: one that goes down hides nobody behind it."""

from __future__ import annotations

from healthmon.core.component import Component
from healthmon.core.looks import Looks
from healthmon.core.policy import NEVER_MS, Defaults, Policy


def looks_at(**at_ms: int) -> tuple[Looks, dict[str, Component]]:
    limits = Policy().limits(Defaults())
    components = {one: Component(one, 0, Policy(), limits) for one in at_ms}
    looks = Looks(components)
    for one, ms in at_ms.items():
        looks.push(components[one], ms)
    return looks, components


def drained(looks: Looks, now_ms: int) -> list[str]:
    names = []
    while (component := looks.pop(now_ms)) is not None:
        names.append(component.id)
    return names


def test_whoever_is_due_comes_in_order_and_the_others_wait() -> None:
    looks, _ = looks_at(c=30, a=10, b=20)
    assert looks.next_ms() == 10
    assert drained(looks, 20) == ["a", "b"]
    assert looks.next_ms() == 30
    assert drained(looks, 29) == []
    assert drained(looks, 30) == ["c"]
    assert looks.next_ms() is None


def test_moments_far_apart_come_in_order_also_when_a_nearer_one_is_arranged_after_a_far_one_was_asked_for() -> None:
    looks, components = looks_at(far=3_600_000, later=90_010, sooner=90_001, soon=700, never=NEVER_MS)
    assert drained(looks, 800) == ["soon"]
    assert looks.next_ms() == 90_001
    looks.push(components["soon"], 5_000)
    looks.push(components["far"], 90_005)
    assert looks.next_ms() == 5_000
    assert drained(looks, 10**9) == ["soon", "sooner", "far", "later"]
    assert looks.next_ms() is None, "the first moment of far is void, and never does not come"


def test_only_what_was_arranged_last_counts() -> None:
    looks, components = looks_at(a=10, b=20)
    looks.push(components["a"], 30)
    assert looks.next_ms() == 20
    looks.push(components["a"], 5)
    assert drained(looks, 40) == ["a", "b"], "the moments 10 and 30 are void"


def test_a_component_that_is_gone_is_not_looked_at() -> None:
    looks, components = looks_at(a=10, b=20)
    del components["a"]
    assert looks.next_ms() == 20
    assert drained(looks, 20) == ["b"]


def test_one_whose_look_was_taken_waits_for_a_new_one() -> None:
    looks, components = looks_at(a=10)
    assert looks.pop(10) is components["a"]
    assert components["a"].look_at_ms == 0
    assert looks.pop(10) is None
    looks.push(components["a"], 11)
    assert looks.next_ms() == 11


def test_a_component_that_goes_down_hides_no_later_one() -> None:
    looks, components = looks_at(**{f"c{n}": 10 for n in range(5)})
    first = looks.pop(10)
    assert first is not None
    looks.push(first, 1 << 62)
    assert sorted([first.id, *drained(looks, 10)]) == sorted(components)
