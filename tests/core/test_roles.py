"""Roles: the specification's members and any text."""

from __future__ import annotations

import json
import pickle

import pytest

from healthmon.core.roles import ComponentRole, ComponentType, EntryPoint


def test_the_specifications_roles_are_members_and_compare_as_text() -> None:
    assert [str(role) for role in ComponentRole] == ["jarvis_body", "jarvis_prime", "reactor_core", "custom"]
    assert ComponentRole("jarvis_prime") is ComponentRole.JARVIS_PRIME
    assert ComponentRole.JARVIS_PRIME == "jarvis_prime"  # type: ignore[comparison-overlap]  # mypy takes it for another literal


def test_any_text_is_a_role_and_does_not_join_the_named_ones() -> None:
    role = ComponentRole("batch")
    assert isinstance(role, ComponentRole)
    assert (role, role.value, f"{role}") == ("batch", "batch", "batch")
    assert role == ComponentRole("batch")
    assert hash(role) == hash("batch")
    assert json.dumps({"role": role}) == '{"role": "batch"}'
    assert pickle.loads(pickle.dumps(role)) == role  # noqa: S301  # our own bytes
    assert len(list(ComponentRole)) == 4


@pytest.mark.parametrize("nothing", ["", None, 7])
def test_an_empty_role_and_what_is_no_text_are_refused(nothing: object) -> None:
    with pytest.raises(ValueError, match="is not a valid ComponentRole"):
        ComponentRole(nothing)  # type: ignore[arg-type]  # what untyped code may pass


def test_what_is_owned_is_named_by_the_component_s_id_and_by_whom_by_any_text() -> None:
    assert [str(one) for one in ComponentType] == ["jarvis_body", "j_prime", "reactor_core"]
    assert ComponentType["JARVIS_PRIME"] is ComponentType.J_PRIME
    assert str(ComponentType("mailer")) == "mailer"
    assert str(EntryPoint.RUN_SUPERVISOR) == "run_supervisor"
    assert EntryPoint("my_launcher") == EntryPoint("my_launcher")
