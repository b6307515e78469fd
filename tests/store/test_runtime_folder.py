from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from healthmon.errors import ConfigurationError, StoreUnavailable
from healthmon.store.runtime_folder import folder, read_url, remove_url, url_in, write_url

URL = "redis://127.0.0.1:7000/0"


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_a_url_is_found_where_it_was_left(runtime: Path) -> None:
    assert read_url() is None
    path = write_url(URL)
    assert read_url() == URL
    assert path == runtime / "healthmon" / "url"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["url"]


def test_the_later_of_two_writers_counts_and_the_earlier_removes_nothing() -> None:
    write_url(URL)
    write_url("redis://127.0.0.1:7001/0")
    remove_url(URL)
    assert read_url() == "redis://127.0.0.1:7001/0"
    remove_url("redis://127.0.0.1:7001/0")
    assert read_url() is None
    remove_url(URL)


def test_without_a_runtime_folder_one_under_the_temporary_folder_is_the_users_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert folder() == tmp_path / f"healthmon-{os.getuid()}"
    write_url(URL)
    assert read_url() == URL


def test_a_folder_or_file_that_others_may_touch_is_not_believed(runtime: Path) -> None:
    path = write_url(URL)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="not yours alone"):
        read_url()
    path.chmod(0o600)
    path.parent.chmod(0o777)
    for refused in (read_url, lambda: write_url(URL)):
        with pytest.raises(ConfigurationError, match="not yours alone"):
            refused()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_what_belongs_to_another_user_is_not_believed() -> None:
    path = write_url(URL)
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigurationError, match="not yours alone"):
        read_url()


def test_a_link_in_the_place_of_folder_or_file_is_not_followed(
    runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "url").write_text("redis://evil/0")
    (elsewhere / "url").chmod(0o600)
    (runtime / "healthmon").symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="not yours alone"):
        read_url()
    (runtime / "healthmon").unlink()
    write_url(URL).unlink()
    (runtime / "healthmon" / "url").symlink_to(elsewhere / "url")
    assert read_url() is None


def test_a_folder_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    (runtime / "healthmon").write_text("a file")
    (runtime / "healthmon").chmod(0o600)
    with pytest.raises(ConfigurationError, match="HEALTH_REDIS_URL"):
        write_url(URL)


def test_the_url_of_an_embedded_server_is_in_its_directory(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    with pytest.raises(StoreUnavailable, match="no server runs in"):
        url_in(f"embedded://{tmp_path}/my%20data")
    (tmp_path / "my data" / "url").write_text(URL + "\n")
    assert url_in(f"embedded://{tmp_path}/my%20data") == URL
    with pytest.raises(StoreUnavailable):
        url_in("embedded://")
