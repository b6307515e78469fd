"""What the monitors of a campaign tell of its components."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from healthmon.store.codec import read_time_ms, text_map

if TYPE_CHECKING:
    from healthmon.bench.raw import Raw
    from healthmon.store.keys import Keys

LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Move:
    """A committed transition."""

    at_ms: int
    target: str
    rule: str
    reason: str


@dataclass
class Watch:
    """Follows the events of a shard from now on."""

    raw: Raw
    keys: Keys
    _at: bytes = b""
    _moves: defaultdict[str, list[Move]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        newest = self.raw.call("XREVRANGE", self.keys.events, "+", "-", "COUNT", 1)
        self._at = newest[0][0] if newest else b"0-0"

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await anyio.sleep(LOOK_S)

    def look(self) -> None:
        """Take in what was committed since the last look."""
        for entry, fields in self.raw.call("XRANGE", self.keys.events, b"(" + self._at, "+"):
            self._at, said = entry, text_map(fields)
            if said["type"] == "transition":
                move = Move(read_time_ms(said["at"]), said["to"], said.get("rule", ""), said.get("reason", ""))
                self._moves[said["id"]].append(move)

    def moves(self, component: str, since_ms: int) -> list[Move]:
        """The transitions of a component since a moment, the earliest first."""
        return [move for move in self._moves[component] if move.at_ms >= since_ms]

    def state(self, component: str) -> str:
        """Its state, "" before its first transition."""
        moves = self._moves[component]
        return moves[-1].target if moves else ""
