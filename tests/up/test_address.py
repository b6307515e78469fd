"""Where the server of `up` is: for whom it is left, and by whom it is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from healthmon.store.runtime_folder import read_url, write_url
from healthmon.up.address import left_for_commands
from healthmon.up.screen import Screen
from healthmon.views.terminal import Terminal

GONE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _own_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_a_second_up_leaves_the_first_one_findable(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_url(url)
    with left_for_commands("redis://127.0.0.1:2/0", Screen(Terminal())) as left:
        assert not left
        assert read_url() == url
    assert read_url() == url
    assert "other commands go to the `up` that was started first" in capsys.readouterr().out


def test_the_url_of_a_server_that_is_gone_gives_way(url: str) -> None:
    write_url(GONE)
    with left_for_commands(url, Screen(Terminal())) as left:
        assert left
        assert read_url() == url
    assert read_url() is None
