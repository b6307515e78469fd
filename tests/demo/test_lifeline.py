"""What a child has of its parent."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from healthmon.demo.lifeline import Inbox, ParentGone


@pytest.fixture
def pipe() -> Iterator[tuple[Inbox, int]]:
    ours, theirs = os.pipe()
    yield Inbox(ours), theirs
    os.close(ours)


def test_lines_come_one_by_one_however_they_were_written(pipe: tuple[Inbox, int]) -> None:
    inbox, parent = pipe
    os.write(parent, b'{"a": 1}\n{"a"')
    assert inbox.take() == {"a": 1}
    assert inbox.take(0.001) is None
    os.write(parent, b": 2}\n")
    assert inbox.take() == {"a": 2}
    os.close(parent)


def test_what_comes_during_a_sleep_waits(pipe: tuple[Inbox, int]) -> None:
    inbox, parent = pipe
    os.write(parent, b'{"a": 1}\n')
    inbox.sleep(0.001)
    assert inbox.take(0) == {"a": 1}
    os.close(parent)


def test_the_parents_end_is_noticed_in_a_wait_and_in_a_sleep(pipe: tuple[Inbox, int]) -> None:
    inbox, parent = pipe
    os.close(parent)
    with pytest.raises(ParentGone):
        inbox.take()
    with pytest.raises(ParentGone):
        inbox.sleep(60)
