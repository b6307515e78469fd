from __future__ import annotations

from healthmon.core.component import HealthState
from healthmon.views.states import LOOKS, WORST_FIRST, look_of, word_of


def test_every_state_has_a_look_of_its_own() -> None:
    assert set(LOOKS) == {state.value for state in HealthState}
    for name in ("word", "shape", "ascii", "order"):
        assert len({getattr(look, name) for look in LOOKS.values()}) == len(LOOKS), name


def test_states_are_listed_the_worst_first() -> None:
    assert [LOOKS[state].order for state in WORST_FIRST] == list(range(8))
    assert (WORST_FIRST[0], WORST_FIRST[-1]) == ("permanently_failed", "healthy")


def test_the_ascii_shapes_are_ascii() -> None:
    assert all(look.ascii.isascii() for look in LOOKS.values())


def test_a_state_of_a_later_version_is_shown_by_its_own_word() -> None:
    assert look_of("quarantined").shape == "?"
    assert word_of("quarantined") == "quarantined"
