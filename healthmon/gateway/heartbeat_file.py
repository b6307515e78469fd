"""What one heartbeat file says, by its name, what the file system tells of it, and its bytes alone.

A file is a heartbeat by being written, and never a death: what is half written, empty or unreadable says nothing
yet, and is looked at again.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from healthmon.core.heartbeat import shown
from healthmon.core.ids import valid_id

if TYPE_CHECKING:
    import os

SUFFIX: Final = ".json"
# Four times what a heartbeat may hold when packed: JSON is wordier, and what is larger is no heartbeat.
FILE_BYTES_MAX: Final = 65_536
NAME_SHOWN: Final = 80

Reason = Literal["bad_id", "not_a_file", "too_large", "not_an_object", "wrong_id"]


@dataclass(frozen=True, slots=True)
class Beat:
    """The file is a heartbeat of this component. `said`: its content, with the component's id in `component_id`."""

    component_id: str
    said: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The file says nothing yet; it is to be looked at again. `detail` is the end of the sentence about it."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """The file is no heartbeat, until it is another: the counted word, and the end of the sentence about it."""

    reason: Reason
    detail: str


def component_of(name: str) -> str | Unfit | None:
    """The component that a file of this name speaks for. None: it is none of ours (another suffix, a dot in front)."""
    if not name.endswith(SUFFIX) or name.startswith("."):
        return None
    component_id = name.removesuffix(SUFFIX)
    if not valid_id(component_id):
        return Unfit("bad_id", "is named by no id: 1 to 128 letters, digits and ._@-, no dot in front, then .json")
    return component_id


def unfit_by(facts: os.stat_result) -> Unfit | None:
    """Why a file can't be a heartbeat, by what the file system tells of it. A link is not followed."""
    if not stat.S_ISREG(facts.st_mode):
        kind = "a link" if stat.S_ISLNK(facts.st_mode) else "a folder" if stat.S_ISDIR(facts.st_mode) else "no file"
        return Unfit("not_a_file", f"is {kind}: write the file itself, best under another name and then by mv")
    if facts.st_size > FILE_BYTES_MAX:
        return Unfit("too_large", f"has {facts.st_size} bytes, and a heartbeat file may have {FILE_BYTES_MAX}")
    return None


def counts(mtime_ns: int, seen_ns: int | None, now_ns: int, timeout_ns: int) -> bool:
    """Whether a file with this time is a heartbeat: it is another time than was seen last, and younger than that.

    A change counts whichever way the time went: clocks are set back. What is found for the first time (`seen_ns` is
    None) and lies ahead as far does not: it would look new at every start.
    """
    if mtime_ns == seen_ns or now_ns - mtime_ns > timeout_ns:
        return False
    return seen_ns is not None or mtime_ns - now_ns <= timeout_ns


def read_file(component_id: str, content: bytes) -> Beat | Unfinished | Unfit:
    """What the bytes say. The component's id may be missing in them; another than the name's is refused."""
    if not content.strip():
        return Unfinished("is empty")
    if len(content) > FILE_BYTES_MAX:
        return Unfit("too_large", f"has more than the {FILE_BYTES_MAX} bytes that a heartbeat file may have")
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        # One that a writer is in the middle of looks the same as one that never was JSON.
        return Unfinished("is not JSON, or not written to its end")
    if not isinstance(said, dict):
        return Unfit("not_an_object", 'is no JSON object: {} is the least, {"metrics": {"latency_ms": 12}} says more')
    for name in ("component_id", "id"):
        if said.get(name) not in (None, "", component_id):
            other = shown(repr(said[name]), NAME_SHOWN)
            return Unfit("wrong_id", f"speaks for {other}: name the file by the component's id, or leave it out")
    return Beat(component_id, {**said, "component_id": component_id})
