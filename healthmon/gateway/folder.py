"""One folder of heartbeat files: held against other gateways, and looked at. All of it blocks: call it in a thread.

Files are reached through the open folder, so that a folder which is moved or replaced meanwhile is never read as if it
were the other.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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

# A folder of more is not one of heartbeats alone: files that are known are looked at, further ones are not.
FILES_MAX: Final = 10_000
ENTRIES_MAX: Final = 50_000
# Held by nobody else and not lockable are two things: the latter is how some network file systems answer.
_UNLOCKABLE: Final = (errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class Sight:
    """A file that says something or nothing, its name, and the time it had."""

    name: str
    mtime_ns: int
    what: Beat | Unfinished | Unfit


@dataclass
class Folder:
    """An open folder. `seen`: the time that each file had when it was last settled; `there`: all at the last full look.

    `locked` is false where the file system knows no locks: then two gateways may both count its files.
    """

    path: Path
    descriptor: int
    locked: bool
    seen: dict[str, int] = field(default_factory=dict)
    there: frozenset[str] = frozenset()
    overfull: bool = False

    def look(self, now_ns: int, timeout_ns: int, names: Iterable[str] | None = None) -> list[Sight]:
        """What is new in these files, or in all. Nothing in here raises for a file that can't be read or is gone."""
        if names is None:
            self.there = names = self._names()
            for name in self.seen.keys() - self.there:
                del self.seen[name]
        return [sight for name in names if (sight := self._look_at(name, now_ns, timeout_ns))]

    def settle(self, sight: Sight) -> None:
        """This was dealt with; the file is looked at again when it has another time."""
        self.seen[sight.name] = sight.mtime_ns

    def is_there(self) -> bool:
        """Whether the path still leads to this very folder."""
        try:
            there, held = os.stat(self.path), os.fstat(self.descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def close(self) -> None:
        """Let it go: another gateway may hold it at once."""
        os.close(self.descriptor)

    def _names(self) -> frozenset[str]:
        """The files that speak for components; those that are known before others when they are too many."""
        found: list[str] = []
        with suppress(OSError), os.scandir(self.descriptor) as entries:
            for number, entry in enumerate(entries):
                if component_of(entry.name) is not None:
                    found.append(entry.name)
                if number >= ENTRIES_MAX:
                    break
        self.overfull = len(found) > FILES_MAX
        if self.overfull:
            found.sort(key=lambda name: (name not in self.seen, name))
        return frozenset(found[:FILES_MAX])

    def _look_at(self, name: str, now_ns: int, timeout_ns: int) -> Sight | None:
        component_id = component_of(name)
        if component_id is None or (name not in self.seen and len(self.seen) >= FILES_MAX):
            return None
        try:
            facts = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            self.seen.pop(name, None)  # it is gone: what is written there next is new
            return None
        if not counts(facts.st_mtime_ns, self.seen.get(name), now_ns, timeout_ns):
            self.seen[name] = facts.st_mtime_ns
            return None
        if isinstance(component_id, Unfit):
            return Sight(name, facts.st_mtime_ns, component_id)
        if unfit := unfit_by(facts):
            return Sight(name, facts.st_mtime_ns, unfit)
        return self._read(name, component_id, facts.st_mtime_ns)

    def _read(self, name: str, component_id: str, mtime_ns: int) -> Sight | None:
        """None: it vanished, which says nothing."""
        try:
            # Not waiting: a pipe put in the file's place would be opened when a writer comes, and never before.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(name, flags, dir_fd=self.descriptor), "rb") as file:
                # Asked before it is read: what is written after this is another time, and looked at again.
                facts = os.fstat(file.fileno())
                what = unfit_by(facts) or read_file(component_id, file.read(FILE_BYTES_MAX + 1))
        except FileNotFoundError:
            return None
        except OSError as error:
            return Sight(name, mtime_ns, Unfinished(f"cannot be read ({error.strerror})"))
        return Sight(name, facts.st_mtime_ns, what)


def hold(path: Path) -> Folder | None:
    """The folder, held so that no other gateway counts its files too; None while another one holds it.

    The lock is the folder's own: it needs no right to write there, leaves no file behind, and ends with this process
    however that ends. Raises OSError when the folder is not there or not readable.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        if error.errno not in _UNLOCKABLE:
            os.close(descriptor)
            raise
        return Folder(path, descriptor, locked=False)
    return Folder(path, descriptor, locked=True)
