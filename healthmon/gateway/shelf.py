"""What waits while Redis is away: of each component its newest heartbeat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from healthmon import clock
from healthmon.core.refusal import Refusal
from healthmon.gateway.shape import Said

Kept = tuple[Said, float]


@dataclass
class Shelf:
    """Heartbeats of at most `most` components, none older than `keep_s` seconds when it is taken down."""

    most: int
    keep_s: float
    _kept: dict[str, Kept] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, said: Said) -> None:
        """Keep it in place of an older one of its component. Raises Refusal with 503 when there is no room."""
        component_id = str(said["id"])
        if component_id not in self._kept and len(self._kept) >= self.most:
            self._drop_stale()
            if len(self._kept) >= self.most:
                raise Refusal(
                    503,
                    "buffer_full",
                    f"Redis is away and {self.most} heartbeats wait for it already: send again later",
                    max(1, round(self.keep_s / 10)),
                )
        self._kept.pop(component_id, None)  # so that the order is that of their age
        self._kept[component_id] = said, clock.monotonic_s()

    def oldest(self, count: int) -> list[Kept]:
        """So many of those that are not too old, the oldest first. They stay until `take_down`."""
        self._drop_stale()
        return list(islice(self._kept.values(), count))

    def take_down(self, sent: Iterable[Kept]) -> None:
        """These have arrived; what came of the same components since then stays."""
        for kept in sent:
            component_id = str(kept[0]["id"])
            if self._kept.get(component_id) is kept:
                del self._kept[component_id]

    def _drop_stale(self) -> None:
        limit_s = clock.monotonic_s() - self.keep_s
        stale = []
        for component_id, (_, put_s) in self._kept.items():
            if put_s > limit_s:
                break
            stale.append(component_id)
        for component_id in stale:
            del self._kept[component_id]
