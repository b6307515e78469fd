"""The arithmetic of the lease."""

from __future__ import annotations

import pytest

from healthmon.core.lease import Lease, read_lease, standby_rank, writes_until_s


def test_a_lease_is_read_back_from_what_it_is_written_as() -> None:
    lease = Lease("mon-a", "9f3c", 1_795_462_100_123)
    assert str(lease) == "mon-a|9f3c|1795462100123"
    assert read_lease(str(lease)) == lease


@pytest.mark.parametrize("text", ["", "mon-a", "mon-a|x", "mon-a|x|", "mon-a|x|1.5", "mon-a|x|-1", "|x|5", "a|b|5|6"])
def test_anything_else_is_no_lease(text: str) -> None:
    assert read_lease(text) is None


def test_the_same_replica_in_another_incarnation_is_another_holder() -> None:
    assert Lease("mon-a", "1", 5) != Lease("mon-a", "2", 5)


def test_the_holder_writes_until_two_thirds_of_the_ttl_after_its_renewal_was_sent() -> None:
    assert writes_until_s(100.0, 3.0) == pytest.approx(102.0)


def test_standbys_queue_by_id_without_the_leader() -> None:
    live = frozenset({"mon-a", "mon-b", "mon-c"})
    assert [standby_rank(one, live, "mon-a") for one in ("mon-b", "mon-c")] == [0, 1]
    assert standby_rank("mon-b", frozenset(), "mon-a") == 0, "one that nobody has seen yet counts itself"
    assert standby_rank("mon-c", live, "") == 2
