"""What every section stands on: the server, how much is measured, keys that nobody else uses."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final

from healthmon.bench.plan import Plan
from healthmon.bench.raw import Raw, packed
from healthmon.core.heartbeat import STANDARD_METRICS
from healthmon.store.codec import pack_heartbeat
from healthmon.store.keys import Keys

SCAN_COUNT: Final = 2000
INTERVAL_S: Final = 10.0


@dataclass(frozen=True)
class Ground:
    """One run: its server, its plan, and where to tell what is being done."""

    url: str
    plan: Plan
    say: Callable[[str], None]
    prefix: str = field(default_factory=lambda: f"bench-{secrets.token_hex(4)}")

    @contextmanager
    def section(self, name: str) -> Iterator[tuple[Keys, Raw]]:
        """Keys of a section's own, gone afterwards, and a connection to the server."""
        self.say(name)
        keys = Keys(f"{self.prefix}-{secrets.token_hex(2)}")
        with closing(Raw(self.url)) as raw:
            try:
                yield keys, raw
            finally:
                _remove(raw, keys.prefix)


def beat_of(
    number: int, latency_ms: float = 12.5, cpu_percent: float = 31.0, interval_s: float = INTERVAL_S
) -> dict[str, object]:
    """A heartbeat as the Python helper composes it: who and how, then the metrics."""
    metrics = dict(zip(STANDARD_METRICS[:3], (latency_ms, 512.25, cpu_percent), strict=True))
    return {
        "id": id_of(number),
        "pid": 4000 + number,
        "role": "api",
        "host": "web-03",
        "version": "1.4.2",
        "incarnation": "1f2e3d4c",
        "interval": interval_s,
        **metrics,
    }


def id_of(number: int) -> str:
    """The id of a component of the benchmark."""
    return f"component-{number:06d}"


def packed_heartbeat(stream: str, beat: dict[str, object], entry: str = "*") -> bytes:
    """The command that appends a heartbeat in the compact form, as the Python helper sends it."""
    said = dict(beat)
    return packed("XADD", stream, entry, "id", str(said.pop("id")), "p", pack_heartbeat(said))


def plain_heartbeat(stream: str, beat: dict[str, object], entry: str = "*") -> bytes:
    """The command that appends a heartbeat in plain text, as redis-cli sends it."""
    return packed("XADD", stream, entry, *(str(part) for pair in beat.items() for part in pair))


def _remove(raw: Raw, prefix: str) -> None:
    """Take away what a section left, a piece at a time: a key removed whole may keep the server from others."""
    cursor: bytes | int = 0
    while True:
        cursor, keys = raw.call("SCAN", cursor, "MATCH", f"{prefix}:*", "COUNT", SCAN_COUNT)
        if keys:
            raw.call("UNLINK", *keys)
        if cursor == b"0":
            return
