"""Who may do what: tokens, kept as hashes, and what each grants.

A token is 256 random bits, so one round of SHA-256 hides it: there is nothing to guess from. Whoever chooses a token by
hand gives at least 16 characters.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Final

from healthmon.core.refusal import Refusal
from healthmon.errors import ConfigurationError

TOKEN_CHARS_MIN: Final = 16
TOKENS_MAX: Final = 1000
NAME_MAX: Final = 128
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,128}")
_NAMES: Final = frozenset(("name", "hash", "scope", "components"))


class Scope(StrEnum):
    """What a token is for. None includes another."""

    READ = "read"
    WRITE = "write"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller may do. `patterns` of component ids, as in a shell (`j_*`); none: every component."""

    name: str
    scopes: frozenset[Scope]
    patterns: tuple[str, ...] = ()

    def may(self, scope: Scope, component_id: str = "") -> bool:
        """Whether the caller may do this to the component. Without one: to the whole, which patterns forbid."""
        if scope not in self.scopes:
            return False
        return not self.patterns or any(fnmatchcase(component_id, pattern) for pattern in self.patterns if component_id)

    def holds(self, scope: Scope) -> bool:
        """Whether the caller may do this to some component at least: enough to open a connection."""
        return scope in self.scopes


EVERYTHING: Final = Grant("local", frozenset(Scope))
NOTHING: Final = Grant("", frozenset())


def demand(grant: Grant, scope: Scope, component_id: str = "") -> None:
    """Raises Refusal: 401 for who showed no known token, 403 for whose token does not grant this."""
    if grant.may(scope, component_id):
        return
    if not grant.scopes:
        raise Refusal(
            401, "unauthorized", "this needs a token that is known here: send `Authorization: Bearer <token>`"
        )
    if not grant.holds(scope):
        has = " and ".join(sorted(grant.scopes))
        raise Refusal(
            403, "forbidden", f"the token {grant.name} is for {has} only: use one whose scope has `{scope.value}`"
        )
    what = f"component {component_id}" if component_id else "all components"
    raise Refusal(
        403, "forbidden", f"the token {grant.name} is not for {what}, only for {', '.join(grant.patterns)}: use another"
    )


def hash_of(token: str) -> str:
    """The form in which a token is stored: `sha256:` and 64 hex digits."""
    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is stored, and what it grants."""

    hash: str
    grant: Grant


class Access:
    """The tokens of one server."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    @property
    def open(self) -> bool:
        """Whether there is no token at all: then whoever reaches the server may do everything."""
        return not self._tokens

    def grant_of(self, token: str) -> Grant:
        """What a token grants, nothing for an unknown one. How long this takes tells nothing of the tokens."""
        given, found = hash_of(token), NOTHING
        for known in self._tokens:
            if hmac.compare_digest(known.hash, given):
                found = known.grant
        return found


def is_loopback(name: str) -> bool:
    """Whether a host's name or address is this machine's loopback and nothing else."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def token_for_all(token: str) -> Token:
    """The one of HEALTH_TOKEN, which may do everything. Raises ConfigurationError when it can be guessed."""
    if len(token) < TOKEN_CHARS_MIN:
        raise ConfigurationError(
            f"HEALTH_TOKEN has fewer than {TOKEN_CHARS_MIN} characters and can be guessed: `healthmon token` makes one"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            "HEALTH_TOKEN has characters that no HTTP header carries: use letters, digits and -._~ only, "
            "as `healthmon token` does"
        )
    return Token(hash_of(token), Grant("HEALTH_TOKEN", frozenset(Scope)))


def read_tokens(content: Mapping[str, object], place: str) -> list[Token]:
    """The tokens of a file, which is `[[token]]` tables. Raises ConfigurationError, naming the table in `place`."""
    strange = sorted(set(content) - {"token"})
    if strange:
        raise ConfigurationError(f"{place} has {strange[0]}, which is no part of it: write [[token]] tables only")
    tables = content.get("token", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise ConfigurationError(f"{place} has no [[token]] tables: `healthmon token` prints one")
    if len(tables) > TOKENS_MAX:
        raise ConfigurationError(f"{place} has {len(tables)} tokens: {TOKENS_MAX} are the most")
    tokens = [_read_token(table, f"token {number} in {place}") for number, table in enumerate(tables, 1)]
    names = [token.grant.name for token in tokens]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{place} has two tokens named {twice[0]}: name each once, as it stands in events")
    return tokens


def _read_token(table: Mapping[str, object], place: str) -> Token:
    strange = sorted(set(table) - _NAMES)
    if strange:
        raise ConfigurationError(f"{place} has {strange[0]}, but a token is {', '.join(sorted(_NAMES))}")
    name, stored = table.get("name"), table.get("hash")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"{place} has no usable name: give 1 to {NAME_MAX} letters, digits and ._@-")
    if not isinstance(stored, str) or not _HASH.fullmatch(stored):
        raise ConfigurationError(
            f"{place} has no hash of the form sha256:<64 hex digits>: `healthmon token` prints it with the token"
        )
    words, patterns = _texts(table.get("scope", [])), _texts(table.get("components", []))
    known = [scope.value for scope in Scope]
    if not words or not set(words) <= set(known):
        raise ConfigurationError(f"{place} has no usable scope: give some of {', '.join(known)} as a list")
    if patterns is None:
        raise ConfigurationError(f'{place} has components that are no list of patterns: write ["j_*"]')
    return Token(stored, Grant(name, frozenset(map(Scope, words)), tuple(patterns)))


def _texts(value: object) -> list[str] | None:
    """A list of texts that are not empty, or one such text; None for anything else."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        return None
    return texts
