"""How often and how soon a component may be restarted, as the specification has it."""

from __future__ import annotations

import pytest

from healthmon.core.policy import Defaults, parse_policy
from healthmon.core.restart import RestartPolicy
from healthmon.errors import Refused


def test_the_defaults_are_the_specifications() -> None:
    assert RestartPolicy() == RestartPolicy(5, 5.0, 300.0, 2.0, True)


def test_it_is_a_part_of_a_components_policy() -> None:
    policy = parse_policy({"restart": RestartPolicy(max_retries=3, base_delay=10.0).to_policy()}, Defaults())
    assert policy.restart == {
        "max_retries": 3,
        "base_delay": 10.0,
        "max_delay": 300.0,
        "exponential_base": 2.0,
        "jitter": True,
    }


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"max_retries": -1}, "max_retries is -1; it is at least 0"),
        ({"base_delay": 0.0}, "base_delay 0 s must be above 0"),
        ({"base_delay": 400.0}, "base_delay 400 s must be above 0 and at most max_delay 300 s"),
        ({"max_delay": float("inf")}, "at most max_delay inf s"),
        ({"exponential_base": 0.5}, "exponential_base is 0.5; below 1 the delays would shrink"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(given: dict[str, float], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence.replace(".", r"\.")):
        RestartPolicy(**given)  # type: ignore[arg-type]  # the first is a whole number


def test_no_retries_at_all_is_allowed() -> None:
    assert RestartPolicy(max_retries=0).max_retries == 0
