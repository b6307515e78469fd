"""Cycles, levels and the index of dependants, against what a slow and simple search finds."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.dependencies import Graph, cycle_in, cycle_sentence, dependants_of, levels
from healthmon.errors import Refused

IDS = st.sampled_from("abcdefgh")
EDGES = st.dictionaries(IDS, st.lists(IDS, max_size=3), max_size=8)
Plain = dict[str, list[str]]


def reached(edges: Plain, start: str) -> set[str]:
    """Everything that a component depends on through whatever is a component itself; slow and simple."""
    found: set[str] = set()
    ahead = {start}
    while ahead:
        ahead = {target for one in ahead for target in edges.get(one, ()) if target in edges} - found
        found |= ahead
    return found


def test_a_cycle_is_named_from_its_smallest_id_back_to_it() -> None:
    assert cycle_in({"b": ["a"], "a": ["b"]}) == ("a", "b", "a")
    assert cycle_in({"z": ["c"], "c": ["b"], "b": ["a"], "a": ["c"]}) == ("a", "c", "b", "a")
    assert cycle_in({"a": ["c"], "c": ["b"], "b": ["c"]}) == ("b", "c", "b")
    assert cycle_in({"a": ["a"]}) == ("a", "a")
    assert cycle_sentence(("a", "b", "a")) == "depends_on makes a cycle: a -> b -> a"


def test_no_cycle_is_empty_also_where_two_ways_meet_again() -> None:
    assert cycle_in({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == ()
    assert cycle_in({}) == ()


def test_a_name_that_is_no_component_makes_no_cycle_and_holds_no_level() -> None:
    assert cycle_in({"a": ["elsewhere"]}) == ()
    assert levels({"a": ["elsewhere"], "b": ["a"]}) == (("a",), ("b",))


def test_levels_come_root_first() -> None:
    edges = {"web": ["api", "cache"], "api": ["db"], "cache": [], "db": [], "cron": ["db", "web"]}
    assert levels(edges) == (("cache", "db"), ("api",), ("web",), ("cron",))


def test_levels_of_a_cycle_are_refused_with_its_name() -> None:
    with pytest.raises(Refused, match="a -> b -> a"):
        levels({"root": [], "a": ["b", "root"], "b": ["a"]})


def test_a_chain_as_long_as_a_fleet_needs_no_recursion() -> None:
    edges = {f"{n:05}": [f"{n + 1:05}"] for n in range(20_000)}
    assert cycle_in(edges) == ()
    assert len(levels(edges)) == 20_000
    edges["19999"] = ["00000"]
    assert len(cycle_in(edges)) == 20_001


@given(EDGES)
def test_a_cycle_is_found_exactly_where_a_component_depends_on_itself(edges: Plain) -> None:
    cycle = cycle_in(edges)
    assert bool(cycle) == any(one in reached(edges, one) for one in edges)
    assert all(target in edges[one] for one, target in pairwise(cycle))
    if cycle:
        assert cycle[0] == cycle[-1] == min(cycle)


@given(EDGES, st.randoms(use_true_random=False))
def test_the_order_of_what_is_given_changes_nothing(edges: Plain, chance: Random) -> None:
    names = list(edges)
    chance.shuffle(names)
    other = {one: edges[one][::-1] for one in names}
    assert cycle_in(other) == cycle_in(edges)
    assert dependants_of(other) == dependants_of(edges)


@given(EDGES)
def test_every_component_stands_in_one_level_right_after_the_last_that_it_depends_on(edges: Plain) -> None:
    if cycle_in(edges):
        with pytest.raises(Refused):
            levels(edges)
        return
    found = levels(edges)
    level_of = {one: n for n, level in enumerate(found) for one in level}
    assert sorted(level_of) == sorted(edges) == sorted(one for level in found for one in level)
    for one, targets in edges.items():
        assert level_of[one] == max((level_of[target] + 1 for target in targets if target in edges), default=0)


@given(st.lists(st.tuples(IDS, st.none() | st.lists(IDS, max_size=3)), max_size=20))
def test_a_graph_that_is_changed_one_by_one_knows_what_one_made_at_once_knows(
    changes: list[tuple[str, list[str] | None]],
) -> None:
    graph, edges = Graph(), Plain()
    for one, targets in changes:
        if targets is None:
            graph.remove(one)
            edges.pop(one, None)
        else:
            graph.place(one, targets)
            edges[one] = targets
    index = dependants_of(edges)
    for one in "abcdefgh":
        assert graph.dependants(one) == index.get(one, ())
        assert set(graph.downstream(one)) == {
            other for other in edges if other != one and one in reached({**edges, one: edges.get(one, [])}, other)
        }


@given(EDGES, IDS, st.lists(IDS, max_size=3))
def test_the_cycle_that_a_change_would_make_is_found_before_it_is_made(edges: Plain, one: str, new: list[str]) -> None:
    if cycle_in(edges):
        return
    graph = Graph()
    for each, targets in edges.items():
        graph.place(each, targets)
    cycle = graph.cycle_with(one, new)
    after = {**edges, one: new}
    assert bool(cycle) == bool(cycle_in(after))
    assert all(target in after[each] for each, target in pairwise(cycle))
    if cycle:
        assert cycle[0] == cycle[-1] == one
        assert len(set(cycle)) == len(cycle) - 1


def test_who_is_downstream_is_told_the_nearest_first() -> None:
    graph = Graph()
    for one, targets in {"db": [], "api": ["db"], "web": ["api"], "cron": ["db"]}.items():
        graph.place(one, targets)
    assert graph.downstream("db") == ("api", "cron", "web")
    assert graph.dependants("db") == ("api", "cron")
    assert graph.cycle_with("db", ["web"]) == ("db", "web", "api", "db")
