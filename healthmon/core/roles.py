"""What a component is for: an open set, so that a fleet may name roles of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class ComponentRole(StrEnum):
    """The role of a component. `ComponentRole("batch")` is as good as the named members [specification].

    It is text: it compares, hashes, formats and serialises as such. Iterating gives the named members only. Raises
    ValueError for an empty role or anything that is no text.
    """

    JARVIS_BODY = "jarvis_body"
    JARVIS_PRIME = "jarvis_prime"
    REACTOR_CORE = "reactor_core"
    CUSTOM = "custom"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str) or not value:
            return None
        role = str.__new__(cls, value)
        role._name_ = value
        role._value_ = value
        return role
