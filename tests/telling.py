"""How the streams tell things: entries, their ids and times, and the lives of components."""

from __future__ import annotations

from datetime import datetime

Fields = dict[str, str]
Entry = tuple[str, Fields]
Life = tuple[str, str]  # one component from its registration to its end: id, born


def milliseconds(text: str) -> int:
    """The milliseconds since 1970 of an RFC 3339 time, 0 for none."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else 0


def entry_ms(entry: str) -> int:
    """The millisecond part of a stream id."""
    return int(entry.partition("-")[0])


def named(said: Fields) -> str:
    """An event in a complaint."""
    return f"{said.get('id') or 'shard'} rev {said.get('rev', '-')}"
