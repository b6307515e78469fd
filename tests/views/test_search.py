from __future__ import annotations

import pytest

from healthmon.errors import Refused
from healthmon.views.search import parse_query

RECORD = {
    "id": "api-1",
    "state": "dead",
    "role": "api",
    "host": "web-03",
    "score": "0.50",
    "reason": "no heartbeat for 34 s",
    "msg": "Disk Full",
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "state:dead",
        "state:degraded,dead",
        "state:degraded state:dead",
        "role:api host:web-03",
        "score:<0.6",
        "score:>=0.5 score:<=0.5",
        "score:0.5",
        "heartbeat",
        "'no heartbeat'",
        "disk API-1",
        "state:dead role:api host:web-03 score:<0.6 heartbeat",
    ],
)
def test_a_search_finds_what_it_describes(text: str) -> None:
    assert parse_query(text).matches(RECORD)


@pytest.mark.parametrize("text", ["state:healthy", "role:ap", "score:<0.5", "score:>0.5", "disk nothing", "host:web-3"])
def test_a_search_leaves_out_what_it_does_not_describe(text: str) -> None:
    assert not parse_query(text).matches(RECORD)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("stat:dead", "state, role, host, score"),
        ("state:deda", "permanently_failed"),
        ("score:low", "score:<0.6"),
        ("role:", "role:api"),
        ("'open", "quote"),
    ],
)
def test_a_search_that_means_nothing_is_refused_with_what_is_right(text: str, names: str) -> None:
    with pytest.raises(Refused, match=names.replace("(", "\\(")):
        parse_query(text)


def test_a_record_that_says_little_is_searched_all_the_same() -> None:
    assert parse_query("state:unknown score:1").matches({"id": "new"})
    assert not parse_query("role:api").matches({"id": "new"})


def test_only_other_terms_than_states_need_the_record() -> None:
    assert parse_query("state:dead").states_only
    assert not parse_query("state:dead word").states_only
