"""What is looked at in a folder, and what is kept of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import time_ns

import pytest

from healthmon.gateway import folder as module
from healthmon.gateway.folder import Folder, hold
from healthmon.gateway.heartbeat_file import Beat, Unfit

TIMEOUT_NS = 45 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    held = hold(tmp_path)
    assert held is not None
    yield held
    held.close()


def names(folder: Folder, *asked: str) -> list[str]:
    """What is new, and settled at once."""
    sights = folder.look(time_ns(), TIMEOUT_NS, asked or None)
    for sight in sights:
        folder.settle(sight)
    return sorted(sight.name for sight in sights)


def test_a_file_is_new_once_and_again_when_it_is_written(folder: Folder) -> None:
    path = folder.path / "a.json"
    path.write_text("{}")
    assert names(folder) == ["a.json"]
    assert names(folder) == names(folder, "a.json") == []
    os.utime(path, ns=(time_ns(), time_ns() - 1))
    assert names(folder, "a.json") == ["a.json"]


def test_nothing_is_kept_of_files_that_are_gone(folder: Folder) -> None:
    for name in ("a.json", "b.json"):
        (folder.path / name).write_text("{}")
    assert names(folder) == ["a.json", "b.json"]
    for name in ("a.json", "b.json"):
        (folder.path / name).unlink()
    assert names(folder, "a.json") == []
    assert set(folder.seen) == {"b.json"}
    assert names(folder) == []
    assert folder.seen == {}


def test_of_too_many_files_those_that_are_known_are_looked_at(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_MAX", 2)
    for name in ("x.json", "y.json"):
        (folder.path / name).write_text("{}")
    assert (names(folder), folder.overfull) == (["x.json", "y.json"], False)
    (folder.path / "a.json").write_text("{}")
    os.utime(folder.path / "y.json", ns=(time_ns(), time_ns() - 1))
    assert (names(folder), folder.overfull) == (["y.json"], True)
    assert names(folder, "a.json") == []


def test_a_pipe_or_a_link_in_the_place_of_a_file_is_neither_waited_for_nor_followed(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe.json")
    (folder.path / "target").write_text("{}")
    (folder.path / "link.json").symlink_to(folder.path / "target")
    pipe, link = folder._read("pipe.json", "pipe", 1), folder._read("link.json", "link", 1)
    assert pipe is not None
    assert isinstance(pipe.what, Unfit)
    assert link is not None
    assert not isinstance(link.what, Beat)
    assert folder._read("gone.json", "gone", 1) is None


def test_a_folder_that_is_moved_is_still_the_one_that_is_read(folder: Folder, tmp_path: Path) -> None:
    place, moved = tmp_path, tmp_path.with_name("moved")
    place.rename(moved)
    place.mkdir()
    (place / "other.json").write_text("{}")
    (moved / "same.json").write_text("{}")
    assert not folder.is_there()
    assert names(folder) == ["same.json"]
