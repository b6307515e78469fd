"""What a component is for, which one it is, and who started it: open sets, so that a fleet may name its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _OpenNames(StrEnum):
    """Text with some named members: any other text is as good as they are.

    It is text: it compares, hashes, formats and serialises as such. Iterating gives the named members only. Raises
    ValueError for an empty text or anything that is no text.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str) or not value:
            return None
        name = str.__new__(cls, value)
        name._name_ = value
        name._value_ = value
        return name


class ComponentRole(_OpenNames):
    """The role of a component. `ComponentRole("batch")` is as good as the named members [specification]."""

    JARVIS_BODY = "jarvis_body"
    JARVIS_PRIME = "jarvis_prime"
    REACTOR_CORE = "reactor_core"
    CUSTOM = "custom"


class ComponentType(_OpenNames):
    """Which component is owned: a component's id. `ComponentType("mailer")` is as good as the named members.

    The members are the ids of the specification's components.
    """

    JARVIS_BODY = "jarvis_body"
    JARVIS_PRIME = "j_prime"
    J_PRIME = "j_prime"
    REACTOR_CORE = "reactor_core"


class EntryPoint(_OpenNames):
    """The program that owns a component because it started it: an id. `EntryPoint("my_launcher")` is as good."""

    RUN_SUPERVISOR = "run_supervisor"
    START_SYSTEM = "start_system"
    HEALTHMON_RUN = "healthmon_run"
    SYSTEMD = "systemd"
    KUBERNETES = "kubernetes"
    CONTAINER = "container"
    MANUAL = "manual"
