"""What `up` says at its start: what runs where, and what to try next."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from healthmon import __version__
from healthmon.demo.play import VIEWERS
from healthmon.views.words import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthmon.store.keys import Keys

_LINE: Final = 79
_COMMAND: Final = 50


def heading(url: str, replicas: int, components: int, page: str = "") -> list[str]:
    """What runs, in one line, and where to look at it."""
    counts = [plural(replicas, "replica"), *([plural(components, "component")] if components else [])]
    lines = [f"healthmon {__version__} at {url}: {', '.join(counts)}"]
    return [*lines, f"Open {page}/ in a browser."] if page else lines


@dataclass(frozen=True)
class Advice:
    """Commands for another terminal. `left`: whether healthmon's own find the server without being told."""

    url: str
    keys: Keys
    command: str
    left: bool
    replicas: int = 3

    def to_try(self, leader: str, pids: Mapping[str, int], components: Sequence[str]) -> list[str]:
        """The lines. `pids`: of what runs, by its name."""
        keys, command = self.keys, self.command
        one = components[0] if components else "mine"
        redis = f"redis-cli -p {urlsplit(self.url).port}"
        tell = "" if self.left else f" --redis-url {self.url}"
        lines = [] if components else [(f"{command} beat {one}{tell}", "send a heartbeat")]
        lines += [
            (f"{command} status{tell}", "whether anything is wrong"),
            (f"{command} top{tell}", "all of it on one screen"),
            (f"{command} why {one}{tell}", "why it is in its state"),
            (f"{redis} --raw GET {keys.help}", "what to ask of Redis"),
            (f"{redis} HGETALL '{keys.counts}'", "how many in which state"),
            (f"{redis} SUBSCRIBE {keys.alerts}", "each alert, as it comes"),
            (f"{redis} XADD '{keys.heartbeats}' '*' id mine", "a heartbeat from anything"),
        ]
        then = "another one leads" if self.replicas > 1 else "it comes back, and leads"
        for name, follows in ((VIEWERS, "it comes back by itself"), (leader, then)):
            if pid := pids.get(name):
                lines.append((f"kill -9 {pid}  # {name}", follows))
        width = min(max(len(line) for line, _ in lines), _COMMAND)
        said = [_row(line, says, width) for line, says in lines]
        return ["", "Try in another terminal:", *said, "Ctrl-C ends all of it.", ""]


def _row(line: str, says: str, width: int) -> str:
    row = f"  {line:<{width}}  {says}"
    return row if len(row) <= _LINE else f"  {line}"


def command_name() -> str:
    """How this program can be called from another terminal: by name where PATH has it, else by its path."""
    if shutil.which("healthmon"):
        return "healthmon"
    program = Path(sys.argv[0])
    if program.name == "healthmon" and program.exists():
        path = os.path.relpath(program)
        return path if not path.startswith("..") else str(program.resolve())
    return f"{sys.executable} -m healthmon"
