"""Heartbeats by files: `<folder>/<id>.json`, written by components that speak nothing else.

Writing the file is the heartbeat, whether by mv, by writing over it, or by touch. A change is heard of at once where
the file system tells, and found within 5 s where it does not, as on network file systems. What is not promised: two
heartbeats for two writes within 0.1 s.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from watchfiles import awatch

from healthmon import clock
from healthmon.core.access import Grant, Scope
from healthmon.core.heartbeat import shown
from healthmon.core.refusal import Refusal
from healthmon.errors import ConfigurationError
from healthmon.gateway.folder import FILES_MAX, Folder, Sight, hold
from healthmon.gateway.heartbeat_file import Beat, Unfinished

if TYPE_CHECKING:
    from healthmon.gateway.door import Door

logger = logging.getLogger("healthmon.gateway")
# Where the specification's components write; watched from when it is there.
LEGACY_FOLDER: Final = "~/.jarvis/trinity/heartbeats"
# Each holds a thread of the 40 that a process has.
FOLDERS_MAX: Final = 16
# How soon a folder is taken that another gateway let go, or that was made only now.
HOLD_S: Final = 1.0
# The slow look at every file, nine of them before silence counts.
RESCAN_S_MAX: Final = 5.0
# A file that says nothing yet is looked at so soon again, and so often until somebody is told.
AGAIN_S: Final = 0.1
LOOKS_MAX: Final = 10
# Changes are taken together until none came for the first, at most for the second.
STEP_MS: Final = 50
DEBOUNCE_MS: Final = 200
BEATS_AT_ONCE: Final = 500
NAME_SHOWN: Final = 80
# What is said of the folder itself, in place of a file's name.
FOLDER: Final = ""
# Whoever may write into a folder speaks for any component: the file system has authenticated the writer.
FILES_GRANT: Final = Grant("files", frozenset((Scope.WRITE,)))


@dataclass
class Files:
    """Watches folders until cancelled, each only while no other gateway does. `counts`: what became of files, by word.

    `heartbeat_timeout_s`: an older file is none. Raises ConfigurationError for too many folders.
    """

    door: Door
    folders: Sequence[Path]
    heartbeat_timeout_s: float
    legacy: Path | None = Path(LEGACY_FOLDER)
    counts: Counter[str] = field(default_factory=Counter)
    watching: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A folder that is named twice, however, is one: it would stand in its own way.
        named = {path.expanduser().absolute().resolve(): True for path in self.folders}
        if self.legacy is not None:
            named.setdefault(self.legacy.expanduser().absolute().resolve(), False)
        if len(named) > FOLDERS_MAX:
            raise ConfigurationError(
                f"{len(named)} folders of heartbeat files are too many: give {FOLDERS_MAX} at most"
            )
        self._places = [_Place(self, path, expected) for path, expected in named.items()]

    def states(self) -> Counter[str]:
        """How many are `watched`, watched by another gateway (`standby`), or can't be (`absent`).

        The folder that nobody asked for counts only where it is.
        """
        told = [(place, self.watching.get(place.path, "absent")) for place in self._places]
        return Counter(word for place, word in told if place.expected or word != "absent")

    async def run(self) -> None:
        """Watch until cancelled. No file or folder makes it fail."""
        async with anyio.create_task_group() as group:
            for place in self._places:
                group.start_soon(place.run)


@dataclass
class _Place:
    """One folder's path. `expected`: somebody asked for it, and is told when it is not there."""

    files: Files
    path: Path
    expected: bool
    _changed: set[str] = field(default_factory=set)
    _wake: anyio.Event = field(default_factory=anyio.Event)
    _looks: dict[str, int] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)
    _whole_at_s: float = 0.0

    async def run(self) -> None:
        while True:
            folder = await self._hold()
            self._tell("watched", "")
            logger.info("watching %s for heartbeat files", self.path)
            if not folder.locked:
                logger.warning(
                    "%s is on a file system without locks: let one gateway only watch it, or heartbeats count twice",
                    self.path,
                )
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._listen)
                    await self._watch(folder)
                    group.cancel_scope.cancel()
            finally:
                folder.close()

    # -- having the folder ---------------------------------------------------------------------------------------------

    async def _hold(self) -> Folder:
        while True:
            try:
                folder = await anyio.to_thread.run_sync(hold, self.path)
            except OSError as error:
                sentence = f"heartbeat folder {self.path} cannot be watched yet ({error.strerror}): make it, readable"
                self._tell("absent", sentence if self.expected else "")
            else:
                if folder is not None:
                    return folder
                sentence = f"heartbeat folder {self.path} is watched by another gateway: standing by"
                self._tell("standby", sentence if self.expected else "")
            await anyio.sleep(HOLD_S)

    def _tell(self, word: str, sentence: str) -> None:
        if self.files.watching.get(self.path) != word:
            self.files.watching[self.path] = word
            if sentence:
                logger.warning("%s", sentence)

    async def _listen(self) -> None:
        """Note which files changed, while the system tells. Where it does not, the slow looks are all there is."""
        stop = anyio.Event()
        async with anyio.create_task_group() as group:
            # The watching thread sees only this event, and is waited for.
            group.start_soon(_set_at_end, stop)
            try:
                changes = awatch(
                    self.path,
                    watch_filter=None,
                    debounce=DEBOUNCE_MS,
                    step=STEP_MS,
                    stop_event=stop,
                    recursive=False,
                    ignore_permission_denied=True,
                )
                async with aclosing(changes):
                    async for batch in changes:
                        self._changed.update(Path(path).name for _, path in batch)
                        self._wake.set()
            except (OSError, RuntimeError) as error:
                logger.warning(
                    "%s is looked at every %.3g s only, since the system tells of no changes (%s)",
                    self.path,
                    self._rescan_s,
                    shown(str(error)),
                )

    @property
    def _rescan_s(self) -> float:
        return min(RESCAN_S_MAX, self.files.heartbeat_timeout_s / 9)

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _watch(self, folder: Folder) -> None:
        """Returns when the path leads to this folder no more."""
        timeout_ns = round(self.files.heartbeat_timeout_s * 1e9)
        self._whole_at_s = 0.0
        self._looks.clear()
        while await anyio.to_thread.run_sync(folder.is_there):
            names: set[str] | None = self._changed.union(self._pending())
            self._changed.clear()
            if clock.monotonic_s() >= self._whole_at_s or len(names or ()) > FILES_MAX:
                names, self._whole_at_s = None, clock.monotonic_s() + self._rescan_s
            now_ns = round(clock.unix_s() * 1e9)
            sights = await anyio.to_thread.run_sync(folder.look, now_ns, timeout_ns, names)
            await self._settle(folder, sights)
            self._forget(folder, sights, names)
            with anyio.move_on_after(AGAIN_S if self._pending() else max(self._whole_at_s - clock.monotonic_s(), 0)):
                await self._wake.wait()
            self._wake = anyio.Event()

    def _pending(self) -> list[str]:
        """Files that may be in the middle of being written."""
        return [name for name, looks in self._looks.items() if looks < LOOKS_MAX]

    async def _settle(self, folder: Folder, sights: list[Sight]) -> None:
        beats: list[tuple[Sight, Beat]] = []
        for sight in sights:
            what = sight.what
            if isinstance(what, Beat):
                beats.append((sight, what))
            elif isinstance(what, Unfinished):
                self._look_again(sight.name, what)
            else:
                folder.settle(sight)
                self._refuse(sight.name, self.files.door.refuse(Refusal(422, what.reason, what.detail)))
        for first in range(0, len(beats), BEATS_AT_ONCE):
            await self._send(folder, beats[first : first + BEATS_AT_ONCE])

    async def _send(self, folder: Folder, beats: list[tuple[Sight, Beat]]) -> None:
        answers = await self.files.door.accept_many([beat.said for _, beat in beats], FILES_GRANT, "file")
        for (sight, _), answer in zip(beats, answers, strict=True):
            if not isinstance(answer, Refusal):
                folder.settle(sight)
                self.files.counts["accepted"] += 1
                self._said.pop(sight.name, None)
            elif answer.retry_after_s:
                # It is left as it is, and counts at the next look, while it is young enough.
                self._whole_at_s = min(self._whole_at_s, clock.monotonic_s() + answer.retry_after_s)
                self._say(FOLDER, answer.code, f"has heartbeats that wait: {answer.message}")
            else:
                folder.settle(sight)
                self._refuse(sight.name, answer)

    def _look_again(self, name: str, what: Unfinished) -> None:
        looks = self._looks[name] = self._looks.get(name, 0) + 1
        if looks == 1:
            self.files.counts["unfinished"] += 1
        elif looks == LOOKS_MAX:
            self._say(name, "unfinished", f"{what.detail}: it says nothing until it is written again")

    def _refuse(self, name: str, why: Refusal) -> None:
        self.files.counts[why.code] += 1
        self._say(name, why.code, f"is refused: {why.message}")

    def _say(self, name: str, reason: str, detail: str) -> None:
        """Say it once of each file, until a heartbeat of it is taken in or it is gone."""
        if self._said.get(name) != reason:
            self._said[name] = reason
            logger.warning("heartbeat file %s %s", self.path / shown(name, NAME_SHOWN), detail)

    def _forget(self, folder: Folder, sights: list[Sight], names: set[str] | None) -> None:
        """Forget what was noted of files that are gone, settled, or too old to be waited for."""
        unfinished = {sight.name for sight in sights if isinstance(sight.what, Unfinished)}
        for name in [name for name in self._looks if (names is None or name in names) and name not in unfinished]:
            del self._looks[name]
        if names is None:
            for name in self._said.keys() - folder.there - {FOLDER}:
                del self._said[name]
            if folder.overfull:
                self._say(FOLDER, "full", f"holds more than {FILES_MAX} of them: the others are not looked at")


async def _set_at_end(event: anyio.Event) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        event.set()
