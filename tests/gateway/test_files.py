"""Heartbeats by files, written in every way that files are written, over a real door and a real server."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any

import anyio
import pytest

from healthmon.errors import ConfigurationError
from healthmon.gateway import files as module
from healthmon.gateway.files import FOLDERS_MAX, Files
from healthmon.gateway.folder import hold
from tests.door import Gateway, open_door
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
OTHER_USER = 65534


@asynccontextmanager
async def watched(
    gateway: Gateway, *folders: Path, legacy: Path | None = None, timeout_s: float = 45.0
) -> AsyncIterator[Files]:
    """Files of these folders come in by the gateway's door; each folder that is there is watched already."""
    async with anyio.create_task_group() as group:
        files = Files(gateway.door, folders, timeout_s, legacy)
        group.start_soon(files.run)
        await eventually(lambda: len(files.watching) == len(folders) + (legacy is not None))
        yield files
        group.cancel_scope.cancel()


def put(folder: Path, component_id: str, said: dict[str, Any] | None = None) -> None:
    """As a careful writer does: under another name, then by mv."""
    fresh = folder / f"{component_id}.json.tmp"
    fresh.write_text(json.dumps(said or {}))
    fresh.rename(folder / f"{component_id}.json")


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time() - seconds,) * 2)


async def has_come(gateway: Gateway, component_id: str, times: int = 1) -> None:
    async def came() -> bool:
        return await gateway.count(component_id) == times

    await eventually(came)


async def test_a_file_that_is_moved_into_the_folder_is_a_heartbeat_each_time(
    url: str, prefix: str, tmp_path: Path
) -> None:
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path):
        put(tmp_path, "j_prime", {"component_id": "j_prime", "timestamp": time(), "metrics": {"memory_mb": 456.2}})
        await has_come(gateway, "j_prime")
        put(tmp_path, "j_prime")
        await has_come(gateway, "j_prime", 2)
        assert (await gateway.stored())[0].metrics == {"memory_mb": 456.2}
        assert gateway.door.accepted == {"file": 2}


async def test_a_file_that_is_written_over_or_touched_is_a_heartbeat_each_time(
    url: str, prefix: str, tmp_path: Path
) -> None:
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path):
        (tmp_path / "nightly.json").write_text('{"msg": "backing up"}')
        await has_come(gateway, "nightly")
        (tmp_path / "nightly.json").touch()
        await has_come(gateway, "nightly", 2)
        (tmp_path / "nightly.json").write_text('{"msg": "pruning"}')
        await has_come(gateway, "nightly", 3)
        assert [beat.msg for beat in await gateway.stored()] == ["backing up", "backing up", "pruning"]


async def test_what_lies_there_at_the_start_counts_when_it_is_young(url: str, prefix: str, tmp_path: Path) -> None:
    for component_id, seconds in (("young", 5), ("old", 46), ("ahead", -46)):
        put(tmp_path, component_id)
        age(tmp_path / f"{component_id}.json", seconds)
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path):
        await has_come(gateway, "young")
        put(tmp_path, "later")
        await has_come(gateway, "later")
        assert {beat.id for beat in await gateway.stored()} == {"young", "later"}


async def test_a_half_written_file_is_looked_at_again_until_it_is_whole(
    url: str, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = json.dumps({"component_id": "slow", "msg": "x" * 100})
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path) as files:
        with (tmp_path / "slow.json").open("w") as file:
            file.write(content[:40])
            file.flush()
            facts = os.fstat(file.fileno())
            await eventually(lambda: files.counts["unfinished"])
            assert await gateway.stored() == []
            file.write(content[40:])
            file.flush()
            os.utime(file.fileno(), ns=(facts.st_mtime_ns, facts.st_mtime_ns))  # within one tick of the clock
        await has_come(gateway, "slow")
    assert caplog.messages == []


@pytest.mark.parametrize("content", ["", "nonsense", '{"component_id": "qu'])
async def test_a_file_that_stays_unfinished_is_told_of_once_and_counts_when_written_again(
    url: str,
    prefix: str,
    tmp_path: Path,
    content: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path, timeout_s=5.0) as files:
        path = tmp_path / "quiet.json"
        path.write_text(content)
        await eventually(lambda: "quiet.json" in caplog.text)
        path.write_text(content)
        put(tmp_path, "other")
        await has_come(gateway, "other")
        age(path, 6)  # so old that nobody waits for it any more
        put(tmp_path, "other")
        await has_come(gateway, "other", 2)
        put(tmp_path, "quiet")
        await has_come(gateway, "quiet")
        assert files.counts["unfinished"] >= 1
    assert len([line for line in caplog.messages if "quiet.json" in line]) == 1


async def test_an_unreadable_file_says_nothing_and_counts_once_it_can_be_read(
    url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "shut")
    opened = os.open

    def refuse(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "shut.json" and (tmp_path / path).stat().st_mode & 0o077 == 0:
            raise PermissionError(13, "Permission denied")  # the tests may run as root, who is refused nothing
        return opened(path, flags, mode, dir_fd=dir_fd)

    (tmp_path / "shut.json").chmod(0o600)
    monkeypatch.setattr(os, "open", refuse)
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path) as files:
        await eventually(lambda: files.counts["unfinished"])
        assert await gateway.stored() == []
        (tmp_path / "shut.json").chmod(0o644)
        await has_come(gateway, "shut")


async def test_a_deleted_file_is_no_death_and_counts_when_it_is_back(url: str, prefix: str, tmp_path: Path) -> None:
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path):
        put(tmp_path, "coming")
        await has_come(gateway, "coming")
        (tmp_path / "coming.json").unlink()
        put(tmp_path, "other")
        await has_come(gateway, "other")
        put(tmp_path, "coming")
        await has_come(gateway, "coming", 2)
        assert {beat.status for beat in await gateway.stored()} == {"ok"}


async def test_what_is_no_heartbeat_file_is_refused_once_and_disturbs_nothing(
    url: str, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "target.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "target.json")
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")
    (folder / "large.json").write_bytes(b" " * 70_000)
    (folder / "list.json").write_text("[]")
    (folder / "bad id\n.json").write_text("{}")
    (folder / "mine.json").write_text('{"component_id": "yours"}')
    (folder / "notes.txt").write_text("not looked at")
    (folder / "below").mkdir()
    (folder / "below" / "deep.json").write_text("{}")
    (folder / "weird.json").write_text('{"metrics": {"latency_ms": NaN, "x": {"a": []}}, "status": "well", "msg": 7}')
    async with open_door(url, prefix) as gateway, watched(gateway, folder):
        await has_come(gateway, "weird")
        await eventually(lambda: sum(gateway.door.refused.values()) == 7)
        (folder / "list.json").write_text("[1]")
        await eventually(lambda: gateway.door.refused["not_an_object"] == 2)
        put(folder, "good")
        await has_come(gateway, "good")
        assert {beat.id for beat in await gateway.stored()} == {"weird", "good"}
        assert gateway.door.refused == {
            "not_a_file": 3,
            "too_large": 1,
            "not_an_object": 2,
            "bad_id": 1,
            "wrong_id": 1,
        }
    assert len(caplog.messages) == 7
    assert all(line.isprintable() for line in caplog.messages)


async def test_a_folder_may_come_later_go_and_come_again(
    url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "HOLD_S", 0.02)
    folder = tmp_path / "heartbeats"
    async with open_door(url, prefix) as gateway, watched(gateway, folder) as files:
        for times in (1, 2, 3):
            await eventually(lambda: files.watching[folder] == "absent")
            assert files.states() == {"absent": 1}
            folder.mkdir()
            put(folder, "j_prime")
            await has_come(gateway, "j_prime", times)
            shutil.rmtree(folder)
    assert sum("cannot be watched yet" in line for line in caplog.messages) == 3


async def test_a_folder_that_is_exchanged_for_another_is_noticed_without_being_told(
    url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HOLD_S", 0.02)
    (tmp_path / "heartbeats").mkdir()
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path / "heartbeats", timeout_s=1.0):
        (tmp_path / "heartbeats").rename(tmp_path / "before")
        (tmp_path / "heartbeats").mkdir()
        put(tmp_path / "before", "stray")
        put(tmp_path / "heartbeats", "j_prime")
        await has_come(gateway, "j_prime")


async def test_the_legacy_folder_is_watched_from_when_it_is_there_and_not_missed_before(
    url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "HOLD_S", 0.02)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with open_door(url, prefix) as gateway, watched(gateway, legacy=Path(module.LEGACY_FOLDER)):
        folder = tmp_path / ".jarvis" / "trinity" / "heartbeats"
        folder.mkdir(parents=True)
        put(folder, "j_prime", {"component_id": "j_prime", "timestamp": time()})
        await has_come(gateway, "j_prime")
    assert [line for line in caplog.messages if "cannot be watched" in line] == []


async def test_of_two_gateways_one_watches_a_folder_and_the_other_takes_over(
    url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HOLD_S", 0.02)
    async with open_door(url, prefix) as first, open_door(url, prefix) as second:
        async with watched(first, tmp_path), anyio.create_task_group() as group:
            standby = Files(second.door, [tmp_path], 45.0, None)
            group.start_soon(standby.run)
            await eventually(lambda: standby.watching == {tmp_path: "standby"})
            assert standby.states() == {"standby": 1}
            put(tmp_path, "j_prime")
            await has_come(first, "j_prime")
            assert not second.door.accepted
            group.cancel_scope.cancel()
        async with watched(second, tmp_path) as files:
            await eventually(lambda: files.watching == {tmp_path: "watched"})
            await has_come(first, "j_prime", 2)  # it is young, and the second knows nothing of the first's looks
            put(tmp_path, "j_prime")
            await has_come(second, "j_prime", 3)


def test_a_folder_is_held_by_one_and_free_again_after_it(tmp_path: Path) -> None:
    first = hold(tmp_path)
    assert first is not None
    assert first.locked
    assert hold(tmp_path) is None
    first.close()
    again = hold(tmp_path)
    assert again is not None
    again.close()
    assert list(tmp_path.iterdir()) == []


async def test_where_the_system_tells_of_no_changes_the_slow_looks_find_them(
    url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left(*_: object, **__: object) -> Any:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(module, "awatch", none_left)
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path, timeout_s=1.0):
        put(tmp_path, "j_prime")
        await has_come(gateway, "j_prime")
        put(tmp_path, "j_prime")
        await has_come(gateway, "j_prime", 2)
    assert sum("tells of no changes" in line for line in caplog.messages) == 1


async def test_files_wait_with_the_door_while_redis_is_away(
    fresh_server: Callable[..., FreshServer], prefix: str, tmp_path: Path
) -> None:
    server = fresh_server()
    await server.start()
    async with open_door(server.url, prefix) as gateway, watched(gateway, tmp_path):
        put(tmp_path, "j_prime", {"msg": "before"})
        await has_come(gateway, "j_prime")
        await server.stop()
        put(tmp_path, "j_prime", {"msg": "lost contact"})
        await eventually(lambda: gateway.door.waiting == 1, 10)
        put(tmp_path, "j_prime", {"msg": "newest"})
        await eventually(lambda: gateway.door.accepted["file"] == 3)
        await server.start()
        await eventually(lambda: not gateway.door.waiting, 10)
        assert [beat.msg for beat in await gateway.stored()] == ["newest"]


async def test_files_beyond_the_rate_come_in_a_second_later(
    url: str, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        put(tmp_path, f"c{number}")
    async with open_door(url, prefix, http_rate=3) as gateway, watched(gateway, tmp_path):
        await eventually(lambda: gateway.door.accepted["file"] == 5, 4.0)
        assert len(await gateway.stored()) == 5
    assert len(caplog.messages) == 1


async def test_a_thousand_files_come_in_together(url: str, prefix: str, tmp_path: Path) -> None:
    for number in range(1000):
        put(tmp_path, f"c{number}")
    async with open_door(url, prefix) as gateway, watched(gateway, tmp_path):
        await eventually(lambda: gateway.door.accepted["file"] == 1000)
        assert len({beat.id for beat in await gateway.stored()}) == 1000
        assert await gateway.client.xlen(gateway.keys.heartbeats) < 60


def test_too_many_folders_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too many"):
        Files(None, [tmp_path / str(number) for number in range(FOLDERS_MAX + 1)], 45.0, None)  # type: ignore[arg-type]  # no door is needed to refuse
