"""Layers: the nearer one wins, part by part."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from healthmon.fleet.layers import flat, laid_over, layer_of, policy_object

NAMES = st.sampled_from(("interval", "role", "dead_threshold"))
TABLES = st.sampled_from(("score", "breaker"))
OBJECTS = st.dictionaries(NAMES, st.integers(0, 3)).flatmap(
    lambda plain: st.dictionaries(TABLES, st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=1)).map(
        lambda tables: {**plain, **tables}
    )
)


def merged(*objects: dict[str, Any]) -> dict[str, Any]:
    """The nearest last."""
    layer = layer_of(objects[0], ("defaults",))
    for one in objects[1:]:
        layer = laid_over(layer_of(one, ("components", "x")), layer)
    return policy_object(layer)


@given(OBJECTS, OBJECTS)
def test_the_nearer_layer_wins_part_by_part_also_within_tables(far: dict[str, Any], near: dict[str, Any]) -> None:
    assert flat(merged(far, near)) == {**flat(far), **flat(near)}


@given(OBJECTS)
def test_a_layer_is_the_object_that_it_was_made_of(one: dict[str, Any]) -> None:
    assert policy_object(layer_of(one, ())) == one


def test_each_part_knows_where_it_is_from() -> None:
    layer = laid_over(
        layer_of({"restart": {"method": "agent"}}, ("components", "a")),
        layer_of({"restart": {"timeout": 3}, "interval": 5}, ("defaults",)),
    )
    assert {part: given.path for part, given in layer.items()} == {
        ("restart", "timeout"): ("defaults", "restart", "timeout"),
        ("interval",): ("defaults", "interval"),
        ("restart", "method"): ("components", "a", "restart", "method"),
    }


def test_another_target_of_a_probe_takes_the_place_of_the_one_below() -> None:
    far = {"probe": {"url": "tcp://a:1", "interval": 5}}
    assert merged(far, {"probe": {"exec": ["true"]}}) == {"probe": {"interval": 5, "exec": ["true"]}}
    assert merged(far, {"probe": {"timeout": 1}}) == {"probe": {"url": "tcp://a:1", "interval": 5, "timeout": 1}}


def test_another_restart_method_drops_what_only_the_one_below_needs() -> None:
    far = {"restart": {"method": "exec", "command": ["a"], "timeout": 5}}
    assert merged(far, {"restart": {"method": "agent"}}) == {"restart": {"method": "agent", "timeout": 5}}
    assert merged(far, {"restart": {"method": "exec"}}) == far
    assert merged(far, {"restart": {"command": ["b"]}}) == {"restart": {**far["restart"], "command": ["b"]}}


def test_dependencies_of_a_nearer_layer_replace_those_below() -> None:
    assert merged({"depends_on": ["a"]}, {"depends_on": []}) == {"depends_on": []}
