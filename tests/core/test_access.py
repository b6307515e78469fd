from __future__ import annotations

from typing import Any

import pytest

from healthmon.core.access import (
    EVERYTHING,
    NOTHING,
    Access,
    Grant,
    Scope,
    Token,
    demand,
    hash_of,
    is_loopback,
    read_tokens,
    token_for_all,
)
from healthmon.core.refusal import Refusal, refusal
from healthmon.errors import ConfigurationError

WRITER = Grant("ci", frozenset({Scope.WRITE}), ("j_*", "search"))
HASH = hash_of("hm_a-token-that-is-long-enough")


def test_a_grant_is_for_its_scopes_and_its_components_only() -> None:
    assert WRITER.may(Scope.WRITE, "j_prime")
    assert WRITER.may(Scope.WRITE, "search")
    assert not WRITER.may(Scope.WRITE, "research")
    assert not WRITER.may(Scope.WRITE, "J_prime"), "case matters"
    assert not WRITER.may(Scope.READ, "j_prime")


def test_a_grant_for_some_components_is_none_for_the_whole() -> None:
    assert not WRITER.may(Scope.WRITE)
    assert WRITER.holds(Scope.WRITE)
    everybody = Grant("all", frozenset({Scope.WRITE}), ("*",))
    assert not everybody.may(Scope.WRITE)
    assert Grant("all", frozenset({Scope.WRITE})).may(Scope.WRITE)


def test_who_may_do_everything_may_and_who_shows_no_token_may_nothing() -> None:
    assert all(EVERYTHING.may(scope) and EVERYTHING.may(scope, "x") for scope in Scope)
    assert not any(NOTHING.may(scope) or NOTHING.holds(scope) for scope in Scope)


@pytest.mark.parametrize(
    ("grant", "scope", "component", "status", "words"),
    [
        (NOTHING, Scope.READ, "", 401, "Authorization: Bearer"),
        (WRITER, Scope.OPERATE, "j_prime", 403, "the token ci is for write only"),
        (WRITER, Scope.WRITE, "mailer", 403, "not for component mailer, only for j_*, search"),
        (WRITER, Scope.WRITE, "", 403, "not for all components"),
    ],
)
def test_a_demand_that_is_not_granted_is_refused_with_the_fix(
    grant: Grant, scope: Scope, component: str, status: int, words: str
) -> None:
    with pytest.raises(Refusal) as refused:
        demand(grant, scope, component)
    assert refused.value.status == status
    assert words in refused.value.message


def test_a_demand_that_is_granted_passes() -> None:
    demand(WRITER, Scope.WRITE, "j_prime")
    demand(EVERYTHING, Scope.OPERATE)


def test_a_refusal_is_one_shape_of_json() -> None:
    assert refusal("rate_limited", "send fewer") == {"error": {"code": "rate_limited", "message": "send fewer"}}


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_a_known_token_is_granted_what_it_is_for_and_any_other_nothing() -> None:
    access = Access([Token(HASH, WRITER), token_for_all("a-token-for-everything")])
    assert not access.open
    assert access.grant_of("hm_a-token-that-is-long-enough") is WRITER
    assert access.grant_of("a-token-for-everything").scopes == set(Scope)
    for wrong in ("", "hm_a-token-that-is-long-enoug", HASH, "ü", "\udcff"):
        assert access.grant_of(wrong) is NOTHING
    assert Access().open


def test_no_token_is_kept_as_it_is() -> None:
    token = token_for_all("a-token-for-everything")
    assert "everything" not in repr(token)
    assert token.hash == hash_of("a-token-for-everything")


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "white space in a token", "sixteen-letters-ü"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ConfigurationError, match=r"HEALTH_TOKEN has .*healthmon token"):
        token_for_all(token)


def test_the_file_of_tokens_is_read() -> None:
    table = {"name": "ci", "hash": HASH, "scope": ["write"], "components": ["j_*", "search"]}
    assert read_tokens({"token": [table]}, "f") == [Token(HASH, WRITER)]
    del table["components"]
    (token,) = read_tokens({"token": [{**table, "scope": "read"}]}, "f")
    assert token.grant == Grant("ci", frozenset({Scope.READ}))
    assert read_tokens({}, "f") == []


GOOD: dict[str, Any] = {"name": "ci", "hash": HASH, "scope": ["write"]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"tokens": []}, "f has tokens, which is no part of it"),
        ({"token": "x"}, r"f has no \[\[token\]\] tables"),
        ({"token": ["x"]}, r"f has no \[\[token\]\] tables"),
        ({"token": [GOOD] * 1001}, "1001 tokens: 1000 are the most"),
        ({"token": [GOOD, GOOD]}, "two tokens named ci"),
        ({"token": [GOOD, {**GOOD, "name": "a", "secret": "x"}]}, "token 2 in f has secret, but a token is"),
        ({"token": [{**GOOD, "name": "a b"}]}, "token 1 in f has no usable name"),
        ({"token": [{**GOOD, "hash": "plain-token"}]}, "token 1 in f has no hash of the form sha256:"),
        ({"token": [{**GOOD, "scope": []}]}, "no usable scope: give some of read, write, operate"),
        ({"token": [{**GOOD, "scope": ["admin"]}]}, "no usable scope"),
        ({"token": [{**GOOD, "scope": 3}]}, "no usable scope"),
        ({"token": [{**GOOD, "components": [""]}]}, "components that are no list of patterns"),
        ({"token": [{**GOOD, "components": {}}]}, "components that are no list of patterns"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place_and_the_fix(content: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        read_tokens(content, "f")
    assert "plain-token" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        *[("localhost", True), ("a.localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True)],
        *[("0.0.0.7", False), ("::", False), ("10.0.0.1", False), ("localhost.evil.example", False), ("", False)],
    ],
)
def test_loopback_is_this_machine_and_nothing_else(name: str, own: bool) -> None:
    assert is_loopback(name) is own
