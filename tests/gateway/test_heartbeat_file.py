"""What one file says: by its name, its facts and its bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.gateway.heartbeat_file import (
    FILE_BYTES_MAX,
    Beat,
    Unfinished,
    Unfit,
    component_of,
    counts,
    read_file,
    unfit_by,
)

S = 10**9
NOW, TIMEOUT = 1_000_000 * S, 45 * S


@pytest.mark.parametrize(
    "name", ["j_prime", "j_prime.json.tmp", ".j_prime.json", ".json", "notes.txt", "j_prime.JSON", ""]
)
def test_other_files_in_the_folder_are_none_of_ours(name: str) -> None:
    assert component_of(name) is None


def test_the_name_of_the_file_is_the_component() -> None:
    assert component_of("j_prime.json") == "j_prime"
    assert component_of("j.prime@host-1.json") == "j.prime@host-1"


@pytest.mark.parametrize(
    "name", ["j prime.json", "jä.json", "a" * 129 + ".json", "a\nb.json", "a:b.json", "\udcff.json"]
)
def test_a_name_that_is_no_id_is_refused(name: str) -> None:
    found = component_of(name)
    assert isinstance(found, Unfit)
    assert found.reason == "bad_id"


@pytest.mark.parametrize(
    ("mtime_ns", "seen_ns", "counted"),
    [
        (NOW - 1 * S, None, True),  # found for the first time, and young
        (NOW - 1 * S, NOW - 1 * S, False),  # nobody wrote since
        (NOW - 1 * S, NOW - 2 * S, True),
        (NOW - 2 * S, NOW - 1 * S, True),  # the writer's clock was set back
        (NOW - 45 * S, None, True),
        (NOW - 46 * S, None, False),  # as old as silence
        (NOW - 46 * S, NOW - 90 * S, False),
        (NOW + 10 * S, None, True),  # a clock that is a little ahead
        (NOW + 46 * S, None, False),  # one that is far ahead would look new at every start
        (NOW + 46 * S, NOW + 40 * S, True),  # but it was written just now
    ],
)
def test_a_file_counts_when_its_time_is_new_and_young(mtime_ns: int, seen_ns: int | None, counted: bool) -> None:
    assert counts(mtime_ns, seen_ns, NOW, TIMEOUT) is counted


def test_the_content_of_the_specification_is_a_heartbeat() -> None:
    said = {"component_id": "j_prime", "timestamp": 1.5, "metrics": {"memory_mb": 456.2}}
    assert read_file("j_prime", json.dumps(said).encode()) == Beat("j_prime", said)


def test_the_id_may_be_left_out() -> None:
    assert read_file("j_prime", b" {} \n") == Beat("j_prime", {"component_id": "j_prime"})
    assert read_file("j_prime", b'{"component_id": null, "pid": 3}') == Beat(
        "j_prime", {"component_id": "j_prime", "pid": 3}
    )


@pytest.mark.parametrize("other", ['"j_other"', "7", '["j_prime"]', "{}", "true", '"\\u001b[2J"'])
def test_an_id_other_than_the_name_is_refused(other: str) -> None:
    for name in ("component_id", "id"):
        found = read_file("j_prime", f'{{"{name}": {other}}}'.encode())
        assert isinstance(found, Unfit)
        assert found.reason == "wrong_id"
        assert found.detail.isprintable()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b'{"component_id": "j_pr', b"{", b'{"a": "\xc3', b"\x00" * 9, b"[" * 60000]
)
def test_what_is_not_written_to_its_end_says_nothing_yet(content: bytes) -> None:
    assert isinstance(read_file("j_prime", content), Unfinished)


@pytest.mark.parametrize("content", [b"[]", b"1795462127.1", b"null", b'"alive"', b'[{"component_id": "j_prime"}]'])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    found = read_file("j_prime", content)
    assert isinstance(found, Unfit)
    assert found.reason == "not_an_object"


def test_every_beginning_of_a_heartbeat_is_unfinished_and_only_the_whole_counts() -> None:
    content = json.dumps(
        {"component_id": "j_prime", "metrics": {"latency_ms": 1e3, "größe": [1, {"a": None}]}}
    ).encode()
    assert all(isinstance(read_file("j_prime", content[:cut]), Unfinished) for cut in range(len(content)))
    assert isinstance(read_file("j_prime", content), Beat)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(content: bytes) -> None:
    assert isinstance(read_file("j_prime", content), Beat | Unfinished | Unfit)


def test_what_is_no_file_or_too_large_is_refused_by_its_facts(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * FILE_BYTES_MAX)
    (tmp_path / "large").write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    found = {name: unfit_by((tmp_path / name).lstat()) for name in ("file", "large", "link", "pipe", ".")}
    assert {name: unfit.reason if unfit else None for name, unfit in found.items()} == {
        "file": None,
        "large": "too_large",
        "link": "not_a_file",
        "pipe": "not_a_file",
        ".": "not_a_file",
    }
    assert isinstance(read_file("j_prime", b" " * FILE_BYTES_MAX + b"{}"), Unfit)
