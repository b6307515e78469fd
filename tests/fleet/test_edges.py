"""Dependencies of a file, together with what is stored of other components."""

from __future__ import annotations

from healthmon.core.policy import Defaults
from healthmon.fleet.edges import cycles_of, unknown_of
from healthmon.fleet.reading import Fleet, read_fleet


def fleet(text: str) -> Fleet:
    return read_fleet(text.encode(), Defaults())


def test_every_cycle_is_named_at_one_of_its_edges() -> None:
    read = fleet("[components]\na.depends_on = ['c',\n 'b']\nb.depends_on = ['a']\nc.depends_on = ['c']\n")
    assert [one.line("f") for one in read.errors] == [
        "f:3:2: components.a: depends_on makes a cycle: a -> b -> a; remove one of these",
        "f:5:17: components.c: depends_on makes a cycle: c -> c; remove one of these",
    ]


def test_a_cycle_over_a_stored_component_is_told_at_the_edge_that_the_file_sets() -> None:
    read = fleet("[components.db]\ndepends_on = ['api']\n")
    assert read.errors == ()
    told = cycles_of(read.edges, {"api": ["db"], "db": ["old"]}, read.places)
    assert [one.line("f") for one in told] == [
        "f:2:15: components.db: depends_on makes a cycle: api -> db -> api; remove one of these"
    ]


def test_what_the_file_says_of_a_component_counts_instead_of_what_is_stored() -> None:
    read = fleet("[components.db]\n[components.api]\ndepends_on = ['db']\n")
    assert cycles_of(read.edges, {"db": ["api"]}, read.places) == []


def test_a_cycle_of_the_store_alone_is_no_fault_of_the_file() -> None:
    read = fleet("[components.db]\n")
    assert cycles_of(read.edges, {"x": ["y"], "y": ["x"]}, read.places) == []


def test_a_name_that_nobody_has_is_a_warning_with_the_nearest_one() -> None:
    read = fleet("[components.database]\n[components.api]\ndepends_on = ['databse', 'elsewhere', 'known']\n")
    told = [one.line("f") for one in unknown_of(read.edges, {"known"}, read.places)]
    says = "which is neither in the file nor known"
    assert told == [
        f"f:3:15: components.api: depends_on names databse, {says}; did you mean database?",
        f"f:3:26: components.api: depends_on names elsewhere, {says}; until it is registered it holds nothing",
    ]
